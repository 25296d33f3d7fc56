package keymanager

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// claimsOf checks a token as a gateway does, with another library, and returns
// its claims.
func (f *fixture) claimsOf(token string) jwt.MapClaims {
	f.t.Helper()
	key := f.server.Trust().Keys[0]
	public, err := x509.ParsePKIXPublicKey(key.Public)
	if err != nil {
		f.t.Fatal(err)
	}
	parsed, err := jwt.Parse(token, func(token *jwt.Token) (any, error) {
		if diff := cmp.Diff(map[string]any{"typ": "at+jwt", "alg": "ES256", "kid": key.ID}, token.Header); diff != "" {
			f.t.Errorf("token header (-want +got):\n%s", diff)
		}
		return public.(*ecdsa.PublicKey), nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience("urn:sluice:apis"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(f.now))
	if err != nil {
		f.t.Fatal(err)
	}
	return parsed.Claims.(jwt.MapClaims)
}

func TestTokens(t *testing.T) {
	f := start(t, nil)
	for name, c := range map[string]struct {
		client client
		form   string
		want   jwt.MapClaims
	}{
		"of the application": {f.production, "grant_type=client_credentials", jwt.MapClaims{
			"sub": f.production.id, "client_id": f.production.id, "scope": "am_application_scope default", "keytype": "PRODUCTION", "aut": "APPLICATION",
		}},
		"of the application, sandbox": {f.sandbox, "grant_type=client_credentials&scope=read", jwt.MapClaims{
			"sub": f.sandbox.id, "client_id": f.sandbox.id, "scope": "am_application_scope read", "keytype": "SANDBOX", "aut": "APPLICATION",
		}},
		"of a user": {f.production, as("bob"), jwt.MapClaims{
			"sub": "bob", "client_id": f.production.id, "scope": "default", "keytype": "PRODUCTION", "aut": "APPLICATION_USER",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.post(pathToken, c.client, c.form)
			if a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			for header, want := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json"} {
				if got := a.header.Get(header); got != want {
					t.Errorf("%s = %q, want %q", header, got, want)
				}
			}
			got := f.claimsOf(a.text("access_token"))
			if id, _ := got["jti"].(string); len(id) != 36 || id[14] != '7' {
				t.Errorf("jti = %v, want a UUID of version 7", got["jti"])
			}
			delete(got, "jti")
			now := float64(f.clock.Load())
			c.want["iss"], c.want["aud"], c.want["iat"], c.want["nbf"], c.want["exp"] = issuer, "urn:sluice:apis", now, now, now+600
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			delete(a.json, "access_token")
			delete(a.json, "refresh_token")
			if diff := cmp.Diff(map[string]any{"token_type": "Bearer", "expires_in": 600.0, "scope": c.want["scope"]}, a.json); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryRequestGetsANewToken(t *testing.T) {
	f := start(t, nil)
	if a, b := f.token(f.production, as("bob")), f.token(f.production, as("bob")); a == b {
		t.Error("the same token twice")
	}
}

func TestClientAuthenticationInTheBody(t *testing.T) {
	f := start(t, nil)
	a := f.do(f.request(http.MethodPost, pathToken, "grant_type=client_credentials&client_id="+f.production.id+"&client_secret="+f.production.secret))
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

// The refusals of the token endpoint, in the order of the contract.
func TestRefusals(t *testing.T) {
	f := start(t, nil)
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	right := basic(f.production.id, f.production.secret)
	ownBody := "grant_type=client_credentials&client_id=" + f.production.id + "&client_secret=" + f.production.secret
	const form = "grant_type=client_credentials"
	scopes := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "s%d+", i)
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		method, target, auth, body, contentType string
		status                                  int
		err                                     string
	}{
		"unknown client":                 {auth: basic("nobody", "secret"), status: 401, err: "invalid_client"},
		"wrong secret":                   {auth: basic(f.production.id, "wrong"), status: 401, err: "invalid_client"},
		"no authentication":              {body: form, status: 401, err: "invalid_client"},
		"client without a secret":        {body: form + "&client_id=" + f.production.id, status: 401, err: "invalid_client"},
		"empty secret":                   {auth: basic(f.production.id, ""), status: 401, err: "invalid_client"},
		"two methods at once":            {auth: right, body: ownBody, status: 401, err: "invalid_client"},
		"two methods, one incomplete":    {auth: right, body: form + "&client_secret=x", status: 401, err: "invalid_client"},
		"a client assertion":             {auth: right, body: form + "&client_assertion=x", status: 401, err: "invalid_client"},
		"Basic that is not base64":       {auth: "Basic !", status: 401, err: "invalid_client"},
		"Basic without a colon":          {auth: "Basic " + base64.StdEncoding.EncodeToString([]byte("id")), status: 401, err: "invalid_client"},
		"Basic with a broken escape":     {auth: basic("a%zz", "b"), status: 401, err: "invalid_client"},
		"Basic that is not UTF-8":        {auth: basic("a%ff", "b"), status: 401, err: "invalid_client"},
		"Basic with NUL":                 {auth: basic("a%00", "b"), status: 401, err: "invalid_client"},
		"another scheme":                 {auth: "Bearer token", status: 401, err: "invalid_client"},
		"client_id of another":           {auth: right, body: form + "&client_id=" + f.other.id, status: 400, err: "invalid_request"},
		"wrong password":                 {auth: right, body: "grant_type=password&username=ann&password=wrong", status: 400, err: "invalid_grant"},
		"unknown user":                   {auth: right, body: "grant_type=password&username=nobody&password=x", status: 400, err: "invalid_grant"},
		"user of another organization":   {auth: right, body: as("zoe"), status: 400, err: "invalid_grant"},
		"temporary password":             {auth: right, body: as("new"), status: 400, err: "invalid_grant"},
		"grant not ticked":               {auth: basic(f.sandbox.id, f.sandbox.secret), body: as("ann"), status: 400, err: "unauthorized_client"},
		"grant not ticked, other":        {auth: basic(f.other.id, f.other.secret), status: 400, err: "unauthorized_client"},
		"application grant, for manager": {auth: basic(f.manager.id, f.manager.secret), status: 400, err: "unauthorized_client"},
		"unknown grant":                  {auth: right, body: "grant_type=magic", status: 400, err: "unsupported_grant_type"},
		"unknown refresh token":          {auth: right, body: "grant_type=refresh_token&refresh_token=x", status: 400, err: "invalid_grant"},
		"no refresh token":               {auth: right, body: "grant_type=refresh_token", status: 400, err: "invalid_request"},
		"refresh token twice":            {auth: right, body: "grant_type=refresh_token&refresh_token=x&refresh_token=x", status: 400, err: "invalid_request"},
		"refreshing is not ticked":       {auth: basic(f.other.id, f.other.secret), body: "grant_type=refresh_token&refresh_token=x", status: 400, err: "unauthorized_client"},
		"refreshing, for bare manager":   {auth: basic(f.bare.id, f.bare.secret), body: "grant_type=refresh_token&refresh_token=x", status: 400, err: "unauthorized_client"},
		"refreshing, malformed scope":    {auth: right, body: "grant_type=refresh_token&refresh_token=x&scope=%22", status: 400, err: "invalid_scope"},
		"refreshing, wrong secret":       {auth: basic(f.production.id, "wrong"), body: "grant_type=refresh_token&refresh_token=x", status: 401, err: "invalid_client"},
		"authorization_code":             {auth: right, body: "grant_type=authorization_code&code=x", status: 400, err: "invalid_request"},
		"implicit":                       {auth: right, body: "grant_type=implicit", status: 400, err: "unsupported_grant_type"},
		"no grant_type":                  {auth: right, body: "scope=a", status: 400, err: "invalid_request"},
		"no body":                        {auth: right, body: " ", status: 400, err: "invalid_request"},
		"no username":                    {auth: right, body: "grant_type=password&password=x", status: 400, err: "invalid_request"},
		"no password":                    {auth: right, body: "grant_type=password&username=ann", status: 400, err: "invalid_request"},
		"parameter twice":                {auth: right, body: form + "&scope=a&scope=b", status: 400, err: "invalid_request"},
		"unknown parameter twice":        {auth: right, body: form + "&x=a&x=a", status: 400, err: "invalid_request"},
		"credentials in the URL":         {target: "?client_id=" + f.production.id + "&client_secret=" + f.production.secret, status: 400, err: "invalid_request"},
		"grant in the URL":               {target: "?grant_type=client_credentials", auth: right, body: "scope=a", status: 400, err: "invalid_request"},
		"empty query":                    {target: "?", auth: right, status: 400, err: "invalid_request"},
		"broken escape in the body":      {auth: right, body: form + "&x=%zz", status: 400, err: "invalid_request"},
		"body that is not UTF-8":         {auth: right, body: form + "&x=%ff", status: 400, err: "invalid_request"},
		"NUL in a user name":             {auth: right, body: "grant_type=password&username=a%00&password=x", status: 400, err: "invalid_request"},
		"JSON body":                      {auth: right, contentType: "application/json", body: `{"grant_type":"client_credentials"}`, status: 400, err: "invalid_request"},
		"no media type":                  {auth: right, contentType: "-", status: 400, err: "invalid_request"},
		"quotes in a scope":              {auth: right, body: form + "&scope=%22a%22", status: 400, err: "invalid_scope"},
		"line break in a scope":          {auth: right, body: form + "&scope=a%0d%0ab", status: 400, err: "invalid_scope"},
		"101 scopes":                     {auth: right, body: form + "&scope=" + scopes(101), status: 400, err: "invalid_scope"},
		"10,000 scopes":                  {auth: right, body: form + "&scope=" + scopes(10_000), status: 400, err: "invalid_scope"},
		"scopes with a user":             {auth: right, body: as("ann") + "&scope=%5c", status: 400, err: "invalid_scope"},
		"token that never expires":       {auth: right, body: form + "&validity_period=-1", status: 400, err: "invalid_request"},
		"validity zero":                  {auth: right, body: form + "&validity_period=0", status: 400, err: "invalid_request"},
		"validity of a fraction":         {auth: right, body: form + "&validity_period=1.5", status: 400, err: "invalid_request"},
		"GET":                            {method: http.MethodGet, auth: right, status: 405, err: "invalid_request"},
		"GET with everything":            {method: http.MethodGet, target: "?" + ownBody, status: 405, err: "invalid_request"},
		"PUT":                            {method: http.MethodPut, auth: right, status: 405, err: "invalid_request"},
		"10 MB body":                     {auth: right, body: form + "&x=" + strings.Repeat("x", 10<<20), status: 413, err: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			method, body := c.method, c.body
			if method == "" {
				method = http.MethodPost
			}
			if body == "" {
				body = form
			}
			r := f.request(method, pathToken+c.target, body)
			if c.auth != "" {
				r.Header.Set("Authorization", c.auth)
			}
			switch c.contentType {
			case "":
			case "-":
				r.Header.Del("Content-Type")
			default:
				r.Header.Set("Content-Type", c.contentType)
			}
			f.refused(f.do(r), c.status, c.err)
		})
	}
	if got := f.audited(); len(got) != 1 {
		t.Errorf("audit = %q, want nothing of refused requests", got)
	}
}

// refused checks all that a refusal must have.
func (f *fixture) refused(a answer, status int, code string) {
	f.t.Helper()
	if a.status != status || a.text("error") != code {
		f.t.Errorf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
	description := a.text("error_description")
	if len(a.json) != 2 || description == "" || strings.ContainsAny(description, "\"\\\n") {
		f.t.Errorf("body = %s, want error and error_description without quotes", a.body)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		f.t.Errorf("Cache-Control = %q, want no-store", got)
	}
	if got := a.header.Get("WWW-Authenticate"); strings.HasPrefix(got, "Basic ") != (status == http.StatusUnauthorized) {
		f.t.Errorf("%d with WWW-Authenticate = %q", status, got)
	}
	if got := a.header.Get("Allow"); (got == http.MethodPost) != (status == http.StatusMethodNotAllowed) {
		f.t.Errorf("%d with Allow = %q", status, got)
	}
	if got := a.header.Get("Retry-After"); (got != "") != (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		f.t.Errorf("%d with Retry-After = %q", status, got)
	}
}

func TestBodyOfUnknownLengthIsCutOff(t *testing.T) {
	f := start(t, nil)
	r := f.request(http.MethodPost, pathToken, "grant_type=client_credentials&x="+strings.Repeat("x", 1<<20))
	r.ContentLength = -1
	r.SetBasicAuth(f.production.id, f.production.secret)
	f.refused(f.do(r), http.StatusRequestEntityTooLarge, "invalid_request")
}

func TestWrongUserAndWrongPasswordLookTheSame(t *testing.T) {
	f := start(t, nil)
	bodies := map[string]bool{}
	for _, form := range []string{"grant_type=password&username=ann&password=wrong", "grant_type=password&username=nobody&password=wrong", as("zoe")} {
		bodies[f.post(pathToken, f.production, form).body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("answers = %v, want one text", bodies)
	}
}

func TestPasswordGrantIsOff(t *testing.T) {
	f := start(t, func(o *Options) { o.PasswordGrant, o.LegacyLogin = false, false })
	f.refused(f.post(pathToken, f.production, as("ann")), 400, "unsupported_grant_type")
	f.withoutCode()
	f.refused(f.post(pathToken, f.production, renew("x")), 400, "unsupported_grant_type")
	f.refused(f.post(pathToken, f.manager, renew("x")), 400, "unauthorized_client")

	a := f.post(pathToken, f.manager, as("ann"))
	f.refused(a, 400, "unauthorized_client")
	for _, way := range []string{"sluice token create", "apictl login ENV --token"} {
		if !strings.Contains(a.text("error_description"), way) {
			t.Errorf("description %q does not name %q", a.text("error_description"), way)
		}
	}
	if strings.Contains(f.do(f.request(http.MethodGet, "/.well-known/openid-configuration", "")).body, "password") {
		t.Error("the metadata offers the password grant")
	}
}

func TestServiceFailures(t *testing.T) {
	f := start(t, nil)
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"the login slows down":    {sluice.Errorf(sluice.TooMany, "login.slow", "Slow."), 429, "temporarily_unavailable"},
		"the database is away":    {fmt.Errorf("read: %w", sluice.Errorf(sluice.Unavailable, "database.unreachable", "Away.")), 503, "temporarily_unavailable"},
		"something of ours broke": {fmt.Errorf("secret details"), 500, "server_error"},
	} {
		t.Run(name, func(t *testing.T) {
			f.loginErr = c.err
			a := f.post(pathToken, f.production, as("ann"))
			f.refused(a, c.status, c.code)
			if strings.Contains(a.body, "details") {
				t.Errorf("the answer shows the error: %s", a.body)
			}
		})
	}
}

func TestWrongSecretsAreSlowedDown(t *testing.T) {
	f := start(t, nil)
	wrong := client{f.production.id, "wrong"}
	for range freeFailures {
		f.refused(f.post(pathToken, wrong, "grant_type=client_credentials"), 401, "invalid_client")
	}
	for _, form := range []string{"grant_type=client_credentials", as("ann")} {
		f.refused(f.post(pathToken, wrong, form), 429, "temporarily_unavailable")
	}
	f.refused(f.post(pathIntrospect, wrong, "token=x"), 429, "temporarily_unavailable")
	f.refused(f.post(pathToken, client{"nobody", "wrong"}, "grant_type=client_credentials"), 401, "invalid_client")
	f.token(f.production, "grant_type=client_credentials") // whoever has the secret is not locked out
}

func TestValidity(t *testing.T) {
	f := start(t, nil)
	for name, c := range map[string]struct {
		ttl  time.Duration // of the key
		form string
		want float64
	}{
		"the key's own":                      {600 * time.Second, "grant_type=client_credentials", 600},
		"the installation's":                 {0, "grant_type=client_credentials", 3600},
		"asked for":                          {600 * time.Second, "grant_type=client_credentials&validity_period=30", 30},
		"asked for more than allowed":        {600 * time.Second, "grant_type=client_credentials&validity_period=9223372036854775807", 7200},
		"key older than a lower maximum":     {24 * time.Hour, "grant_type=client_credentials", 7200},
		"parameter is not for user's tokens": {600 * time.Second, as("ann") + "&validity_period=30", 600},
	} {
		t.Run(name, func(t *testing.T) {
			f.update(func(tx *database.Tx) error {
				key, err := tx.ConsumerKey(f.production.id)
				if err != nil {
					return err
				}
				key.TokenTTL = c.ttl
				return tx.PutConsumerKey(&key)
			})
			if got := f.post(pathToken, f.production, c.form).json["expires_in"]; got != c.want {
				t.Errorf("expires_in = %v, want %v", got, c.want)
			}
		})
	}
}

func TestPasswordGrantIsAuditedAndStoresNothing(t *testing.T) {
	f := start(t, nil)
	for range 3 {
		f.token(f.production, "grant_type=client_credentials")
	}
	id := f.claimsOf(f.token(f.production, as("bob")))["jti"].(string)
	if got, want := f.audited()[1:], []string{"token.issue bob " + f.production.id + " " + id}; !slices.Equal(got, want) {
		t.Errorf("audit = %q, want %q", got, want)
	}
	f.view(func(tx *database.Tx) error {
		tokens, err := tx.AccessTokens("user-bob")
		if len(tokens) != 0 {
			t.Errorf("stored tokens = %v, want none of signed ones", tokens)
		}
		return err
	})
}

func TestManagementLogin(t *testing.T) {
	f := start(t, nil)
	for name, c := range map[string]struct {
		user, scope, want string
	}{
		"unknown and unearned scopes are dropped": {"ann", "apim:api_view apim:no_such apim:admin apim:api_publish", "apim:api_view apim:api_publish"},
		"no role for any":                         {"bob", "apim:api_view", "default"},
		"none asked for":                          {"ann", "", "default"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.post(pathToken, f.manager, as(c.user)+"&scope="+strings.ReplaceAll(c.scope, " ", "+"))
			if a.status != http.StatusOK || a.text("scope") != c.want || a.json["expires_in"] != 3600.0 || a.text("token_type") != "Bearer" {
				t.Fatalf("%d %s, want scope %q", a.status, a.body, c.want)
			}
			var stored sluice.AccessToken
			f.view(func(tx *database.Tx) (err error) {
				stored, err = tx.AccessTokenByHash(sluice.Secret(a.text("access_token")).Hash())
				return err
			})
			want := sluice.AccessToken{
				ID: stored.ID, Hash: stored.Hash, UserID: "user-" + c.user, ClientID: f.manager.id, Scopes: strings.Fields(c.want),
				CreatedAt: f.now().UTC(), ExpiresAt: f.now().UTC().Add(time.Hour),
			}
			if diff := cmp.Diff(want, stored); diff != "" {
				t.Errorf("stored token (-want +got):\n%s", diff)
			}
			if got, want := f.audited(), "token.issue "+c.user+" "+f.manager.id+" "+stored.ID; got[len(got)-1] != want {
				t.Errorf("audit = %q, want %q last", got, want)
			}
		})
	}
	f.refused(f.post(pathToken, f.bare, as("ann")), 400, "unauthorized_client")
	f.refused(f.post(pathToken, f.manager, as("zoe")), 400, "invalid_grant")
	f.refused(f.post(pathToken, f.manager, as("ann")+"&scope=%22"), 400, "invalid_scope")
}

func TestExpiredManagementTokensAreDeleted(t *testing.T) {
	f := start(t, nil)
	f.token(f.manager, as("ann"))
	f.clock.Add(3601)
	f.token(f.manager, as("ann"))
	f.view(func(tx *database.Tx) error {
		tokens, err := tx.AccessTokens("user-ann")
		if len(tokens) != 1 {
			t.Errorf("%d tokens are stored, want 1", len(tokens))
		}
		return err
	})
}

func TestIssueApplicationToken(t *testing.T) {
	f := start(t, nil)
	token, ttl, scopes, err := f.server.IssueApplicationToken(t.Context(), f.sandbox.id, []string{"read", "trade"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"am_application_scope", "read"}; ttl != 10*time.Minute || !slices.Equal(scopes, want) {
		t.Errorf("validity %s, scopes %q, want 10m and %q", ttl, scopes, want)
	}
	if got := f.claimsOf(token.Reveal()); got["sub"] != f.sandbox.id || got["scope"] != "am_application_scope read" {
		t.Errorf("claims = %v", got)
	}
	if _, ttl, _, _ := f.server.IssueApplicationToken(t.Context(), f.sandbox.id, nil, 24*time.Hour); ttl != 2*time.Hour {
		t.Errorf("validity = %s, want the maximum of 2h", ttl)
	}
	for name, c := range map[string]struct {
		key    string
		scopes []string
		kind   sluice.Kind
	}{
		"unknown key":         {"nobody", nil, sluice.NotFound},
		"grant not ticked":    {f.other.id, nil, sluice.Invalid},
		"malformed scope":     {f.sandbox.id, []string{`"`}, sluice.Invalid},
		"a management client": {f.manager.id, nil, sluice.NotFound},
	} {
		if _, _, _, err := f.server.IssueApplicationToken(t.Context(), c.key, c.scopes, 0); err == nil || sluice.KindOf(err) != c.kind {
			t.Errorf("%s: error = %v, want kind %s", name, err, c.kind)
		}
	}
}
