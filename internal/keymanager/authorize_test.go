package keymanager

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

const verifier = "a-verifier-of-forty-three-characters-or-more-0"

// asked returns what a client asks for a code with; change holds names and
// values in turns, an empty value takes a parameter away.
func (f *fixture) asked(change ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {f.production.id}, "redirect_uri": {callback}, "state": {"st&te"}, "nonce": {"n1"},
		"scope": {"openid read write"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(change); i += 2 {
		if q.Set(change[i], change[i+1]); change[i+1] == "" {
			q.Del(change[i])
		}
	}
	return q
}

// logInOnPage sends the form of the login page.
func (f *fixture) logInOnPage(q url.Values, user, secret string, headers ...string) answer {
	f.t.Helper()
	form := url.Values{"username": {user}, "password": {secret}}
	maps.Copy(form, q)
	r := f.request(http.MethodPost, pathLogin, form.Encode())
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return f.do(r)
}

// code returns a code for the user.
func (f *fixture) code(user string, q url.Values) string {
	f.t.Helper()
	a := f.logInOnPage(q, user, password)
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther || to.Query().Get("code") == "" {
		f.t.Fatalf("login = %d %q %s", a.status, a.header.Get("Location"), a.body)
	}
	return to.Query().Get("code")
}

// use is the token request with a code.
func use(code string, change ...string) string {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	return form.Encode()
}

// A user goes from the client by the login page back to the client, which gets
// tokens for the code.
func TestAuthorizationCode(t *testing.T) {
	f := start(t, nil)
	a := f.do(f.request(http.MethodGet, pathAuthorize+"?"+f.asked("junk", "x").Encode(), ""))
	place := a.header.Get("Location")
	if a.status != http.StatusFound || !strings.HasPrefix(place, "https://localhost:9443/oauth2/login?") || strings.Contains(place, "junk") {
		t.Fatalf("GET %s = %d %q", pathAuthorize, a.status, place)
	}
	a = f.do(f.request(http.MethodGet, strings.TrimPrefix(place, "https://localhost:9443"), ""))
	csp := a.header.Get("Content-Security-Policy")
	if a.status != http.StatusOK || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "form-action 'self' https://app.example.com;") ||
		strings.Contains(csp, "unsafe") || a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("login page = %d %v", a.status, a.header)
	}
	form := url.Values{"username": {"ann"}, "password": {password}}
	for _, field := range regexp.MustCompile(`name="([a-z_]+)" value="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if field[1] != "username" {
			form.Set(field[1], html.UnescapeString(field[2]))
		}
	}
	if strings.Contains(a.body, "<script") || !strings.Contains(a.body, `<label for="password">`) || form.Get("state") != "st&te" {
		t.Errorf("login page: %s", a.body)
	}
	a = f.do(f.request(http.MethodPost, pathLogin, form.Encode()))
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther {
		t.Fatalf("login = %d %s", a.status, a.body)
	}
	code := to.Query().Get("code")
	want := url.Values{"from": {"sluice"}, "code": {code}, "state": {"st&te"}, "iss": {issuer}}
	if diff := cmp.Diff(want, to.Query()); diff != "" || to.Host != "app.example.com" || to.Path != "/back" {
		t.Errorf("back to %s (-want +got):\n%s", to, diff)
	}

	a = f.post(pathToken, f.production, use(code))
	if a.status != http.StatusOK || a.text("refresh_token") == "" || a.text("scope") != "openid read write" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("token = %d %s", a.status, a.body)
	}
	if c := f.claimsOf(a.text("access_token")); c["sub"] != "ann" || c["aut"] != "APPLICATION_USER" || c["client_id"] != f.production.id {
		t.Errorf("claims = %v", c)
	}
	id := jwt.MapClaims{}
	token, _, err := jwt.NewParser().ParseUnverified(a.text("id_token"), id)
	if err != nil || token.Header["typ"] != "JWT" || id["sub"] != "ann" || id["aud"] != f.production.id || id["nonce"] != "n1" || id["iss"] != issuer ||
		id["exp"] != float64(f.now().Add(time.Hour).Unix()) || id["at_hash"] == "" || id["auth_time"] == nil {
		t.Errorf("id_token = %v %v, %v", token.Header, id, err)
	}
	if _, ok := f.server.signer.verify(a.text("id_token")); ok {
		t.Error("an id_token is taken as an access token")
	}
	if b := f.post(pathToken, f.production, renew(a.text("refresh_token"))); b.status != http.StatusOK {
		t.Errorf("refresh = %d %s", b.status, b.body)
	}
	// Userinfo.
	info := func(bearer string) answer {
		r := f.request(http.MethodGet, pathUserinfo, "")
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		return f.do(r)
	}
	f.update(func(tx *database.Tx) error {
		u, err := tx.UserByName(sluice.DefaultOrganization, "ann")
		if err != nil {
			return err
		}
		u.Email = "ann@example.com"
		return tx.PutUser(&u)
	})
	got := info(a.text("access_token"))
	if diff := cmp.Diff(map[string]any{"sub": "ann", "preferred_username": "ann", "email": "ann@example.com"}, got.json); diff != "" || got.status != http.StatusOK {
		t.Errorf("userinfo = %d (-want +got):\n%s", got.status, diff)
	}
	f.post(pathRevoke, f.production, "token="+a.text("access_token"))
	for name, bearer := range map[string]string{
		"none": "", "revoked": a.text("access_token"), "without openid": f.token(f.production, as("ann")), "no token": "x",
		"of an application": f.token(f.production, "grant_type=client_credentials&scope=openid"), "id_token": a.text("id_token"),
	} {
		if got := info(bearer); got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("userinfo with %s = %d %s", name, got.status, got.body)
		}
	}
	if got := f.audited(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "code.issue ann key-production") }) {
		t.Errorf("audit: %q", got)
	}
}

// What cannot be told to a client is told to the user, with no way back.
func TestAuthorizationRefusals(t *testing.T) {
	f := start(t, nil)
	for name, c := range map[string]struct {
		change []string
		back   string // error at the client; empty: a page
	}{
		"an unknown client":              {[]string{"client_id", "nobody"}, ""},
		"no client":                      {[]string{"client_id", ""}, ""},
		"another redirect URI":           {[]string{"redirect_uri", "https://evil.example.com/"}, ""},
		"no redirect URI":                {[]string{"redirect_uri", ""}, ""},
		"a client without redirect URI":  {[]string{"client_id", f.other.id}, ""},
		"no response type":               {[]string{"response_type", ""}, "invalid_request"},
		"the implicit flow":              {[]string{"response_type", "token"}, "unsupported_response_type"},
		"a hybrid flow":                  {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		"no challenge":                   {[]string{"code_challenge", ""}, "invalid_request"},
		"no method, which means plain":   {[]string{"code_challenge_method", ""}, "invalid_request"},
		"plain":                          {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"a challenge that is no SHA-256": {[]string{"code_challenge", "abc"}, "invalid_request"},
		"an answer in the fragment":      {[]string{"response_mode", "fragment"}, "invalid_request"},
		"a request object":               {[]string{"request", "e30.e30."}, "request_not_supported"},
		"a request to fetch":             {[]string{"request_uri", "https://evil.example.com/"}, "request_not_supported"},
		"a malformed scope":              {[]string{"scope", `a"b`}, "invalid_scope"},
		"no login wanted":                {[]string{"prompt", "none"}, "login_required"},
		"a long nonce":                   {[]string{"nonce", strings.Repeat("n", 501)}, "invalid_request"},
	} {
		for _, path := range []string{pathAuthorize, pathLogin} {
			a := f.do(f.request(http.MethodGet, path+"?"+f.asked(c.change...).Encode(), ""))
			to, err := url.Parse(a.header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			if c.back == "" {
				if a.status != http.StatusBadRequest || to.String() != "" || !strings.Contains(a.body, "This did not work") || !strings.Contains(a.header.Get("Content-Security-Policy"), "form-action 'none'") {
					t.Errorf("%s at %s = %d %q", name, path, a.status, to)
				}
				continue
			}
			if q := to.Query(); a.status != http.StatusFound || q.Get("error") != c.back || q.Get("state") != "st&te" || q.Get("iss") != issuer || q.Has("code") || to.Host != "app.example.com" {
				t.Errorf("%s at %s = %d %q, want %s", name, path, a.status, to, c.back)
			}
		}
	}
	twice := f.asked()
	twice["state"] = []string{"a", "b"}
	if a := f.do(f.request(http.MethodGet, pathAuthorize+"?"+twice.Encode(), "")); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
		t.Errorf("a parameter twice = %d %q", a.status, a.header.Get("Location"))
	}
	if a := f.do(f.request(http.MethodPost, pathAuthorize, f.asked().Encode())); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST = %d", a.status)
	}
}

