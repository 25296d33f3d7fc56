package gateway_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/gateway/http2"
	"github.com/sluice-api/sluice/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuerName = "https://km.example.com"

// world is a gateway with what it needs around it, and a Key Manager's key to
// make tokens with.
type world struct {
	testing.TB
	gateway *gateway.Gateway
	client  *http2.Client
	key     *ecdsa.PrivateKey
	tokens  *artifact.Tokens
}

// newWorld returns a world whose gateway has no state. Options may be changed
// by the functions.
func newWorld(t testing.TB, change ...func(*gateway.Options)) *world {
	t.Helper()
	w := &world{TB: t, client: http2.NewClient(http2.ClientOptions{HeaderTimeout: 5 * time.Second})}
	t.Cleanup(w.client.Close)
	var err error
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&w.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	w.tokens = &artifact.Tokens{Issuer: issuerName, Keys: []sluice.SigningKey{{ID: "k1", Algorithm: "ES256", Public: public}}}
	o := gateway.Options{Transport: w.client, RemoveAuthorization: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&o)
	}
	if w.gateway, err = gateway.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// token returns an access token with the usual claims and changes to them.
func (w *world) token(changes map[string]any) string {
	w.Helper()
	now := time.Now().Unix()
	claims := jwt.MapClaims{
		"iss": issuerName, "sub": "alice", "aud": "urn:sluice:apis", "jti": "j1", "client_id": "ck-production",
		"exp": now + 3600, "iat": now - 10, "keytype": "PRODUCTION", "aut": "APPLICATION_USER", "scope": "read",
	}
	maps.Copy(claims, changes)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["typ"], token.Header["kid"] = "at+jwt", "k1"
	signed, err := token.SignedString(w.key)
	if err != nil {
		w.Fatal(err)
	}
	return signed
}

var sandboxKey = map[string]any{"client_id": "ck-sandbox", "keytype": "SANDBOX"}

// update returns an update that puts items.
func update(t testing.TB, complete bool, items ...artifact.Item) distribution.Update {
	t.Helper()
	u := distribution.Update{Complete: complete}
	for _, it := range items {
		body, err := artifact.Encode(it)
		if err != nil {
			t.Fatal(err)
		}
		u.Put = append(u.Put, distribution.Item{ID: it.ItemID(), Digest: artifact.DigestOf(body), Body: body})
	}
	return u
}

func (w *world) apply(items ...artifact.Item) {
	w.Helper()
	w.gateway.Apply(update(w, false, items...))
}

// callers are an application with both keys and a subscription to the API.
func (w *world) callers(apiID string) []artifact.Item {
	return []artifact.Item{
		w.tokens,
		&artifact.Application{ID: "app", Organization: "default", Name: "App", Owner: "olga", Tier: sluice.Unlimited},
		&artifact.Key{Key: "ck-production", ApplicationID: "app", Type: sluice.ProductionKey},
		&artifact.Key{Key: "ck-sandbox", ApplicationID: "app", Type: sluice.SandboxKey},
		&artifact.Subscription{ID: "sub", ApplicationID: "app", APIID: apiID, Tier: "Gold", State: sluice.Unblocked},
	}
}

func environment(kind sluice.EnvironmentType, hosts ...string) *artifact.Environment {
	e := &artifact.Environment{ID: "env", Name: "Gateway", Type: kind}
	if len(hosts) == 0 {
		hosts = []string{"gw.example.com"}
	}
	for _, h := range hosts {
		e.Vhosts = append(e.Vhosts, sluice.Vhost{Host: h, HTTPPort: 8280, HTTPSPort: 8243})
	}
	return e
}

// weather returns an API with a secured and an open operation.
func weather(production, sandbox string) *artifact.API {
	a := &artifact.API{
		ID: "weather", Organization: "default", Name: "Weather", Version: "1.0", Revision: 1,
		Environment: sluice.HybridEnvironment, Vhost: "gw.example.com", Context: "/weather/1.0",
		Transports: []string{"http", "https"}, State: sluice.Published,
		Operations: []sluice.Operation{
			{Verb: "GET", Target: "/today", Auth: sluice.AuthAny},
			{Verb: "GET", Target: "/open", Auth: sluice.AuthNone},
			{Verb: "POST", Target: "/*", Auth: sluice.AuthNone},
			{Verb: "GET", Target: "/*", Auth: sluice.AuthNone},
		},
	}
	if production != "" {
		a.Production = []sluice.Endpoint{{URL: production}}
	}
	if sandbox != "" {
		a.Sandbox = []sluice.Endpoint{{URL: sandbox}}
	}
	return a
}

