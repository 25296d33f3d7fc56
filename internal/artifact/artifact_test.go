package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
)

func revision() *sluice.Revision {
	return &sluice.Revision{ID: "r1", Number: 3, API: sluice.API{
		ID: "a1", Organization: sluice.DefaultOrganization, Name: "Weather", Version: "1.0", Context: "/weather",
		Transports: []string{"http", "https"}, Operations: []sluice.Operation{{Verb: "GET", Target: "/today", Auth: sluice.AuthAny}},
		Production: []sluice.Endpoint{{URL: "http://p"}}, Sandbox: []sluice.Endpoint{{URL: "http://s"}},
	}}
}

func TestCompileGivesAnEnvironmentOnlyItsEndpoints(t *testing.T) {
	cases := map[string]struct {
		env                 sluice.EnvironmentType
		production, sandbox bool // that the revision has
		wantP, wantS        bool // that the artifact has
		missing             string
	}{
		"production of both":         {sluice.ProductionEnvironment, true, true, true, false, ""},
		"sandbox of both":            {sluice.SandboxEnvironment, true, true, false, true, ""},
		"hybrid of both":             {sluice.HybridEnvironment, true, true, true, true, ""},
		"production of sandbox only": {sluice.ProductionEnvironment, false, true, false, false, "no production endpoint"},
		"sandbox of production only": {sluice.SandboxEnvironment, true, false, false, false, "no sandbox endpoint"},
		"hybrid of sandbox only":     {sluice.HybridEnvironment, false, true, false, true, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := revision()
			if !c.production {
				r.API.Production = nil
			}
			if !c.sandbox {
				r.API.Sandbox = nil
			}
			a, missing := Compile(r, &sluice.Environment{Type: c.env}, "gw.example.com", &sluice.API{State: sluice.Published})
			if missing != c.missing || (a == nil) != (c.missing != "") {
				t.Fatalf("Compile() = %v, %q, want missing %q", a, missing, c.missing)
			}
			if a != nil && ((len(a.Production) > 0) != c.wantP || (len(a.Sandbox) > 0) != c.wantS) {
				t.Errorf("endpoints %v and %v, want production %v, sandbox %v", a.Production, a.Sandbox, c.wantP, c.wantS)
			}
		})
	}
}

func TestCompileContext(t *testing.T) {
	r := revision()
	r.API.Organization, r.API.Default = "acme", true
	in := func(state sluice.Lifecycle) *sluice.API { return &sluice.API{State: state, Default: true} }
	a, _ := Compile(r, &sluice.Environment{Type: sluice.HybridEnvironment}, "h", in(sluice.Created))
	if a.DefaultContext != "" {
		t.Errorf("an API that is not published answers at %s", a.DefaultContext)
	}
	published, _ := Compile(r, &sluice.Environment{Type: sluice.HybridEnvironment}, "h", in(sluice.Published))
	a.DefaultContext = published.DefaultContext
	if a.Context != "/t/acme/weather/1.0" || a.DefaultContext != "/t/acme/weather" {
		t.Errorf("contexts %s and %s", a.Context, a.DefaultContext)
	}
	if a.State != sluice.Published {
		t.Errorf("state %s: a gateway makes no difference between CREATED and PUBLISHED", a.State)
	}
	if a, _ := Compile(r, &sluice.Environment{}, "h", in(sluice.Blocked)); a != nil && a.State != sluice.Blocked {
		t.Errorf("state %s, want BLOCKED", a.State)
	}
	other, _ := Compile(r, &sluice.Environment{Type: sluice.HybridEnvironment}, "h", &sluice.API{State: sluice.Published})
	if other.DefaultContext != "" {
		t.Errorf("another version is the default one, and this answers at %s", other.DefaultContext)
	}
	for context, want := range map[string]string{"/weather/{version}/public": "/t/acme/weather/public", "/{version}": "", "/w{version}": ""} {
		r.API.Context = context
		if a, _ := Compile(r, &sluice.Environment{Type: sluice.HybridEnvironment}, "h", in(sluice.Published)); a.DefaultContext != want {
			t.Errorf("context %s: the default version answers at %q, want %q", context, a.DefaultContext, want)
		}
	}
}

