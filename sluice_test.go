package sluice_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

func weather() sluice.API {
	return sluice.API{
		Name: "Weather", Version: "1.0", Context: "/weather", Visibility: sluice.Public, Transports: []string{"https"},
		Production: []sluice.Endpoint{{URL: "https://backend.example.com/v1"}},
		Operations: []sluice.Operation{{Verb: "GET", Target: "/today", Auth: sluice.AuthAny}},
	}
}

func TestAPIValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*sluice.API)
		field  string // at fault; empty: none
	}{
		"a whole API is good":                   {func(*sluice.API) {}, ""},
		"a context gets its slash":              {func(a *sluice.API) { a.Context = "weather/" }, ""},
		"a context may hold the version":        {func(a *sluice.API) { a.Context = "/weather/{version}/public" }, ""},
		"no name":                               {func(a *sluice.API) { a.Name = "" }, "name"},
		"a name with a blank":                   {func(a *sluice.API) { a.Name = "My API" }, "name"},
		"a name that ends in a slash":           {func(a *sluice.API) { a.Name = "api/" }, "name"},
		"a version with a slash":                {func(a *sluice.API) { a.Version = "1/0" }, "version"},
		"a version that is a dot segment":       {func(a *sluice.API) { a.Version = ".." }, "version"},
		"an empty context":                      {func(a *sluice.API) { a.Context = "/" }, "context"},
		"a context with a dot segment":          {func(a *sluice.API) { a.Context = "/a/../b" }, "context"},
		"a context with an empty segment":       {func(a *sluice.API) { a.Context = "/a//b" }, "context"},
		"a context with an encoded byte":        {func(a *sluice.API) { a.Context = "/a%2fb" }, "context"},
		"a context of the platform":             {func(a *sluice.API) { a.Context = "/token" }, "context"},
		"a context below one of the platform's": {func(a *sluice.API) { a.Context = "/OAuth2/x" }, "context"},
		"a context with another template":       {func(a *sluice.API) { a.Context = "/a/{b}" }, "context"},
		"no transport":                          {func(a *sluice.API) { a.Transports = nil }, "transport"},
		"an unknown transport":                  {func(a *sluice.API) { a.Transports = []string{"ftp"} }, "transport"},
		"an endpoint with a query":              {func(a *sluice.API) { a.Production[0].URL += "?x=1" }, "endpointConfig.production_endpoints"},
		"an endpoint with a password":           {func(a *sluice.API) { a.Production[0].URL = "http://u:p@h/" }, "endpointConfig.production_endpoints"},
		"an endpoint of another scheme":         {func(a *sluice.API) { a.Production[0].URL = "file:///etc/passwd" }, "endpointConfig.production_endpoints"},
		"an endpoint with an impossible port":   {func(a *sluice.API) { a.Production[0].URL = "http://h:99999/" }, "endpointConfig.production_endpoints"},
		"an operation with an unknown verb":     {func(a *sluice.API) { a.Operations[0].Verb = "FETCH" }, "operations"},
		"an operation without a slash":          {func(a *sluice.API) { a.Operations[0].Target = "today" }, "operations"},
		"an operation twice":                    {func(a *sluice.API) { a.Operations = append(a.Operations, a.Operations[0]) }, "operations"},
		"an operation twice but for a variable's name": {func(a *sluice.API) {
			a.Operations = append(a.Operations, sluice.Operation{Verb: "GET", Target: "/a/{x}/b", Auth: sluice.AuthAny}, sluice.Operation{Verb: "GET", Target: "/a/{y}/b", Auth: sluice.AuthAny})
		}, "operations"},
		"an operation with a scope nobody defines": {func(a *sluice.API) { a.Operations[0].Scopes = []string{"read"} }, "operations"},
		"a scope with a quote":                     {func(a *sluice.API) { a.Scopes = []sluice.Scope{{Name: `a"b`}} }, "scopes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := weather()
			c.change(&a)
			err := a.Validate()
			if (err == nil) != (c.field == "") {
				t.Fatalf("Validate() = %v, want a problem at %q", err, c.field)
			}
			if err == nil {
				return
			}
			if e := err.(*sluice.Error); e.Field != c.field || e.Kind != sluice.Invalid {
				t.Errorf("Validate() = %v at %q of kind %v, want at %q", e, e.Field, e.Kind, c.field)
			}
		})
	}
}

func TestAPIValidateReportsEverything(t *testing.T) {
	a := sluice.API{Context: "/token"}
	var e *sluice.Error
	if err := a.Validate(); err != nil {
		e = err.(*sluice.Error)
	}
	var fields []string
	for _, p := range e.Problems {
		fields = append(fields, p.Field)
	}
	for _, want := range []string{"name", "version", "context", "transport", "visibility"} {
		if !slices.Contains(fields, want) {
			t.Errorf("problems at %v, want one at %q", fields, want)
		}
	}
}

func TestVersionedContext(t *testing.T) {
	for context, want := range map[string]string{"/weather": "/weather/1.0", "/weather/{version}/public": "/weather/1.0/public"} {
		a := weather()
		a.Context = context
		if got := a.VersionedContext(); got != want {
			t.Errorf("VersionedContext() of %s = %s, want %s", context, got, want)
		}
	}
}