// request is one call; what is left empty is as usual.
type request struct {
	method, host, path string
	token              string
	header             http.Header
	body               string
	plain              bool   // over HTTP
	client             string // address of the peer
}

// answer is what came of it.
type answer struct {
	status int
	header http.Header
	body   string
	code   string // of a fault
	text   string // its description
}

// call has the gateway serve a request, without a listener before it.
func (w *world) call(r request) answer {
	w.Helper()
	x := new(policy.Exchange)
	q := &x.Request
	q.Method, q.Authority = []byte("GET"), []byte("gw.example.com:8243")
	if r.method != "" {
		q.Method = []byte(r.method)
	}
	if r.host != "" {
		q.Authority = []byte(r.host)
	}
	path, query, hasQuery := strings.Cut(r.path, "?")
	q.Path, q.Query, q.HasQuery = []byte(path), []byte(query), hasQuery
	for name, values := range r.header {
		for _, v := range values {
			q.Fields.Add(name, v)
		}
	}
	if r.token != "" {
		q.Fields.Add("Authorization", "Bearer "+r.token)
	}
	if r.body != "" {
		q.Body, q.Length = strings.NewReader(r.body), int64(len(r.body))
	}
	q.TLS, q.Protocol = !r.plain, "1.1"
	if r.client == "" {
		r.client = "192.0.2.7"
	}
	q.Client = netip.AddrPortFrom(netip.MustParseAddr(r.client), 40000)
	w.gateway.Serve(w.Context(), x)
	defer w.gateway.Done(x)
	a := answer{status: x.Response.Status, header: make(http.Header)}
	for _, f := range x.Response.Fields {
		a.header.Add(string(f.Name), string(f.Value))
	}
	if b := x.Response.Body; b != nil {
		var buffer bytes.Buffer
		if _, err := io.Copy(&buffer, b); err != nil {
			w.Fatalf("%s %s: body: %v", r.method, r.path, err)
		}
		if err := b.Close(); err != nil {
			w.Fatal(err)
		}
		a.body = buffer.String()
	}
	var fault struct{ Code, Description, TraceID string }
	if x.Fault != nil && strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal([]byte(a.body), &fault); err != nil {
			w.Fatalf("body of a fault: %v in %s", err, a.body)
		}
		if fault.TraceID == "" || fault.TraceID != a.header.Get("X-Trace-Id") {
			w.Errorf("trace id %q in the body, %q in the header", fault.TraceID, a.header.Get("X-Trace-Id"))
		}
	}
	a.code, a.text = fault.Code, fault.Description
	if len(a.header.Values("X-Trace-Id")) != 1 {
		w.Errorf("X-Trace-Id: %q, want one", a.header.Values("X-Trace-Id"))
	}
	return a
}

