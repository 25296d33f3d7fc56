package keymanager

import (
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func TestScopes(t *testing.T) {
	f := start(t, nil)
	user := func(name, scope string) string { return as(name) + "&scope=" + strings.ReplaceAll(scope, " ", "+") }
	application := func(scope string) string {
		return "grant_type=client_credentials&scope=" + strings.ReplaceAll(scope, " ", "+")
	}
	for name, c := range map[string]struct {
		client client
		form   string
		want   string
	}{
		"none asked for":                      {f.production, user("ann", ""), "default"},
		"everybody's":                         {f.production, user("bob", "read"), "read"},
		"of a role the user has":              {f.production, user("ann", "write read"), "write read"},
		"of a role the user lacks":            {f.production, user("bob", "write read"), "read"},
		"nothing left":                        {f.production, user("bob", "write nothing"), "default"},
		"API without a subscription":          {f.production, user("ann", "trade read"), "read"},
		"blocked subscription":                {f.production, user("ann", "zoom read"), "read"},
		"blocked for production":              {f.production, application("ride"), "am_application_scope default"},
		"blocked for production only":         {f.sandbox, application("ride"), "am_application_scope ride"},
		"by the owner's roles":                {f.production, application("write"), "am_application_scope write"},
		"whitelisted":                         {f.production, user("bob", "device_7 xdevice_7 write"), "device_7"},
		"repeated, with blanks":               {f.production, user("bob", " read  read "), "read"},
		"the application's own, asked for":    {f.production, application("am_application_scope"), "am_application_scope default"},
		"the application's own, for a user":   {f.production, user("ann", "am_application_scope"), "default"},
		"management scopes are not for these": {f.production, user("ann", "apim:api_view"), "default"},
	} {
		if got := f.post(pathToken, c.client, c.form).text("scope"); got != c.want {
			t.Errorf("%s: scope = %q, want %q", name, got, c.want)
		}
	}

	f.update(func(tx *database.Tx) error { return tx.DeleteUser(sluice.DefaultOrganization, "user-ann") })
	if got, want := f.post(pathToken, f.production, application("write read")).text("scope"), "am_application_scope read"; got != want {
		t.Errorf("the owner is gone: scope = %q, want %q", got, want)
	}
}

func FuzzScopes(f *testing.F) {
	for _, seed := range []string{"", "a b", "a  a", `"`, "ä", "a\nb", strings.Repeat("x ", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, parameter string) {
		scopes, err := parseScopes(parameter)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, scope := range scopes {
			if seen[scope] || scope == "" || strings.ContainsAny(scope, " \"\\\r\n\t") || len(scopes) > maxScopes {
				t.Fatalf("parseScopes(%q) = %q", parameter, scopes)
			}
			seen[scope] = true
		}
	})
}