func TestLoginPageRefuses(t *testing.T) {
	f := start(t, nil)
	for name, c := range map[string]struct {
		user, secret string
		headers      []string
		status       int
	}{
		"a wrong password":           {"ann", "wrong", nil, 403},
		"an unknown user":            {"nobody", password, nil, 403},
		"a user of another one":      {"zoe", password, nil, 403},
		"a temporary password":       {"new", password, nil, 403},
		"no password":                {"ann", "", nil, 403},
		"a form of another site":     {"ann", password, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a form of an old browser's": {"ann", password, []string{"Origin", "https://evil.example.com"}, 403},
		"a body that is no form":     {"ann", password, []string{"Content-Type", "application/json"}, 400},
	} {
		a := f.logInOnPage(f.asked(), c.user, c.secret, c.headers...)
		if a.status != c.status || a.header.Get("Location") != "" || strings.Contains(a.body, password) {
			t.Errorf("%s = %d %q %s", name, a.status, a.header.Get("Location"), a.body)
		}
		if c.headers == nil && (!strings.Contains(a.body, `role="alert"`) || !strings.Contains(a.body, `name="state" value="st&amp;te"`)) {
			t.Errorf("%s does not show the form again: %s", name, a.body)
		}
	}
	f.loginErr = sluice.Errorf(sluice.TooMany, "login.slow", "Slow.")
	if a := f.logInOnPage(f.asked(), "ann", password); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("too many logins = %d %v", a.status, a.header)
	}
	if a := f.do(f.request(http.MethodPut, pathLogin, "")); a.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT = %d", a.status)
	}
}