// newBackend returns a backend that answers with its name and what it was
// asked.
func newBackend(t testing.TB, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Backend", name)
		w.Header().Set("X-Asked", r.Method+" "+r.RequestURI)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestServe(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	api := weather(backend.URL+"/base", "")
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	for name, tc := range map[string]struct {
		request request
		asked   string
	}{
		"with a token":               {request{path: "/weather/1.0/today", token: w.token(nil)}, "GET /base/today"},
		"query":                      {request{path: "/weather/1.0/open?a=1&b=%20?/"}, "GET /base/open?a=1&b=%20?/"},
		"empty query":                {request{path: "/weather/1.0/open?"}, "GET /base/open?"},
		"encoded slash":              {request{path: "/weather/1.0/a%2fb"}, "GET /base/a%2Fb"},
		"unreserved encoded":         {request{path: "/%77eather/1.0/%6fpen"}, "GET /base/open"},
		"bare context":               {request{path: "/weather/1.0"}, "GET /base"},
		"final slash":                {request{path: "/weather/1.0/"}, "GET /base/"},
		"HEAD follows GET":           {request{path: "/weather/1.0/open", method: "HEAD"}, "HEAD /base/open"},
		"body":                       {request{path: "/weather/1.0/x", method: "POST", body: "hello"}, "POST /base/x"},
		"scheme of Authorization":    {request{path: "/weather/1.0/today", header: http.Header{"Authorization": {"bEARER  " + w.token(nil)}}}, "GET /base/today"},
		"host in capitals, no port":  {request{path: "/weather/1.0/open", host: "GW.Example.COM"}, "GET /base/open"},
		"host that no vhost has":     {request{path: "/weather/1.0/open", host: "127.0.0.1:8280"}, "GET /base/open"},
		"IPv6 host, absolute domain": {request{path: "/weather/1.0/open", host: "[::1]:8280"}, "GET /base/open"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.call(tc.request)
			if got.status != 200 || got.header.Get("X-Asked") != tc.asked || got.header.Get("X-Backend") != "production" {
				t.Errorf("status %d, body %s, backend asked %q, want %q", got.status, got.body, got.header.Get("X-Asked"), tc.asked)
			}
			if tc.request.method == "POST" && got.body != "hello" {
				t.Errorf("body %q", got.body)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	api := weather(backend.URL, "")
	api.Operations = append(api.Operations, sluice.Operation{Verb: "PUT", Target: "/things", Auth: sluice.AuthNone})
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	for name, tc := range map[string]struct {
		request request
		status  int
		code    string
	}{
		"no API":                       {request{path: "/nothing"}, 404, "404"},
		"no API at the root":           {request{path: "/"}, 404, "404"},
		"context without version":      {request{path: "/weather/today"}, 404, "404"},
		"context in capitals":          {request{path: "/Weather/1.0/open"}, 404, "404"},
		"context that goes on":         {request{path: "/weather/1.01/open"}, 404, "404"},
		"wrong verb":                   {request{path: "/weather/1.0/things"}, 405, "405"},
		"verb in small letters":        {request{path: "/weather/1.0/open", method: "get"}, 405, "405"},
		"TRACE":                        {request{path: "/weather/1.0/open", method: "TRACE"}, 405, "405"},
		"ambiguous path":               {request{path: "/weather/1.0/%2e%2e/open"}, 400, "400"},
		"asterisk":                     {request{path: "*", method: "OPTIONS"}, 400, "400"},
		"blank in the query":           {request{path: "/weather/1.0/open?a b"}, 400, "400"},
		"no host":                      {request{path: "/weather/1.0/open", host: " "}, 400, "400"},
		"user in the host":             {request{path: "/weather/1.0/open", host: "a@gw.example.com"}, 400, "400"},
		"list of hosts":                {request{path: "/weather/1.0/open", host: "a,b"}, 400, "400"},
		"path in the host":             {request{path: "/weather/1.0/open", host: "a/b"}, 400, "400"},
		"port not a number":            {request{path: "/weather/1.0/open", host: "a:x"}, 400, "400"},
		"bracket not closed":           {request{path: "/weather/1.0/open", host: "[::1"}, 400, "400"},
		"parameter hides a literal":    {request{path: "/weather/1.0/open;x=1"}, 400, "400"},
		"parameter hides the context":  {request{path: "/weather;x/1.0/open"}, 400, "400"},
		"no token":                     {request{path: "/weather/1.0/today"}, 401, "900902"},
		"Basic instead of Bearer":      {request{path: "/weather/1.0/today", header: http.Header{"Authorization": {"Basic YTpi"}}}, 401, "900902"},
		"Bearer without a token":       {request{path: "/weather/1.0/today", header: http.Header{"Authorization": {"Bearer "}}}, 401, "900902"},
		"two Authorization fields":     {request{path: "/weather/1.0/today", token: "x", header: http.Header{"Authorization": {"Basic YTpi"}}}, 400, "400"},
		"token that is none":           {request{path: "/weather/1.0/today", token: "x"}, 401, "900901"},
		"expired token":                {request{path: "/weather/1.0/today", token: w.token(map[string]any{"exp": time.Now().Unix() - 1})}, 401, "900903"},
		"token of an unknown key":      {request{path: "/weather/1.0/today", token: w.token(map[string]any{"client_id": "gone"})}, 401, "900901"},
		"key type is not the key's":    {request{path: "/weather/1.0/today", token: w.token(map[string]any{"keytype": "SANDBOX"})}, 401, "900901"},
		"framing look-alike":           {request{path: "/weather/1.0/open", header: http.Header{"Content_Length": {"3"}}}, 400, "400"},
		"Connection names Host":        {request{path: "/weather/1.0/open", header: http.Header{"Connection": {"close, Host"}}}, 400, "400"},
		"Connection names the length":  {request{path: "/weather/1.0/open", header: http.Header{"Connection": {"Content-Length"}}}, 400, "400"},
		"Connection, in a second line": {request{path: "/weather/1.0/open", header: http.Header{"Connection": {"close", "x, transfer-encoding"}}}, 400, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.call(tc.request)
			if got.status != tc.status || got.code != tc.code {
				t.Errorf("status %d, body %s, want %d, %s", got.status, got.body, tc.status, tc.code)
			}
			if got.header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
			}
			if challenge := got.header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Bearer ") != (tc.status == 401) {
				t.Errorf("WWW-Authenticate %q with status %d", challenge, tc.status)
			}
			if (got.header.Get("Allow") != "") != (tc.status == 405) {
				t.Errorf("Allow %q with status %d", got.header.Get("Allow"), tc.status)
			}
		})
	}
	if got := w.call(request{path: "/weather/1.0/open", method: "DELETE"}).header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow = %q, want %q", got, "GET, HEAD")
	}
}