func TestCompileTakesTheEnvironmentsOwnEndpoints(t *testing.T) {
	r := revision()
	r.API.Sandbox = nil
	r.API.Overrides = []sluice.EndpointOverride{
		{EnvironmentID: "here", Production: []sluice.Endpoint{{URL: "http://p1"}, {URL: "http://p2"}}},
		{EnvironmentID: "there", Sandbox: []sluice.Endpoint{{URL: "http://s2"}}},
	}
	in := func(id string) string {
		a, missing := Compile(r, &sluice.Environment{ID: id, Type: sluice.HybridEnvironment}, "h", &sluice.API{State: sluice.Published})
		return fmt.Sprint(a.Production, a.Sandbox, missing)
	}
	for id, want := range map[string]string{
		"here": "[{http://p1} {http://p2}] []", "there": "[{http://p}] [{http://s2}]", "elsewhere": "[{http://p}] []",
	} {
		if got := in(id); got != want {
			t.Errorf("endpoints %s in the environment %s, want %s", got, id, want)
		}
	}
	if a, missing := Compile(r, &sluice.Environment{ID: "there", Type: sluice.SandboxEnvironment}, "h", &sluice.API{State: sluice.Published}); a == nil {
		t.Errorf("not deployed where the environment has an endpoint of its own: %s", missing)
	}
}

func TestCodec(t *testing.T) {
	a, _ := Compile(revision(), &sluice.Environment{Type: sluice.HybridEnvironment}, "h", &sluice.API{State: sluice.Published})
	for _, item := range []Item{a, &Key{Key: "k", Type: sluice.SandboxKey}, &Application{ID: "x"}, &Subscription{ID: "s"}, &Tier{Organization: "o", Level: sluice.APITier, Name: "Gold"}, &Revocation{ID: "r"}, &APIKey{ID: "k"}, &BackendJWT{Issuer: "i"}, &Tokens{Issuer: "i"}, &Environment{Name: "e"}} {
		b, err := Encode(item)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Encode(item)
		if err != nil || DigestOf(b) != DigestOf(again) {
			t.Errorf("%s has two digests", item.ItemID())
		}
		got, err := Decode(item.ItemID(), b)
		if err != nil || cmp.Diff(item, got) != "" {
			t.Errorf("Decode(%s): %v %s", item.ItemID(), err, cmp.Diff(item, got))
		}
	}
}

