package gateway

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

func TestMatchOperation(t *testing.T) { // CONTRACT 10-4
	targets := []string{
		"/", "/pets", "/pets/{id}", "/pets/mine", "/pets/{id}/toys", "/pets/mine/photos", "/pets/*",
		"/files/{name}.json", "/files/{name}.{ext}", "/files/{name}", "/files/report-{year}.json", "/files/*/raw",
		"/deep/*", "/deep/a/b", "/städte/{name}", "/a b", "/slash/", "/noslash", "/both", "/both/", "/v{major}", "/x%2Fy", "/dots/{a}...{b}",
	}
	for path, want := range map[string]string{
		"":                         "/",
		"/":                        "/",
		"/pets":                    "/pets",
		"/pets/":                   "",
		"/pets/mine":               "/pets/mine",
		"/pets/mine/":              "",
		"/pets/7":                  "/pets/{id}",
		"/pets/7/toys":             "/pets/{id}/toys",
		"/pets/mine/toys":          "/pets/{id}/toys",
		"/pets/mine/photos":        "/pets/mine/photos",
		"/pets/mine/other":         "/pets/*",
		"/pets/7/toys/1":           "/pets/*",
		"/pets/a%2Fb":              "/pets/{id}",
		"/files/a.json":            "/files/{name}.json",
		"/files/report-2026.json":  "/files/report-{year}.json",
		"/files/a.xml":             "/files/{name}.{ext}",
		"/files/.json":             "/files/{name}",
		"/files/a.":                "/files/{name}",
		"/files/a":                 "/files/{name}",
		"/files/a/raw":             "/files/*/raw",
		"/files/a/other":           "",
		"/files":                   "",
		"/deep":                    "/deep/*",
		"/deep/":                   "/deep/*",
		"/deep/a":                  "/deep/*",
		"/deep/a/b":                "/deep/a/b",
		"/deep/a/b/c":              "/deep/*",
		"/st%C3%A4dte/K%C3%B6ln":   "/städte/{name}",
		"/a%20b":                   "/a b",
		"/slash":                   "",
		"/slash/":                  "/slash/",
		"/noslash/":                "",
		"/both":                    "/both",
		"/both/":                   "/both/",
		"/v2":                      "/v{major}",
		"/v":                       "",
		"/x%2Fy":                   "/x%2Fy",
		"/x/y":                     "",
		"/dots/1...2":              "/dots/{a}...{b}",
		"/dots/...":                "",
		"/nothing":                 "",
		"/Pets":                    "",
		"/pets;a=1":                "",
		"/pets/{id}":               "/pets/{id}",
		"/pets/mine/photos/1/2/3/": "/pets/*",
	} {
		for range 3 { // never the order of definition
			rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
			r := &route{api: &artifact.API{}}
			for _, target := range targets {
				r.api.Operations = append(r.api.Operations, sluice.Operation{Verb: "GET", Target: target, Auth: sluice.AuthNone})
			}
			if err := r.addOperations(); err != nil {
				t.Fatal(err)
			}
			got := ""
			if res := r.resource([]byte(path)); res != nil {
				got = res.operation([]byte("GET")).Target
			}
			if got != want {
				t.Errorf("%q leads to %q, want %q", path, got, want)
			}
		}
	}
}

func TestVerbs(t *testing.T) {
	r := &route{api: &artifact.API{}}
	for _, verb := range []string{"PUT", "GET", "OPTIONS"} {
		r.api.Operations = append(r.api.Operations, sluice.Operation{Verb: verb, Target: "/a/{x}", Auth: sluice.AuthNone})
	}
	r.api.Operations = append(r.api.Operations, sluice.Operation{Verb: "POST", Target: "/a/b", Auth: sluice.AuthNone}, sluice.Operation{Verb: "HEAD", Target: "/a/b", Auth: sluice.AuthNone})
	if err := r.addOperations(); err != nil {
		t.Fatal(err)
	}
	res := r.resource([]byte("/a/7"))
	if want := "GET, HEAD, OPTIONS, PUT"; res.allow != want {
		t.Errorf("Allow = %q, want %q", res.allow, want)
	}
	for verb, want := range map[string]string{"GET": "GET", "HEAD": "GET", "PUT": "PUT", "OPTIONS": "OPTIONS", "POST": "", "get": ""} {
		got := ""
		if o := res.operation([]byte(verb)); o != nil {
			got = o.Verb
		}
		if got != want {
			t.Errorf("%s leads to %q, want %q", verb, got, want)
		}
	}
	if res := r.resource([]byte("/a/b")); res.operation([]byte("GET")) != nil || res.operation([]byte("HEAD")) == nil || res.allow != "HEAD, POST" {
		t.Errorf("the literal resource has %q", res.allow)
	}
}