func TestLifecycle(t *testing.T) {
	all := []sluice.Lifecycle{sluice.Created, sluice.Prototyped, sluice.Published, sluice.Blocked, sluice.Deprecated, sluice.Retired}
	legal := map[string]sluice.Lifecycle{
		"CREATED Publish": sluice.Published, "CREATED Deploy as a Prototype": sluice.Prototyped,
		"PROTOTYPED Publish": sluice.Published, "PROTOTYPED Demote to Created": sluice.Created, "PROTOTYPED Deploy as a Prototype": sluice.Prototyped,
		"PUBLISHED Block": sluice.Blocked, "PUBLISHED Deploy as a Prototype": sluice.Prototyped, "PUBLISHED Demote to Created": sluice.Created,
		"PUBLISHED Deprecate": sluice.Deprecated, "PUBLISHED Publish": sluice.Published,
		"BLOCKED Re-Publish": sluice.Published, "BLOCKED Deprecate": sluice.Deprecated,
		"DEPRECATED Retire": sluice.Retired,
	}
	events := []string{"Publish", "Re-Publish", "Block", "Deprecate", "Retire", "Demote to Created", "Deploy as a Prototype", "publish", ""}
	for _, from := range all {
		for _, event := range events {
			want, ok := legal[string(from)+" "+event]
			got, err := from.Move(event)
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%s.Move(%q) = %s, %v, want %s", from, event, got, err, want)
			case !ok && (err == nil || got != from || sluice.KindOf(err) != sluice.Conflict):
				t.Errorf("%s.Move(%q) = %s, %v, want it refused", from, event, got, err)
			}
		}
	}
	if _, err := sluice.Published.Move("Retire"); err == nil || !strings.Contains(err.Error(), "Block, Deploy as a Prototype") {
		t.Errorf("error %v does not say what is allowed", err)
	}
}

func TestEnvironmentTypeServes(t *testing.T) {
	cases := []struct {
		env                 sluice.EnvironmentType
		production, sandbox bool
		missing             string
	}{
		{sluice.ProductionEnvironment, true, false, ""},
		{sluice.ProductionEnvironment, false, true, "no production endpoint"},
		{sluice.SandboxEnvironment, true, false, "no sandbox endpoint"},
		{sluice.SandboxEnvironment, false, true, ""},
		{sluice.HybridEnvironment, true, false, ""},
		{sluice.HybridEnvironment, false, true, ""},
		{sluice.HybridEnvironment, false, false, "no endpoint"},
	}
	for _, c := range cases {
		ok, missing := c.env.Serves(c.production, c.sandbox)
		if ok != (c.missing == "") || missing != c.missing {
			t.Errorf("%s.Serves(%v, %v) = %v, %q, want %q", c.env, c.production, c.sandbox, ok, missing, c.missing)
		}
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	s := sluice.Secret("hunter2")
	b, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), s.LogValue().String(), string(b), fmt.Sprintf("%+v", struct{ S sluice.Secret }{s})} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("a secret was shown: %s", shown)
		}
	}
	if s.Reveal() != "hunter2" {
		t.Errorf("Reveal() = %q", s.Reveal())
	}
}

func TestNewIDSortsByAge(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	older, newer := sluice.NewID(now), sluice.NewID(now.Add(time.Millisecond))
	if older >= newer {
		t.Errorf("NewID: %s is not before %s", older, newer)
	}
	if len(older) != 36 || older[14] != '7' || !strings.ContainsRune("89ab", rune(older[19])) {
		t.Errorf("NewID() = %s, want a UUID of version 7", older)
	}
}

func TestIDTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	if at, ok := sluice.IDTime(sluice.NewID(now)); !ok || !at.Equal(now.Truncate(time.Millisecond)) {
		t.Errorf("IDTime() = %v, %t, want %v", at, ok, now)
	}
	for _, id := range []string{"", "x", "019b7c0a-1234-4abc-8def-0123456789ab", "019b7c0a-1234-7abc-cdef-0123456789ab", "019B7C0A-1234-7abc-8def-0123456789ab", "019b7c0a11234-7abc-8def-0123456789ab", "+19b7c0a-1234-7abc-8def-0123456789ab"} {
		if at, ok := sluice.IDTime(id); ok {
			t.Errorf("IDTime(%q) = %v, want none", id, at)
		}
	}
}

func TestKindOf(t *testing.T) {
	e := sluice.Errorf(sluice.Conflict, "api.exists", "It exists.")
	if got := sluice.KindOf(fmt.Errorf("store: %w", e)); got != sluice.Conflict {
		t.Errorf("KindOf a wrapped error = %v, want conflict", got)
	}
	if got := sluice.KindOf(fmt.Errorf("disk: %w", fmt.Errorf("gone"))); got != sluice.Internal {
		t.Errorf("KindOf another error = %v, want internal", got)
	}
}

func TestActorHas(t *testing.T) {
	if !(sluice.Actor{Roles: []sluice.Role{sluice.Administrator}}).Has(sluice.Publisher) {
		t.Error("an administrator may publish")
	}
	if (sluice.Actor{Roles: []sluice.Role{sluice.Creator}}).Has(sluice.Publisher) {
		t.Error("a creator may not publish")
	}
	if (sluice.Actor{}).Has() {
		t.Error("nobody has no rights")
	}
}

func TestCompareVersions(t *testing.T) {
	ordered := []string{"", "0.9", "1", "1.0", "1.2", "1.9", "1.9.1", "1.10", "2", "10", "v1", "v1-beta", "v2", "v10"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := sluice.CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("CompareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
	if got := sluice.CompareVersions("1.01", "1.1"); got != 0 {
		t.Errorf("CompareVersions of 1.01 and 1.1 = %d, want 0: zeros in front make no difference", got)
	}
}
