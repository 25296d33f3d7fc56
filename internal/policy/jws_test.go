package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// jws are tokens by what is particular to them, with the number of the case in
// FAULTS §3 in front.
type jws map[string]string

// TestJWSSet judges a set of tokens that is made anew each time and always the
// same: 300 and more that must be refused, 40 and more that must be taken.
func TestJWSSet(t *testing.T) {
	s := newIssuer(t)
	trust := newTestTrust(t, s.tokens(), time.Minute)
	bad, good := s.badTokens(t), s.goodTokens(t)
	if len(bad) < 300 || len(good) < 40 {
		t.Fatalf("%d bad and %d good tokens, want 300 and 40", len(bad), len(good))
	}
	t.Logf("%d bad tokens, %d good ones", len(bad), len(good))
	for name, token := range bad {
		if a, fault := trust.judge([]byte(token), testNow); fault == nil || fault.Status != 401 {
			t.Errorf("%s: judge = %+v, %v, want 401", name, a, fault)
		}
	}
	for name, token := range good {
		for range 2 { // the second time it is remembered
			if _, fault := trust.judge([]byte(token), testNow); fault != nil {
				t.Errorf("%s: refused with %s", name, fault.Code)
			}
		}
	}
}

func (s *issuer) badTokens(t *testing.T) jws {
	set := jws{}
	good := s.token(t, goodHeader, claims(t, nil))
	parts := strings.Split(good, ".")
	header := func(name, text string) { set["D1 header "+name] = s.token(t, text, claims(t, nil)) }
	for _, alg := range []string{
		"none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "es256", "ES256 ", " ES256", "dir", "A128KW", "RSA-OAEP", "",
	} {
		text := fmt.Sprintf(`{"typ":"at+jwt","alg":%q,"kid":"k1"}`, alg)
		header("alg "+alg, text)
		input := encode([]byte(text)) + "." + parts[1]
		set["D1 no signature, alg "+alg] = input + "."
		mac := hmac.New(sha256.New, s.der)
		mac.Write([]byte(input))
		set["D1 signed by HMAC with the public key, alg "+alg] = input + "." + encode(mac.Sum(nil))
	}
	for _, member := range []string{
		`"jwk":{}`, `"jwk":{"kty":"EC","crv":"P-256"}`, `"jku":"http://127.0.0.1:1/"`, `"x5u":"http://127.0.0.1:1/"`, `"x5c":["MA=="]`, `"x5t":"a"`,
		`"x5t#S256":"a"`, `"crit":["exp"]`, `"crit":[]`, `"crit":["b64"],"b64":false`, `"b64":false`, `"b64":true`, `"cty":"JWT"`, `"zip":"DEF"`,
		`"enc":"A128GCM"`, `"iss":"https://km.example.com"`, `"kid":"k1"`, `"alg":"ES256"`, `"typ":"at+jwt"`, `"":""`, `"p2c":1000000000`, `"epk":{}`,
		`"exp":1`, `"x":null`, `"url":"x"`, `"nonce":"x"`, `"apu":"x"`,
	} {
		header("with "+member, goodHeader[:len(goodHeader)-1]+","+member+"}")
		header("beginning with "+member, "{"+member+","+goodHeader[1:])
	}
	for _, kid := range []string{
		`"../../etc/passwd"`, `"' or 1=1 --"`, `"unknown"`, `""`, `null`, `1`, `["k1"]`, `{"k1":1}`, `"K1"`, `"k1 "`, `" k1"`, `"k1\u0000"`, `"/dev/null"`,
		`"http://127.0.0.1:1/"`, `true`, `"k1/../k1"`, `"k\u00311"`, `"${jndi:x}"`, `"%6b1"`,
	} {
		header("kid "+kid, `{"typ":"at+jwt","alg":"ES256","kid":`+kid+`}`)
	}
	for _, text := range []string{``, `{}`, `[]`, `null`, `"x"`, `1`, `{`, `{"alg":"ES256"}`, goodHeader + "{}", goodHeader + " x", "\xff" + goodHeader, "\ufeff" + goodHeader} {
		header("is "+text, text)
	}
	claim := func(number, name string, value any) {
		set[fmt.Sprintf("%s %s is %v", number, name, value)] = s.token(t, goodHeader, claims(t, map[string]any{name: value}))
	}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for _, iss := range []any{nil, "", "https://evil.example.com", "https://km.example.com/", "HTTPS://km.example.com", "https://km.example.com.evil.example.com", 1, []string{"https://km.example.com"}} {
		claim("D2", "iss", iss)
	}
	for _, aud := range []any{nil, "", "ck1", "urn:sluice:apis/", "URN:sluice:apis", []string{}, []string{"a", "b"}, 1, raw(`{"urn:sluice:apis":1}`), []any{1, "urn:sluice:apis"}} {
		claim("D2", "aud", aud)
	}
	for _, typ := range []string{"", "JWT", "at+JWT", "AT+JWT", "application/at+jwt", "id_token", "rt+jwt", "logout+jwt", "dpop+jwt"} {
		header("typ "+typ, fmt.Sprintf(`{"typ":%q,"alg":"ES256","kid":"k1"}`, typ))
	}
	for name, values := range map[string][]any{
		"aut": {nil, "", "application", "Refresh", "ID", 1}, "keytype": {nil, "", "production", "BOTH", "PRODUCTION ", 1, raw("null")},
		"jti": {nil, "", 1, raw("null")}, "sub": {nil, "", 1, raw("{}")}, "client_id": {nil, "", 1, []string{"ck1"}}, "scope": {1, []string{"read"}, raw("null")},
		"cnf": {map[string]string{"jkt": "x"}, raw("null"), "x"},
	} {
		for _, value := range values {
			claim("D2", name, value)
		}
	}
	now := testNow.Unix()
	for name, values := range map[string][]any{
		"exp": {nil, now - 60, now - 61, 1, 0, -1, raw("1e10"), raw("1800003600.0"), raw("1800003600.5"), "1800003600", raw("null"), 99_999_999_999, raw("99999999999999999999"), raw("true"), raw("[]"), raw("18446744073709551616")},
		"iat": {nil, now + 61, now + 3600, 0, -1, raw("1.5"), "1", raw("null"), raw("1e9"), 99_999_999_999},
		"nbf": {now + 61, now + 3600, 0, -1, raw("1.5"), "1", raw("null"), raw("1e9")},
	} {
		for _, value := range values {
			claim("D3", name, value)
		}
	}
	for n := range 40 { // one bit of the signature, and of the signed text
		signature := []byte(s.sign(t, parts[0]+"."+parts[1]))
		signature[n] ^= 1 << (n % 8)
		set[fmt.Sprintf("D1 another bit %d of the signature", n)] = parts[0] + "." + parts[1] + "." + encode(signature)
	}
	for n, form := range []string{
		"", ".", "..", "...", parts[0], parts[0] + ".", parts[0] + "." + parts[1], "." + parts[1] + "." + parts[2], parts[0] + ".." + parts[2],
		good + ".", "." + good, good + "=", good + "==", good + ".x", good + "\n", strings.Replace(good, ".", "=.", 1), strings.ReplaceAll(good, ".", "/"), good + good,
		parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-1], parts[0] + "." + parts[1] + "." + parts[2] + "AA",
		parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), strings.Repeat(".", 1000), strings.Repeat("a", 1<<20), strings.Repeat("a.", 500),
		parts[0] + "\n." + parts[1] + "." + parts[2], parts[0] + "." + parts[1] + "\r\n." + parts[2],
		s.token(t, goodHeader, claims(t, map[string]any{"x": strings.Repeat("x", 10<<20)})), s.token(t, goodHeader, "[]"), s.token(t, goodHeader, "null"),
		s.token(t, goodHeader, ""), s.token(t, goodHeader, claims(t, nil)+"{}"), s.token(t, goodHeader, `{"exp":1,`+claims(t, nil)[1:]), s.token(t, goodHeader, "\xff"+claims(t, nil)),
		s.token(t, goodHeader, encode([]byte(good))), s.token(t, goodHeader, good), lastBits(parts),
	} {
		set[fmt.Sprintf("D4 form %d", n)] = form
	}
	return set
}

