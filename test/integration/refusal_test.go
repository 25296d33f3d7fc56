package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

// refusals sees every fault a caller can meet, as it is written.
func (s *story) refusals(t *testing.T) {
	a := s.call.want(t, s.gateway(1, "/stations"), "", http.StatusUnauthorized, "900902")
	if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="Sluice"` {
		t.Errorf("WWW-Authenticate %q", got)
	}
	a = s.call.want(t, s.gateway(1, "/stations"), "abc", http.StatusUnauthorized, "900901")
	if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="Sluice", error="invalid_token"` {
		t.Errorf("WWW-Authenticate %q", got)
	}
	for _, member := range []string{"code", "message", "description", "traceId"} {
		if a.text(member) == "" {
			t.Errorf("the fault has no text %q: %s", member, a.body)
		}
	}
	s.call.want(t, s.gateway(1, "/nowhere"), s.productionToken, http.StatusNotFound, "404")
	s.call.want(t, "https://localhost:8244/unknown/1.0/x", s.productionToken, http.StatusNotFound, "404")

	put, err := s.call.do(t.Context(), http.MethodPut, s.gateway(1, "/stations/s1"), s.productionToken, "{}")
	if err != nil {
		t.Fatal(err)
	}
	if put.status != http.StatusMethodNotAllowed || put.text("code") != "405" || !strings.Contains(put.header.Get("Allow"), "DELETE") {
		t.Errorf("PUT = %d %s, Allow %q", put.status, put.body, put.header.Get("Allow"))
	}
	s.scopes(t)

	stranger := s.application(t, "No Subscription", false, 0, sluice.ProductionKey)[0]
	s.call.want(t, s.gateway(1, "/stations"), s.token(t, 1, stranger, ""), http.StatusForbidden, "900908")

	brief := s.application(t, "Brief Tokens", true, time.Second, sluice.ProductionKey)[0]
	var token string
	eventually(t, "a brief token is taken", func() error { // its second may be over before the call
		token = s.token(t, 1, brief, "")
		if a := s.call.get(t, s.gateway(1, "/stations"), token); a.status != http.StatusOK {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	eventually(t, "the token expires", func() error {
		if a := s.call.get(t, s.gateway(1, "/stations"), token); a.status != http.StatusUnauthorized || a.text("code") != "900903" {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

// scopes tries the operation that needs a scope, without and with it.
func (s *story) scopes(t *testing.T) {
	const station = `{"name":"New","lat":1,"lon":2}`
	post := func(token string) *answer {
		a, err := s.call.do(t.Context(), http.MethodPost, s.gateway(1, "/stations"), token, station)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := post(s.productionToken); a.status != http.StatusForbidden || a.text("code") != "900910" {
		t.Errorf("without the scope: %d %s", a.status, a.body)
	}
	if a := post(s.token(t, 1, s.production, "stations:manage")); a.status != http.StatusCreated || a.text("servedBy") != "production" {
		t.Errorf("with the scope: %d %s", a.status, a.body)
	}
}

// revocation revokes a token through the sandbox gateway; both production
// gateways refuse it within a second.
func (s *story) revocation(t *testing.T) {
	token := s.token(t, 2, s.production, "")
	for _, offset := range []int{1, 3} {
		s.call.want(t, s.gateway(offset, "/stations"), token, http.StatusOK, "production")
	}
	s.revoke(t, 2, s.production, token)
	s.refusedWithinASecond(t, token, s.gateway(1, "/stations"), s.gateway(3, "/stations"))
	s.call.want(t, s.gateway(1, "/stations"), s.productionToken, http.StatusOK, "production") // another token of the key
}

func (s *story) undeploy(t *testing.T) {
	if _, err := s.rest.Undeploy(t.Context(), s.apiID, s.revisionID, "Sandbox Gateway"); err != nil {
		t.Fatal(err)
	}
	s.call.want(t, s.gateway(2, "/status"), "", http.StatusNotFound, "404")
	s.call.want(t, s.gateway(1, "/status"), "", http.StatusOK, "production")
	a, err := s.rest.StoreAPI(t.Context(), s.apiID)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Endpoints) != 1 || a.Endpoints[0].Environment != "Production Gateway" {
		t.Errorf("the Store shows %+v, want the production gateway alone", a.Endpoints)
	}
	s.deploy(t, "Production Gateway", "Sandbox Gateway")
}

// withoutControlPlane kills instance 1, and then a gateway that must come back
// without it.
func (s *story) withoutControlPlane(t *testing.T) {
	revoked := s.token(t, 1, s.production, "")
	s.revoke(t, 1, s.production, revoked)
	s.refusedWithinASecond(t, revoked, s.gateway(1, "/stations"))
	s.instances[0].kill(t)
	serves := func() {
		t.Helper()
		s.call.want(t, s.gateway(1, "/stations"), s.productionToken, http.StatusOK, "production")
		s.call.want(t, s.gateway(2, "/stations"), s.sandboxToken, http.StatusOK, "sandbox")
	}
	serves()
	s.instances[1].kill(t)
	s.instances[1] = start(t, s.homes[1])
	ready(t, s.instances[1], 1)
	eventually(t, "the traffic port is open", func() error {
		_, err := s.call.do(t.Context(), http.MethodGet, s.gateway(1, "/status"), "", "")
		return err
	})
	serves()
	s.call.want(t, s.gateway(1, "/stations"), revoked, http.StatusUnauthorized, "900901") // nothing is revived
	a := s.call.form(t, s.oauth(1, "/token"), s.production.Key, s.production.Secret.Reveal(), url.Values{"grant_type": {"client_credentials"}})
	if a.status != http.StatusServiceUnavailable || a.text("error") != "temporarily_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("POST /token without the Key Manager = %d %s", a.status, a.body)
	}
}

// controlPlaneBack starts instance 1 again; a change reaches every gateway.
func (s *story) controlPlaneBack(t *testing.T) {
	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	eventually(t, "all gateways are connected", func() error {
		gateways, err := s.rest.Gateways(t.Context(), "")
		if err != nil {
			return err
		}
		for _, g := range gateways {
			if g.State != "connected" {
				return fmt.Errorf("%s is %s", g.Name, g.State)
			}
		}
		return nil
	})
	r, err := s.rest.CreateRevision(t.Context(), s.apiID, "second")
	if err != nil {
		t.Fatal(err)
	}
	s.revisionID = r.ID
	s.deploy(t, "Production Gateway", "Sandbox Gateway")
	newcomer := s.application(t, "Newcomer", true, 0, sluice.ProductionKey)[0]
	token := s.token(t, 1, newcomer, "")
	for _, offset := range []int{1, 3} {
		eventually(t, "the new subscription counts", func() error {
			if a := s.call.get(t, s.gateway(offset, "/stations"), token); a.status != http.StatusOK {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}
	for _, p := range append(s.instances[:], s.fourth) {
		for _, secret := range []string{s.production.Secret.Reveal(), s.productionToken} {
			if strings.Contains(p.log.String(), secret) {
				t.Errorf("the log of %s shows a secret", filepath.Base(p.home))
			}
		}
	}
}

// duplicateEnvironment starts an instance whose file has one name twice.
func (s *story) duplicateEnvironment(t *testing.T) {
	home := unpack(t, "twice")
	const manager = "repository/conf/api-manager.xml"
	edit(t, home, "repository/conf/carbon.xml", `<Offset>0</Offset>`, "<Offset>9</Offset>")
	edit(t, home, manager, `(<Environment .*</Environment>)`, "$1\n            $1")
	out, code := run(t, home)
	b, err := os.ReadFile(filepath.Join(home, manager))
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	for i, line := range strings.Split(string(b), "\n") {
		if strings.Contains(line, "<Name>") {
			lines = append(lines, i+1)
		}
	}
	want := fmt.Sprintf("api-manager.xml:%d: environment \"Production and Sandbox\" is already defined in line %d; names must be unique", lines[1], lines[0])
	if code != 1 || !strings.Contains(out, want) {
		t.Errorf("start = %d\n%s\nwant 1 and %q", code, out, want)
	}
}
