package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// issuer signs tokens as the Key Manager does, and as an attacker would.
type issuer struct {
	key *ecdsa.PrivateKey
	der []byte
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key, der}
}

func (s *issuer) tokens() *artifact.Tokens {
	return &artifact.Tokens{Issuer: "https://km.example.com", Keys: []sluice.SigningKey{{ID: "k1", Algorithm: "ES256", Public: s.der}}}
}

func (s *issuer) sign(t testing.TB, input string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *issuer) token(t testing.TB, header, claims string) string {
	t.Helper()
	input := encode([]byte(header)) + "." + encode([]byte(claims))
	return input + "." + encode(s.sign(t, input))
}

const goodHeader = `{"typ":"at+jwt","alg":"ES256","kid":"k1"}`

var testNow = time.Unix(1_800_000_000, 0)

// claims returns good claims with changes; a nil value removes one, a
// json.RawMessage stands as it is.
func claims(t testing.TB, changes map[string]any) string {
	t.Helper()
	c := map[string]any{
		"iss": "https://km.example.com", "sub": "alice", "aud": "urn:sluice:apis", "jti": "j1", "client_id": "ck1",
		"exp": testNow.Unix() + 3600, "iat": testNow.Unix() - 10, "nbf": testNow.Unix() - 10,
		"scope": "read write", "keytype": "PRODUCTION", "aut": "APPLICATION_USER",
	}
	maps.Copy(c, changes)
	for name, v := range c {
		if v == nil {
			delete(c, name)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newTestTrust(t testing.TB, tokens *artifact.Tokens, leeway time.Duration) *Trust {
	t.Helper()
	trust, err := NewTrust(tokens, leeway)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestGoodTokens(t *testing.T) {
	s := newIssuer(t)
	trust := newTestTrust(t, s.tokens(), 0)
	for name, changes := range map[string]map[string]any{
		"as the Key Manager makes them": nil,
		"audience in a list":            {"aud": []string{"x", "urn:sluice:apis"}},
		"of an application":             {"aut": "APPLICATION", "sub": "ck1", "keytype": "SANDBOX"},
		"no nbf, no scope":              {"nbf": nil, "scope": nil},
		"empty scope":                   {"scope": ""},
		"unknown claims":                {"x": map[string]any{"y": 1}},
		"issued this second":            {"iat": testNow.Unix(), "nbf": testNow.Unix()},
		"one second left":               {"exp": testNow.Unix() + 1},
	} {
		t.Run(name, func(t *testing.T) {
			token := []byte(s.token(t, goodHeader, claims(t, changes)))
			for range 2 { // verified, then remembered
				a, fault := trust.judge(token, testNow)
				if fault != nil {
					t.Fatalf("judge = %s %s", fault.Code, fault.Description)
				}
				if a.id != "j1" || a.client != "ck1" || changes == nil && (a.subject != "alice" || !a.user || len(a.scopes) != 2) {
					t.Errorf("token says %+v", a)
				}
			}
		})
	}
}

// TestForgedTokens is the table of attacks D1, D2 and D4.
func TestForgedTokens(t *testing.T) {
	s, stranger := newIssuer(t), newIssuer(t)
	trust := newTestTrust(t, s.tokens(), 0)
	good := s.token(t, goodHeader, claims(t, nil))
	parts := strings.Split(good, ".")
	header := func(h string) string { return s.token(t, h, claims(t, nil)) }
	changed := func(changes map[string]any) string { return s.token(t, goodHeader, claims(t, changes)) }
	raw := func(name, value string) string { return changed(map[string]any{name: json.RawMessage(value)}) }
	hmacToken := func(key []byte) string {
		input := encode([]byte(`{"typ":"at+jwt","alg":"HS256","kid":"k1"}`)) + "." + parts[1]
		m := hmac.New(sha256.New, key)
		m.Write([]byte(input))
		return input + "." + encode(m.Sum(nil))
	}
	unsigned := func(alg string) string {
		return encode(fmt.Appendf(nil, `{"typ":"at+jwt","alg":%q,"kid":"k1"}`, alg)) + "." + parts[1] + "."
	}
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q}`, encode(coordinate(stranger.key.X)), encode(coordinate(stranger.key.Y)))
	extra := func(member string) string {
		return stranger.token(t, `{"typ":"at+jwt","alg":"ES256","kid":"k1",`+member+`}`, claims(t, nil))
	}
	own := func(member string) string { // even where the Key Manager itself signed it
		return header(`{"typ":"at+jwt","alg":"ES256","kid":"k1",` + member + `}`)
	}
	padded := base64.URLEncoding.EncodeToString([]byte(goodHeader + " ")) // with padding
	for name, token := range map[string]string{
		"signed by a stranger":        stranger.token(t, goodHeader, claims(t, nil)),
		"alg none":                    unsigned("none"),
		"alg None":                    unsigned("None"),
		"alg NONE with a signature":   unsigned("NONE") + parts[2],
		"alg none with empty kid":     encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"empty signature":             parts[0] + "." + parts[1] + ".",
		"HS256 with the public key":   hmacToken(s.der),
		"RS256 by an RSA key":         rsaToken(t, parts[1]),
		"alg ES384":                   header(`{"typ":"at+jwt","alg":"ES384","kid":"k1"}`),
		"alg es256":                   header(`{"typ":"at+jwt","alg":"es256","kid":"k1"}`),
		"alg is a list":               header(`{"typ":"at+jwt","alg":["ES256"],"kid":"k1"}`),
		"embedded jwk":                extra(`"jwk":` + jwk),
		"embedded jwk, well signed":   own(`"jwk":` + jwk),
		"jku":                         extra(`"jku":"https://evil.example.com/jwks"`),
		"jku, well signed":            own(`"jku":"https://evil.example.com/jwks"`),
		"x5u":                         own(`"x5u":"https://evil.example.com/c.pem"`),
		"x5c":                         own(`"x5c":["MIIB"]`),
		"crit":                        own(`"crit":["exp"],"exp":1`),
		"unknown crit":                own(`"crit":["x"],"x":1`),
		"b64 false":                   own(`"b64":false,"crit":["b64"]`),
		"nested cty":                  own(`"cty":"JWT"`),
		"zip":                         own(`"zip":"DEF"`),
		"kid unknown":                 header(`{"typ":"at+jwt","alg":"ES256","kid":"k2"}`),
		"kid with traversal":          header(`{"typ":"at+jwt","alg":"ES256","kid":"../../k1"}`),
		"kid with SQL":                header(`{"typ":"at+jwt","alg":"ES256","kid":"k1' OR '1'='1"}`),
		"kid empty":                   header(`{"typ":"at+jwt","alg":"ES256","kid":""}`),
		"kid a number":                header(`{"typ":"at+jwt","alg":"ES256","kid":1}`),
		"kid missing":                 header(`{"typ":"at+jwt","alg":"ES256"}`),
		"kid twice":                   header(`{"typ":"at+jwt","alg":"ES256","kid":"k2","kid":"k1"}`),
		"alg twice":                   header(`{"typ":"at+jwt","alg":"none","kid":"k1","alg":"ES256"}`),
		"names in other case":         header(`{"typ":"at+jwt","ALG":"ES256","kid":"k1"}`),
		"header not an object":        header(`["ES256"]`),
		"header null":                 header(`null`),
		"header with more after it":   header(goodHeader + `{}`),
		"header not UTF-8":            header("{\"typ\":\"at+jwt\",\"alg\":\"ES256\",\"kid\":\"k1\",\"\xff\":1}"),
		"typ JWT":                     header(`{"typ":"JWT","alg":"ES256","kid":"k1"}`),
		"typ missing":                 header(`{"alg":"ES256","kid":"k1"}`),
		"an id token":                 s.token(t, `{"typ":"JWT","alg":"ES256","kid":"k1"}`, claims(t, map[string]any{"aud": "ck1"})),
		"wrong issuer":                changed(map[string]any{"iss": "https://evil.example.com"}),
		"issuer with a slash":         changed(map[string]any{"iss": "https://km.example.com/"}),
		"no issuer":                   changed(map[string]any{"iss": nil}),
		"wrong audience":              changed(map[string]any{"aud": "ck1"}),
		"audience in another case":    changed(map[string]any{"aud": "URN:sluice:apis"}),
		"no audience":                 changed(map[string]any{"aud": nil}),
		"audience list without ours":  changed(map[string]any{"aud": []string{"a", "b"}}),
		"audience of mixed types":     raw("aud", `["urn:sluice:apis",1]`),
		"audience null":               raw("aud", `null`),
		"no jti":                      changed(map[string]any{"jti": nil}),
		"no client":                   changed(map[string]any{"client_id": nil}),
		"client a number":             raw("client_id", `1`),
		"no subject":                  changed(map[string]any{"sub": nil}),
		"no key type":                 changed(map[string]any{"keytype": nil}),
		"unknown key type":            changed(map[string]any{"keytype": "production"}),
		"no kind":                     changed(map[string]any{"aut": nil}),
		"unknown kind":                changed(map[string]any{"aut": "USER"}),
		"scope a list":                raw("scope", `["read"]`),
		"scope null":                  raw("scope", `null`),
		"bound to a key":              raw("cnf", `{"jkt":"x"}`),
		"claim twice":                 s.token(t, goodHeader, strings.Replace(claims(t, nil), `{`, `{"sub":"bob",`, 1)),
		"claims not an object":        s.token(t, goodHeader, `"x"`),
		"claims deep":                 raw("x", strings.Repeat("[", 3000)+strings.Repeat("]", 3000)) + "x",
		"claim of 10 MB":              changed(map[string]any{"x": strings.Repeat("a", 10<<20)}),
		"1 MB of letters":             strings.Repeat("a", 1<<20),
		"1,000 dots":                  strings.Repeat(".", 1000),
		"two parts":                   parts[0] + "." + parts[1],
		"four parts":                  good + ".a",
		"five parts, encrypted":       "a.b.c.d.e",
		"no dot":                      "abc",
		"a dot":                       ".",
		"two dots":                    "..",
		"header padded":               padded + "." + parts[1] + "." + parts[2],
		"signature padded":            good + "=",
		"signature with unused bits":  good[:len(good)-1] + unusedBits(good[len(good)-1]),
		"signature with a line break": good[:len(good)-4] + "\n" + good[len(good)-4:],
		"signature in plain base64":   parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43),
		"signature in DER":            parts[0] + "." + parts[1] + "." + derSignature(t, s, parts[0]+"."+parts[1]),
		"signature of zeros":          parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)),
		"signature one byte longer":   parts[0] + "." + parts[1] + "." + encode(append(s.sign(t, parts[0]+"."+parts[1]), 0)),
		"payload of another token":    parts[0] + "." + encode([]byte(claims(t, map[string]any{"sub": "admin"}))) + "." + parts[2],
		"a blank inside":              parts[0] + ". " + parts[1] + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			// The good token is remembered, and must not help the bad one.
			if _, fault := trust.judge([]byte(good), testNow); fault != nil {
				t.Fatalf("good token: %s", fault.Code)
			}
			if a, fault := trust.judge([]byte(token), testNow); fault != InvalidCredentials {
				t.Errorf("judge = %+v, %v, want %v", a, fault, InvalidCredentials)
			}
		})
	}
}

// TestTokenTimes is the table of attacks D3.
func TestTokenTimes(t *testing.T) {
	s := newIssuer(t)
	now := testNow.Unix()
	number := func(name, value string) map[string]any { return map[string]any{name: json.RawMessage(value)} }
	for name, tc := range map[string]struct {
		changes map[string]any
		leeway  time.Duration
		want    *Fault
	}{
		"expired":                      {map[string]any{"exp": now}, 0, TokenExpired},
		"expired long ago":             {map[string]any{"iat": now - 100, "nbf": now - 100, "exp": now - 50}, 0, TokenExpired},
		"expired within leeway":        {map[string]any{"iat": now - 100, "exp": now - 59}, time.Minute, nil},
		"expired beyond leeway":        {map[string]any{"iat": now - 100, "exp": now - 60}, time.Minute, TokenExpired},
		"issued in the future":         {map[string]any{"iat": now + 1}, 0, InvalidCredentials},
		"issued within leeway":         {map[string]any{"iat": now + 60}, time.Minute, nil},
		"issued beyond leeway":         {map[string]any{"iat": now + 61}, time.Minute, InvalidCredentials},
		"valid from later":             {map[string]any{"nbf": now + 1}, 0, InvalidCredentials},
		"valid from, within leeway":    {map[string]any{"nbf": now + 60}, time.Minute, nil},
		"valid from, beyond leeway":    {map[string]any{"nbf": now + 61}, time.Minute, InvalidCredentials},
		"no exp":                       {map[string]any{"exp": nil}, 0, InvalidCredentials},
		"no iat":                       {map[string]any{"iat": nil}, 0, InvalidCredentials},
		"exp before iat":               {map[string]any{"exp": now - 20}, time.Minute, InvalidCredentials},
		"exp absurd":                   {map[string]any{"exp": 99_999_999_999}, 0, InvalidCredentials},
		"exp beyond 64 bits":           {number("exp", "99999999999999999999"), 0, InvalidCredentials},
		"exp a float":                  {number("exp", fmt.Sprintf("%d.5", now+60)), 0, InvalidCredentials},
		"exp a float without fraction": {number("exp", fmt.Sprintf("%d.0", now+60)), 0, InvalidCredentials},
		"exp with an exponent":         {number("exp", "2e9"), 0, InvalidCredentials},
		"exp negative":                 {number("exp", "-1"), 0, InvalidCredentials},
		"exp zero":                     {number("exp", "0"), 0, InvalidCredentials},
		"exp a text":                   {map[string]any{"exp": fmt.Sprint(now + 60)}, 0, InvalidCredentials},
		"exp null":                     {number("exp", "null"), 0, InvalidCredentials},
		"iat a float":                  {number("iat", "1.5"), 0, InvalidCredentials},
		"nbf a text":                   {map[string]any{"nbf": "1"}, 0, InvalidCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			trust := newTestTrust(t, s.tokens(), tc.leeway)
			token := []byte(s.token(t, goodHeader, claims(t, tc.changes)))
			if _, fault := trust.judge(token, testNow); fault != tc.want {
				t.Errorf("judge = %v, want %v", fault, tc.want)
			}
		})
	}
}

func TestRememberedTokenExpires(t *testing.T) {
	s := newIssuer(t)
	trust := newTestTrust(t, s.tokens(), 0)
	token := []byte(s.token(t, goodHeader, claims(t, nil)))
	for _, step := range []struct {
		after time.Duration
		want  *Fault
	}{{0, nil}, {59 * time.Minute, nil}, {time.Hour, TokenExpired}, {2 * time.Hour, TokenExpired}} {
		if _, fault := trust.judge(token, testNow.Add(step.after)); fault != step.want {
			t.Errorf("after %v: judge = %v, want %v", step.after, fault, step.want)
		}
	}
}

func TestSigningKeyEnds(t *testing.T) {
	s := newIssuer(t)
	tokens := s.tokens()
	tokens.Keys[0].NotAfter = testNow.Add(time.Minute)
	trust := newTestTrust(t, tokens, 0)
	token := []byte(s.token(t, goodHeader, claims(t, nil)))
	if _, fault := trust.judge(token, testNow); fault != nil {
		t.Errorf("while the key is in use: %v", fault)
	}
	if _, fault := trust.judge(token, testNow.Add(2*time.Minute)); fault != InvalidCredentials {
		t.Errorf("after its end: %v, want %v, though the token is remembered", fault, InvalidCredentials)
	}
}

func TestNewTrustRefuses(t *testing.T) {
	s := newIssuer(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]sluice.SigningKey{
		"a kid twice":       {{ID: "a", Algorithm: "ES256", Public: s.der}, {ID: "a", Algorithm: "ES256", Public: s.der}},
		"no kid":            {{Algorithm: "ES256", Public: s.der}},
		"alg none":          {{ID: "a", Algorithm: "none", Public: s.der}},
		"another algorithm": {{ID: "a", Algorithm: "HS256", Public: s.der}},
		"another curve":     {{ID: "a", Algorithm: "ES256", Public: other}},
		"no key":            {{ID: "a", Algorithm: "ES256", Public: []byte("x")}},
	} {
		if _, err := NewTrust(&artifact.Tokens{Issuer: "i", Keys: keys}, 0); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTokenCacheIsBounded(t *testing.T) {
	var c tokenCache
	live := &accessToken{expires: 100}
	for i := range 4 * cacheShardSize {
		d := sha256.Sum256(big.NewInt(int64(i)).Bytes())
		d[0] = 0 // all in one shard
		c.put(&d, live, 50)
		if c.get(&d) != live {
			t.Fatal("a token that was put is not there")
		}
	}
	if n := len(c[0].tokens); n != cacheShardSize {
		t.Errorf("a shard holds %d tokens, want %d", n, cacheShardSize)
	}
}

func coordinate(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// unusedBits returns a last character that decodes to the same octets.
func unusedBits(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)|1])
}

func derSignature(t testing.TB, s *issuer, input string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, s.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return encode(der)
}

func rsaToken(t testing.TB, payload string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	input := encode([]byte(`{"typ":"at+jwt","alg":"RS256","kid":"k1"}`)) + "." + payload
	digest := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(sig)
}