func TestRefusedTargets(t *testing.T) {
	for name, targets := range map[string][]string{
		"no slash":                  {"pets"},
		"empty segment":             {"/a//b"},
		"dot segment":               {"/a/../b"},
		"variable not closed":       {"/{a"},
		"variable not opened":       {"/a}"},
		"variable without name":     {"/{}"},
		"variables side by side":    {"/{a}{b}"},
		"bad encoding":              {"/a%zz"},
		"the same path, other name": {"/a/{x}", "/a/{y}"},
		"the same path, encoded":    {"/a", "/%61"},
	} {
		r := &route{api: &artifact.API{}}
		for _, target := range targets {
			r.api.Operations = append(r.api.Operations, sluice.Operation{Verb: "GET", Target: target, Auth: sluice.AuthNone})
		}
		if err := r.addOperations(); err == nil {
			t.Errorf("%s: %q accepted", name, targets)
		}
	}
}

func TestSample(t *testing.T) {
	for target, want := range map[string]string{
		"/a/{id}/b": "/a/probe/b", "/*": "/", "/a/*": "/a/", "/{x}.json": "/probe.json", "/a*b": "/aprobeb", "/ä": "/%C3%A4",
	} {
		r := &route{api: &artifact.API{Operations: []sluice.Operation{{Verb: "PUT", Target: target, Auth: sluice.AuthNone}}}}
		if err := r.addOperations(); err != nil {
			t.Fatal(err)
		}
		if verb, path := r.sample(); verb != "PUT" || path != want {
			t.Errorf("sample of %q = %s %s, want PUT %s", target, verb, path, want)
		}
	}
	shadowed := &route{api: &artifact.API{Operations: []sluice.Operation{
		{Verb: "PUT", Target: "/{x}", Auth: sluice.AuthNone}, {Verb: "GET", Target: "/probe", Auth: sluice.AuthNone},
	}}}
	if err := shadowed.addOperations(); err != nil {
		t.Fatal(err)
	}
	if verb, path := shadowed.sample(); verb != "GET" || path != "/probe" {
		t.Errorf("sample where the neutral text is an operation's own = %s %s", verb, path)
	}
	if verb, path := (&route{api: &artifact.API{}}).sample(); verb != "GET" || path != "" {
		t.Errorf("sample without operations = %s %q", verb, path)
	}
}

func TestHostName(t *testing.T) {
	for authority, want := range map[string]string{
		"gw.example.com": "gw.example.com", "GW.Example.COM:8280": "gw.example.com", "gw.example.com.": "gw.example.com",
		"[2001:DB8::1]:80": "2001:db8::1", "127.0.0.1": "127.0.0.1", "a_b": "a_b", "a:": "a",
		"": "", ":80": "", "a b": "", "a,b": "", "u@a": "", "a/b": "", "a:80x": "", "a:123456": "", "[::1": "", "[::1]x": "", "[zz]": "", "a%2fb": "", "ä": "",
	} {
		got, ok := hostName(nil, []byte(authority))
		if ok != (want != "") || ok && string(got) != want {
			t.Errorf("hostName(%q) = %q, %v, want %q", authority, got, ok, want)
		}
	}
}