// TestFaultsInXML asks for XML where the steps, matching and the server itself
// refuse.
func TestFaultsInXML(t *testing.T) {
	w := newWorld(t)
	w.apply(append(w.callers("weather"), environment(sluice.HybridEnvironment), weather("http://127.0.0.1:1", ""))...)
	for path, root := range map[string]string{
		"/weather/1.0/today": `<ams:fault xmlns:ams="http://wso2.org/apimanager/security"><ams:code>900902<`,
		"/nothing":           `<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>404<`,
		"/weather/1.0/open":  `<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>101503<`,
		"/%2e":               `<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>400<`,
	} {
		for accept, contentType := range map[string]string{
			"application/xml, */*;q=0.5": "application/xml; charset=utf-8",
			"text/xml":                   "text/xml; charset=utf-8",
		} {
			got := w.call(request{path: path, header: http.Header{"Accept": {accept}}})
			if !strings.HasPrefix(got.body, root) || got.header.Get("Content-Type") != contentType {
				t.Errorf("%s, Accept %q: Content-Type %q, %s, want %q, %s…", path, accept, got.header.Get("Content-Type"), got.body, contentType, root)
			}
		}
	}
	x := new(policy.Exchange)
	x.Request.Fields.Add("Accept", "application/xml")
	w.gateway.Refuse(x, policy.BadRequest)
	if got, _ := x.Response.Fields.Value("Content-Type"); string(got) != "application/xml; charset=utf-8" {
		t.Errorf("refused by the server: Content-Type %q", got)
	}
}

func TestPanicHurtsOneCall(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t, func(o *gateway.Options) { o.Transport = panicking{o.Transport} })
	w.apply(environment(sluice.HybridEnvironment), weather(backend.URL, ""))
	if got := w.call(request{path: "/weather/1.0/open?panic"}); got.status != 500 || got.code != "500" {
		t.Errorf("status %d, body %s, want 500", got.status, got.body)
	}
	if got := w.call(request{path: "/weather/1.0/open"}); got.status != 200 {
		t.Errorf("the next call: status %d", got.status)
	}
	if got := countOf(w.gateway, "weather"); got != (gateway.Count{Calls: 2, Refused: 1, Failed: 1}) {
		t.Errorf("counts = %+v", got)
	}
}

// panicking is a transport with a mistake in it.
type panicking struct{ gateway.Transport }

func (p panicking) Send(ctx context.Context, to *gateway.Endpoint, x *policy.Exchange) error {
	if string(x.Request.Query) == "panic" {
		panic("a mistake")
	}
	return p.Transport.Send(ctx, to, x)
}

// remove applies an update that removes items.
func (w *world) remove(items ...artifact.Item) {
	var u distribution.Update
	for _, it := range items {
		u.Remove = append(u.Remove, it.ItemID())
	}
	w.gateway.Apply(u)
}