func TestRedirectMatches(t *testing.T) {
	for name, c := range map[string]struct {
		registered, asked string
		want              bool
	}{
		"the same":                        {"https://a.example.com/b", "https://a.example.com/b", true},
		"a scheme of its own":             {"com.example.app:/b", "com.example.app:/b", true},
		"another port of a loopback IP":   {"http://127.0.0.1/b?x=1", "http://127.0.0.1:5555/b?x=1", true},
		"another port of IPv6's":          {"http://[::1]:80/b", "http://[::1]:5555/b", true},
		"another port of localhost":       {"http://localhost:80/b", "http://localhost:81/b", false},
		"localhost for the loopback IP":   {"http://127.0.0.1/b", "http://localhost/b", false},
		"another loopback IP":             {"http://127.0.0.1/b", "http://127.0.0.2/b", false},
		"a loopback IP with another path": {"http://127.0.0.1/b", "http://127.0.0.1:5555/c", false},
		"a loopback IP with https":        {"https://127.0.0.1/b", "https://127.0.0.1:5555/b", false},
		"an empty port":                   {"http://127.0.0.1/b", "http://127.0.0.1:/b", false},
		"a prefix":                        {"https://a.example.com/b", "https://a.example.com/b/c", false},
		"a suffix":                        {"https://a.example.com/b", "https://evil.example.com/?https://a.example.com/b", false},
		"an extra slash":                  {"https://a.example.com/b", "https://a.example.com/b/", false},
		"another case":                    {"https://a.example.com/b", "https://A.example.com/b", false},
		"user information":                {"https://a.example.com/b", "https://a.example.com@evil.example.com/b", false},
		"user information of the same":    {"https://a.example.com/b", "https://x@a.example.com/b", false},
		"a fragment":                      {"https://a.example.com/b", "https://a.example.com/b#x", false},
		"another port":                    {"https://a.example.com/b", "https://a.example.com:444/b", false},
		"a query more":                    {"https://a.example.com/b", "https://a.example.com/b?x", false},
		"a percent-encoded letter":        {"https://a.example.com/b", "https://a.example.com/%62", false},
		"a dot segment":                   {"https://a.example.com/b", "https://a.example.com/x/../b", false},
		"nothing":                         {"", "", false},
		"plain http elsewhere":            {"http://a.example.com/b", "http://a.example.com/b", false},
		"a script":                        {"javascript:alert(1)", "javascript:alert(1)", false},
		"data":                            {"data:text/html,x", "data:text/html,x", false},
		"text that is no URI":             {"www.google.lk", "www.google.lk", false},
		"a wildcard":                      {"https://*.example.com/", "https://*.example.com/", false},
	} {
		if got := redirectMatches(c.registered, c.asked); got != c.want {
			t.Errorf("%s: redirectMatches(%q, %q) = %t", name, c.registered, c.asked, got)
		}
	}
}

func TestCodesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		by     func(f *fixture) client
		before func(f *fixture)
		change []string
		spoils bool // the code cannot be used afterwards
	}{
		"another client":       {by: func(f *fixture) client { return f.otherWithCode() }},
		"another redirect URI": {change: []string{"redirect_uri", "https://app.example.com/back"}, spoils: true},
		"a wrong verifier":     {change: []string{"code_verifier", verifier + "x"}, spoils: true},
		"no verifier":          {change: []string{"code_verifier", ""}, spoils: true},
		"the challenge":        {change: []string{"code_verifier", "Jq6vb8zUFmyfpt4cJ8ZEhQTd5tMNrrxV4Z_eCDVMVh8"}, spoils: true},
		"too late":             {before: func(f *fixture) { f.clock.Add(300) }, spoils: true},
		"another code":         {change: []string{"code", "x"}},
		"another password": {before: func(f *fixture) {
			f.update(func(tx *database.Tx) error {
				u, err := tx.UserByName(sluice.DefaultOrganization, "ann")
				if err != nil {
					return err
				}
				u.PasswordHash = "another"
				return tx.PutUser(&u)
			})
		}, spoils: true},
		"the user is gone": {before: func(f *fixture) {
			f.update(func(tx *database.Tx) error { return tx.DeleteUser(sluice.DefaultOrganization, "user-ann") })
		}, spoils: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			code := f.code("ann", f.asked())
			by := f.production
			if c.by != nil {
				by = c.by(f)
			}
			if c.before != nil {
				c.before(f)
			}
			f.refused(f.post(pathToken, by, use(code, c.change...)), 400, "invalid_grant")
			if a := f.post(pathToken, f.production, use(code)); (a.status == 200) == c.spoils {
				t.Errorf("the code afterwards = %d %s", a.status, a.body)
			}
		})
	}
}

// otherWithCode lets the other client use codes, and returns it.
func (f *fixture) otherWithCode() client {
	f.t.Helper()
	f.update(func(tx *database.Tx) error {
		k, err := tx.ConsumerKey(f.other.id)
		if err != nil {
			return err
		}
		k.Grants, k.CallbackURL = append(k.Grants, sluice.GrantAuthorizationCode), callback
		return tx.PutConsumerKey(&k)
	})
	return f.other
}

// withoutCode takes the authorization_code grant from the production key.
func (f *fixture) withoutCode() {
	f.t.Helper()
	f.update(func(tx *database.Tx) error {
		k, err := tx.ConsumerKey(f.production.id)
		if err != nil {
			return err
		}
		k.Grants = slices.DeleteFunc(k.Grants, func(g string) bool { return g == sluice.GrantAuthorizationCode })
		return tx.PutConsumerKey(&k)
	})
}

// A code that is used twice was stolen: what it gave ends.
func TestCodeReuse(t *testing.T) {
	for name, refreshes := range map[string]bool{"with a refresh token": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			by := f.production
			if !refreshes {
				by = f.otherWithCode()
			}
			code := f.code("ann", f.asked("client_id", by.id))
			first := f.post(pathToken, by, use(code))
			if first.status != 200 || (first.text("refresh_token") != "") != refreshes {
				t.Fatalf("first use = %d %s", first.status, first.body)
			}
			f.refused(f.post(pathToken, by, use(code)), 400, "invalid_grant")
			if a := f.post(pathIntrospect, by, "token="+first.text("access_token")); a.json["active"] != false {
				t.Errorf("the access token after a second use: %s", a.body)
			}
			if refreshes {
				f.refused(f.post(pathToken, by, renew(first.text("refresh_token"))), 400, "invalid_grant")
			}
			if got := f.audited(); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "code.reuse ann "+by.id) }) {
				t.Errorf("audit: %q", got)
			}
			f.refused(f.post(pathToken, by, use(code)), 400, "invalid_grant")
		})
	}
}

// A management client gets codes with a real redirect URI alone.
func TestManagementCode(t *testing.T) {
	f := start(t, nil)
	register := func(redirect string) {
		f.update(func(tx *database.Tx) error {
			c, err := tx.ManagementClient(f.manager.id)
			if err != nil {
				return err
			}
			c.CallbackURL, c.Grants = redirect, append(c.Grants, sluice.GrantAuthorizationCode)
			return tx.PutManagementClient(&c)
		})
	}
	q := f.asked("client_id", f.manager.id, "scope", "apim:api_view openid")
	register("www.google.lk")
	if a := f.do(f.request(http.MethodGet, pathAuthorize+"?"+f.asked("client_id", f.manager.id, "redirect_uri", "www.google.lk").Encode(), "")); a.status != 400 {
		t.Errorf("a text as redirect URI = %d", a.status)
	}
	register(callback)
	a := f.post(pathToken, f.manager, use(f.code("ann", q)))
	if a.status != 200 || a.text("scope") != "apim:api_view" || a.text("refresh_token") == "" || a.text("id_token") != "" || strings.Contains(a.text("access_token"), ".") {
		t.Errorf("token = %d %s", a.status, a.body)
	}
}