// lastBits returns the token with other unused bits in the last letter of its
// signature.
func lastBits(parts []string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, parts[2][len(parts[2])-1])
	return parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-1] + string(letters[last^1])
}

func (s *issuer) goodTokens(t *testing.T) jws {
	set := jws{}
	add := func(name string, changes map[string]any) { set[name] = s.token(t, goodHeader, claims(t, changes)) }
	now := testNow.Unix()
	for n := range 12 {
		add(fmt.Sprintf("%d scopes", n), map[string]any{"scope": strings.TrimSpace(strings.Repeat("read ", n))})
		add(fmt.Sprintf("issued %d s ago", n*10), map[string]any{"iat": now - int64(n)*10, "nbf": now - int64(n)*10})
		add(fmt.Sprintf("valid for %d s more", n*1000+1), map[string]any{"exp": now + int64(n)*1000 + 1})
	}
	add("without nbf", map[string]any{"nbf": nil})
	add("without scope", map[string]any{"scope": nil})
	add("of an application", map[string]any{"aut": "APPLICATION", "sub": "ck1"})
	add("of the sandbox", map[string]any{"keytype": "SANDBOX"})
	add("of several audiences", map[string]any{"aud": []string{"other", "urn:sluice:apis"}})
	add("of a name beyond ASCII", map[string]any{"sub": "żółć 漢字 😀"})
	add("with claims that nobody knows", map[string]any{"amr": []string{"pwd"}, "x": map[string]any{"y": 1}})
	add("over within the leeway", map[string]any{"exp": now - 59, "iat": now - 100})
	add("from the future within the leeway", map[string]any{"iat": now + 60, "nbf": now + 60})
	add("with an id of its time", map[string]any{"jti": "01a3185c-5000-7686-a789-5bc3b15e692b"})
	for name, header := range map[string]string{
		"a header in another order": `{"kid":"k1","alg":"ES256","typ":"at+jwt"}`, "a header with blanks": `{ "typ" : "at+jwt", "alg" : "ES256", "kid" : "k1" }`,
	} {
		set[name] = s.token(t, header, claims(t, nil))
	}
	return set
}
