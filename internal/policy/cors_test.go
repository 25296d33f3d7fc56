package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/policy"
)

// TestCORS holds what is told to whom, with and without fields of the backend
// (CONTRACT 10-14).
func TestCORS(t *testing.T) {
	const headers = "authorization,Access-Control-Allow-Origin,Content-Type,SOAPAction"
	listed := &sluice.CORS{Enabled: true, Origins: []string{"https://good.com", "null", ""}, Headers: []string{"X-A"}, Credentials: true}
	for name, tc := range map[string]struct {
		cors    *sluice.CORS
		origin  string // empty: not sent
		backend []string
		want    []string // fields in order of their names
	}{
		"default":            {nil, "https://a.com", nil, []string{"Access-Control-Allow-Headers: " + headers, "Access-Control-Allow-Methods: GET,POST", "Access-Control-Allow-Origin: *"}},
		"default, no origin": {nil, "", nil, []string{"Access-Control-Allow-Origin: *"}},
		"default, null":      {nil, "null", nil, nil},
		"off":                {&sluice.CORS{Origins: []string{"*"}}, "https://a.com", nil, nil},
		"listed": {listed, "https://good.com", nil, []string{
			"Access-Control-Allow-Credentials: true", "Access-Control-Allow-Headers: X-A", "Access-Control-Allow-Methods: GET,POST",
			"Access-Control-Allow-Origin: https://good.com", "Vary: Origin",
		}},
		"listed, no origin":    {listed, "", nil, []string{"Vary: Origin"}},
		"listed, null":         {listed, "null", nil, []string{"Vary: Origin"}},
		"listed, subdomain":    {listed, "https://evil.good.com", nil, []string{"Vary: Origin"}},
		"listed, as a prefix":  {listed, "https://good.com.evil.com", nil, []string{"Vary: Origin"}},
		"listed, other scheme": {listed, "http://good.com", nil, []string{"Vary: Origin"}},
		"listed, other port":   {listed, "https://good.com:444", nil, []string{"Vary: Origin"}},
		"listed, other case":   {listed, "https://GOOD.com", nil, []string{"Vary: Origin"}},
		"star and credentials": {
			&sluice.CORS{Enabled: true, Origins: []string{"https://good.com", "*"}, Credentials: true}, "https://good.com", nil,
			[]string{"Access-Control-Allow-Methods: GET,POST", "Access-Control-Allow-Origin: *"},
		},
		"fewer methods": {
			&sluice.CORS{Enabled: true, Origins: []string{"*"}, Methods: []string{"GET", "PUT"}}, "https://a.com", nil,
			[]string{"Access-Control-Allow-Methods: GET", "Access-Control-Allow-Origin: *"},
		},
		"no origins": {&sluice.CORS{Enabled: true}, "https://a.com", nil, []string{"Vary: Origin"}},
		"backend's origin": {
			listed, "https://good.com",
			[]string{"access-control-allow-origin: https://own.com"},
			[]string{"access-control-allow-origin: https://own.com"},
		},
		"backend's methods": {
			nil, "https://a.com",
			[]string{"Access-Control-Allow-Methods: HEAD", "Vary: Accept"},
			[]string{"Access-Control-Allow-Headers: " + headers, "Access-Control-Allow-Methods: HEAD", "Access-Control-Allow-Origin: *", "Vary: Accept"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := policy.NewCORS(&artifact.API{CORS: tc.cors})
			if err != nil {
				t.Fatal(err)
			}
			x := new(policy.Exchange)
			if tc.origin != "" {
				x.Request.Fields.Add("Origin", tc.origin)
			}
			for _, f := range tc.backend {
				name, value, _ := strings.Cut(f, ": ")
				x.Response.Fields.Add(name, value)
			}
			c.Resource([]string{"GET", "POST"}).AddFields(x)
			var got []string
			for _, f := range x.Response.Fields {
				got = append(got, fmt.Sprintf("%s: %s", f.Name, f.Value))
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCORSRefusesHeaders(t *testing.T) {
	for _, name := range []string{"", "X Y", "X\r\nSet-Cookie: a=b", "X,Y"} {
		if _, err := policy.NewCORS(&artifact.API{CORS: &sluice.CORS{Enabled: true, Headers: []string{name}}}); err == nil {
			t.Errorf("header %q is accepted", name)
		}
	}
}