func TestMatchContext(t *testing.T) { // CONTRACT 10-3
	api := func(id, vhost, context, short string) *route {
		r := &route{api: &artifact.API{ID: id, Vhost: vhost, Name: id}, context: context, defaultContext: short}
		r.root.here, r.root.wildcard = new(resource), new(resource)
		return r
	}
	routes := []*route{
		api("a1", "one.example.com", "/weather/1.0", ""),
		api("a2", "one.example.com", "/weather/2.0", "/weather"),
		api("a3", "one.example.com", "/weather/3.0", "/weather"),
		api("a4", "two.example.com", "/weather/1.0", ""),
		api("a5", "one.example.com", "/t/acme/weather/1.0/public", ""),
		api("a6", "one.example.com", "/pets", ""),
		api("a7", "one.example.com", "/pets/9", "/pets"),
	}
	tab, err := newTable(&artifact.Environment{Vhosts: []sluice.Vhost{{Host: "One.example.com"}, {Host: "two.example.com", Context: "/gw/"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if err := tab.add(r); err != nil {
			t.Fatal(err)
		}
	}
	byID := make(map[string]*route)
	for _, r := range routes {
		byID[r.api.ID] = r
	}
	tab.addDefaults(byID)
	if err := tab.add(api("b", "ONE.example.com", "/pets", "")); err == nil {
		t.Error("two APIs answer at one context")
	}
	without := tab.without(routes[2:3])
	delete(byID, "a3")
	without.addDefaults(byID)
	if r, _ := without.fallback.route([]byte("/weather/today")); r != routes[1] {
		t.Error("the default context did not go back to the version before")
	}
	if r, _ := without.fallback.route([]byte("/weather/3.0/x")); r != routes[1] {
		t.Error("a context that went away still answers")
	}
	type found struct{ API, Rest string }
	for in, want := range map[[2]string]found{
		{"one.example.com", "/weather/1.0/today"}:           {"a1", "/today"},
		{"one.example.com", "/weather/1.0"}:                 {"a1", ""},
		{"one.example.com", "/weather/2.0/"}:                {"a2", "/"},
		{"one.example.com", "/weather/today"}:               {"a3", "/today"},
		{"one.example.com", "/weather/9.9"}:                 {"a3", "/9.9"},
		{"other.example.com", "/weather/1.0/x"}:             {"a1", "/x"},
		{"two.example.com:8243", "/gw/weather/1.0/today"}:   {"a4", "/today"},
		{"two.example.com", "/weather/1.0/today"}:           {},
		{"two.example.com", "/gw"}:                          {},
		{"two.example.com", "/gwweather/1.0"}:               {},
		{"one.example.com", "/t/acme/weather/1.0/public/x"}: {"a5", "/x"},
		{"one.example.com", "/t/acme/weather/1.0"}:          {},
		{"one.example.com", "/pets/9"}:                      {"a7", ""},
		{"one.example.com", "/pets/8"}:                      {"a6", "/8"},
		{"one.example.com", "/weatherman"}:                  {},
		{"one.example.com", "/"}:                            {},
	} {
		h, ok := tab.find([]byte(in[0]))
		if !ok || h == nil {
			t.Fatalf("no host for %s", in[0])
		}
		var got found
		if r, rest := h.route(h.below([]byte(in[1]))); r != nil {
			got = found{r.api.ID, string(rest)}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s%s (-want +got):\n%s", in[0], in[1], diff)
		}
	}
}

func TestNewEndpoint(t *testing.T) {
	for raw, want := range map[string]Endpoint{
		"http://b.example.com":              {false, "b.example.com:80", "b.example.com", "", ""},
		"https://b.example.com/":            {true, "b.example.com:443", "b.example.com", "", ""},
		"http://b.example.com:8080/v1/":     {false, "b.example.com:8080", "b.example.com:8080", "/v1", ""},
		"https://[::1]:9443/a%2fb/%7Ec":     {true, "[::1]:9443", "[::1]:9443", "/a%2Fb/~c", ""},
		"http://b.example.com/st%C3%A4dte/": {false, "b.example.com:80", "b.example.com", "/st%C3%A4dte", ""},
	} {
		got, err := NewEndpoint(raw)
		if err != nil {
			t.Errorf("NewEndpoint(%q): %v", raw, err)
		} else if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("NewEndpoint(%q) (-want +got):\n%s", raw, diff)
		}
	}
	for _, raw := range []string{"", "b.example.com", "ftp://b", "http://", "http://u:p@b", "http://b?x", "http://b#x", "http://b/../a", "http://b//a", "http://b/%2e%2e"} {
		if e, err := NewEndpoint(raw); err == nil {
			t.Errorf("NewEndpoint(%q) = %+v, want it refused", raw, *e)
		}
	}
}