// TestVersions holds what gateways do with other versions of the encoding than
// their own. A file of testdata has the bytes of one version, item by item; it
// is never changed.
func TestVersions(t *testing.T) {
	files, err := filepath.Glob("testdata/format-*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no bytes of older versions", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			id, body, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			item, err := Decode(id, []byte(body))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			var e envelope
			got, err := json.Marshal(item)
			if err := errors.Join(err, json.Unmarshal([]byte(body), &e)); err != nil || string(got) != string(e.Item) {
				t.Errorf("%s: %s is read as %s, want %s (%v)", file, id, got, e.Item, err)
			}
		}
	}
	newer := fmt.Sprintf(`{"format":1,"minor":%d,"item":{"key":"k","application_id":"a","type":"SANDBOX","colour":"red"}}`, minor+1)
	if item, err := Decode("key/k", []byte(newer)); err != nil || cmp.Diff(item, &Key{Key: "k", ApplicationID: "a", Type: sluice.SandboxKey}) != "" {
		t.Errorf("a newer minor: %v, %v", item, err)
	}
	if item, err := Decode("thing/1", []byte(newer)); err != nil || cmp.Diff(item, &Unknown{"thing/1"}) != "" {
		t.Errorf("a kind of a newer minor: %v, %v", item, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", Credentials{"u", "p"}, Credentials{"u", "p"}, API{ProductionSecurity: &Credentials{"u", "p"}}.ProductionSecurity); strings.Contains(text, `"p"`) || strings.Contains(text, "p}") {
		t.Errorf("credentials are shown: %s", text)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := Encode(&Key{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		id, body, want string
	}{
		"an unknown kind":  {"thing/1", string(good), "no known kind"},
		"another's bytes":  {"key/other", string(good), `holds "key/k"`},
		"a newer format":   {"key/k", strings.Replace(string(good), `"format":1`, `"format":2`, 1), "format 2"},
		"an unknown field": {"key/k", strings.Replace(string(good), `"type"`, `"typo"`, 1), "unknown field"},
		"what is not JSON": {"key/k", "{", "decode"},
		"no bytes":         {"key/k", "", "decode"},
		"too many of them": {"key/k", strings.Repeat(" ", MaxSize+1), "more than"},
	}
	for name, c := range cases {
		if _, err := Decode(c.id, []byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Decode of %s = %v, want an error with %q", name, err, c.want)
		}
	}
}

// The quick way of reading what is numerous knows no more and no less than the
// full one.
func TestScan(t *testing.T) {
	quick := []Item{
		&Key{Key: "k", ApplicationID: "app", Type: sluice.SandboxKey},
		&Application{ID: "app", Organization: "o", Name: "App", Owner: "olga", Tier: "Gold"},
		&Subscription{ID: "s", ApplicationID: "app", APIID: "a", Tier: sluice.Unlimited, State: sluice.Unblocked},
	}
	for _, item := range quick {
		b, err := Encode(item)
		if err != nil {
			t.Fatal(err)
		}
		if got := scan(item.ItemID(), b); cmp.Diff(item, got) != "" {
			t.Errorf("scan of %s: %s", b, cmp.Diff(item, got))
		}
		for n := range b {
			if got := scan(item.ItemID(), b[:n]); got != nil {
				t.Errorf("scan of %s gives %+v", b[:n], got)
			}
		}
	}
	for name, body := range map[string]string{
		"a newer minor":       fmt.Sprintf(`{"format":1,"minor":%d,"item":{"key":"k"}}`, minor+1),
		"a newer format":      `{"format":2,"item":{"key":"k"}}`,
		"an escape":           `{"format":1,"item":{"key":"k","application_id":"\u0061"}}`,
		"a space":             `{"format":1, "item":{"key":"k"}}`,
		"another letter case": `{"format":1,"item":{"Key":"k"}}`,
		"what is not ASCII":   `{"format":1,"item":{"key":"k","application_id":"é"}}`,
		"null":                `{"format":1,"item":{"key":"k","application_id":null}}`,
		"another's bytes":     `{"format":1,"item":{"key":"j"}}`,
		"more behind":         `{"format":1,"item":{"key":"k"}}}`,
		"an unknown member":   `{"format":1,"item":{"key":"k","colour":"red"}}`,
		"no member":           `{"format":1,"item":{}}`,
	} {
		if got := scan("key/k", []byte(body)); got != nil {
			t.Errorf("scan takes %s: %+v", name, got)
		}
	}
}

func TestOutline(t *testing.T) {
	a, _ := Compile(revision(), &sluice.Environment{Type: sluice.HybridEnvironment}, "h", &sluice.API{State: sluice.Published})
	a.DefaultContext = "/weather"
	b, err := Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	want := &API{
		ID: a.ID, Organization: a.Organization, Name: a.Name, Version: a.Version, Revision: a.Revision,
		Environment: a.Environment, Vhost: a.Vhost, Context: a.Context, DefaultContext: a.DefaultContext,
	}
	if got, ok := Outline(a.ItemID(), b); !ok || cmp.Diff(want, got) != "" {
		t.Errorf("Outline() = %t %s", ok, cmp.Diff(want, got))
	}
	if _, ok := Outline("api/other", b); ok {
		t.Error("another's bytes are taken")
	}
	for n := range strings.Index(string(b), `"transports"`) {
		if _, ok := Outline(a.ItemID(), b[:n]); ok {
			t.Errorf("%d bytes are taken", n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := json.Marshal(revision())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("api/a1", b)
	f.Add("key/k", []byte(`{"format":1,"item":{"key":"k"}}`))
	f.Add("subscription/s", []byte(`{"format":1,"minor":1,"item":{"id":"s","application_id":"a","api_id":"b","tier":"Gold","state":"BLOCKED"}}`))
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		if quick := scan(id, body); quick != nil {
			if full, err := decode(id, body); err != nil || cmp.Diff(full, quick) != "" {
				t.Errorf("%s: %v %s", id, err, cmp.Diff(full, quick))
			}
		}
		item, err := Decode(id, body)
		if err != nil {
			return
		}
		if item.ItemID() != id {
			t.Errorf("Decode(%q) gave %q", id, item.ItemID())
		}
		if _, err := Encode(item); err != nil {
			t.Errorf("what was decoded cannot be encoded: %v", err)
		}
	})
}
