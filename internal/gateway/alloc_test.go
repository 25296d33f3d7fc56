package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/policy"
)

// nowhere is a transport without a network: what is measured is the gateway.
type nowhere struct{}

func (nowhere) Send(_ context.Context, _ *Endpoint, x *policy.Exchange) error {
	x.Response.Status = 200
	x.AddField(&x.Response.Fields, "Content-Type", "text/plain")
	return nil
}

// commonCall returns a gateway and a function that fills in a call of the
// common path: OAuth2, subscription, scope and limits.
func commonCall(t testing.TB) (*Gateway, func(x *policy.Exchange)) {
	t.Helper()
	g, err := New(Options{Transport: nowhere{}, RemoveAuthorization: true, Usage: NewUsage()})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "i", "sub": "alice", "aud": "urn:sluice:apis", "jti": "j", "client_id": "ck", "exp": now + 3600, "iat": now,
		"keytype": "PRODUCTION", "aut": "APPLICATION_USER", "scope": "read write",
	})
	token.Header["typ"], token.Header["kid"] = "at+jwt", "k"
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	plenty := sluice.Limit{Requests: 1e9, Window: time.Minute}
	var u distribution.Update
	for _, it := range []artifact.Item{
		&artifact.Environment{Vhosts: []sluice.Vhost{{Host: "gw.example.com"}}},
		&artifact.Tokens{Issuer: "i", Keys: []sluice.SigningKey{{ID: "k", Algorithm: "ES256", Public: public}}},
		&artifact.Tier{Level: sluice.APITier, Name: "T", Limit: plenty},
		&artifact.Tier{Level: sluice.SubscriptionTier, Name: "T", Limit: plenty},
		&artifact.Tier{Level: sluice.ApplicationTier, Name: "T", Limit: plenty},
		&artifact.Application{ID: "app", Tier: "T"}, &artifact.Key{Key: "ck", ApplicationID: "app", Type: sluice.ProductionKey},
		&artifact.Subscription{ID: "sub", ApplicationID: "app", APIID: "weather", Tier: "T", State: sluice.Unblocked},
		&artifact.API{
			ID: "weather", Environment: sluice.ProductionEnvironment, Vhost: "gw.example.com", Context: "/weather/1.0", Transports: []string{"https"},
			State: sluice.Published, Production: []sluice.Endpoint{{URL: "http://backend/base"}},
			Schemes: []sluice.Scheme{sluice.OAuth2, sluice.APIKeys}, Throughput: &sluice.Throughput{Production: 1e6},
			ProductionSecurity: &artifact.Credentials{Username: "u", Password: "p"},
			Operations:         []sluice.Operation{{Verb: "GET", Target: "/stations/{id}", Auth: sluice.AuthAny, Scopes: []string{"write"}, Tier: "T"}, {Verb: "GET", Target: "/keyed", Auth: sluice.AuthAny, Tier: "T"}},
		},
		&artifact.APIKey{ID: "k", Hash: sluice.Secret("secret").Hash(), ApplicationID: "app", Type: sluice.ProductionKey},
	} {
		body, err := artifact.Encode(it)
		if err != nil {
			t.Fatal(err)
		}
		u.Put = append(u.Put, distribution.Item{ID: it.ItemID(), Digest: artifact.DigestOf(body), Body: body})
	}
	g.Apply(u)
	authorization := []byte("Bearer " + signed)
	client := netip.MustParseAddrPort("192.0.2.7:4000")
	text := func(s string) []byte { return []byte(s) }
	method, authority, path, query := text("GET"), text("gw.example.com:8243"), text("/weather/1.0/stations/%37?"), text("units=metric")
	accept, any, auth, agent, agentValue := text("Accept"), text("*/*"), text("Authorization"), text("User-Agent"), text("test/1")
	return g, func(x *policy.Exchange) {
		x.Reset()
		q := &x.Request
		q.Method, q.Authority, q.Path, q.Query, q.HasQuery = method, authority, path[:len(path)-1], query, true
		q.TLS, q.Protocol, q.Client = true, "1.1", client
		q.Fields = append(q.Fields, policy.Field{Name: accept, Value: any}, policy.Field{Name: agent, Value: agentValue}, policy.Field{Name: auth, Value: authorization})
	}
}

// TestNoAllocation holds that a call of the common path allocates nothing in
// the gateway: neither one that is passed on nor one that is refused.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g, fill := commonCall(t)
	keyedPath, keyedQuery := []byte("/weather/1.0/keyed"), []byte("a=1&apikey=secret")
	x, xml := new(policy.Exchange), []byte("text/html,application/xml;q=0.9,*/*;q=0.8")
	for name, tc := range map[string]struct {
		change func(x *policy.Exchange)
		status int
	}{
		"passed on": {func(*policy.Exchange) {}, 200},
		"no token":  {func(x *policy.Exchange) { x.Request.Fields = x.Request.Fields[:1] }, 401},
		"by API key": {func(x *policy.Exchange) {
			x.Request.Path, x.Request.Query, x.Request.Fields = keyedPath, keyedQuery, x.Request.Fields[:2]
		}, 200},
		"fault in XML": {func(x *policy.Exchange) { x.Request.Fields = x.Request.Fields[:1]; x.Request.Fields[0].Value = xml }, 401},
		"unknown path": {func(x *policy.Exchange) { x.Request.Path = x.Request.Path[1:] }, 400},
	} {
		n := testing.AllocsPerRun(1000, func() {
			fill(x)
			tc.change(x)
			g.Serve(t.Context(), x)
			g.Done(x)
			if x.Response.Status != tc.status {
				t.Fatalf("%s: status %d", name, x.Response.Status)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	g, fill := commonCall(b)
	x := new(policy.Exchange)
	b.ReportAllocs()
	for b.Loop() {
		fill(x)
		g.Serve(b.Context(), x)
		g.Done(x)
	}
}

// TestMemoryOfAnAPI holds the figure of 20 KB for an API of 20 operations.
func TestMemoryOfAnAPI(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes what memory is used")
	}
	const count = 500
	var u distribution.Update
	for i := range count {
		a := &artifact.API{
			ID: fmt.Sprintf("0190c3a4-5b6c-7aaa-8000-%012d", i), Name: fmt.Sprint("API ", i), Version: "1.0", Environment: sluice.HybridEnvironment,
			Vhost: "gw.example.com", Context: fmt.Sprintf("/api%d/1.0", i), Transports: []string{"http", "https"}, State: sluice.Published,
			Production: []sluice.Endpoint{{URL: "https://backend.example.com/path"}}, Sandbox: []sluice.Endpoint{{URL: "https://sandbox.example.com/path"}},
		}
		for j := range 20 {
			a.Operations = append(a.Operations, sluice.Operation{
				Verb: []string{"GET", "POST"}[j%2], Target: fmt.Sprintf("/things%d/{id}", j/2), Auth: sluice.AuthAny, Scopes: []string{"read"}, Tier: sluice.Unlimited,
			})
		}
		body, err := artifact.Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		u.Put = append(u.Put, distribution.Item{ID: a.ItemID(), Digest: artifact.DigestOf(body), Body: body})
	}
	g, err := New(Options{Transport: nowhere{}})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	g.Apply(u)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int(after.HeapAlloc-before.HeapAlloc) / count; got > 20<<10 {
		t.Errorf("an API needs %d bytes, want at most %d", got, 20<<10)
	}
	if len(g.Reports()) != count {
		t.Errorf("%d reports, want %d", len(g.Reports()), count)
	}
	runtime.KeepAlive(u)
}
