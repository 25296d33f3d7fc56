package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// The untouched product pack is a working node: control plane, Key Manager, and
// the gateway of its one hybrid environment.
func TestUntouchedPack(t *testing.T) {
	if !namespace(t) {
		return
	}
	s := &story{}
	s.homes[0] = unpack(t, "untouched")
	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	s.logIn(t)
	environments, err := s.rest.Environments(t.Context())
	if err != nil || len(environments) != 1 || environments[0].Name != "Production and Sandbox" {
		t.Fatalf("environments %+v, %v", environments, err)
	}
	s.importAPI(t)
	r, err := s.rest.CreateRevision(t.Context(), s.apiID, "")
	if err != nil {
		t.Fatal(err)
	}
	s.revisionID = r.ID
	s.deploy(t, "Production and Sandbox")
	if _, err := s.rest.ChangeLifecycle(t.Context(), s.apiID, "Publish"); err != nil {
		t.Fatal(err)
	}
	s.subscribe(t)
	for _, k := range []struct {
		kind sluice.KeyType
		by   string
	}{{sluice.ProductionKey, "production"}, {sluice.SandboxKey, "sandbox"}} {
		keys := s.production
		if k.kind == sluice.SandboxKey {
			keys = s.sandbox
		}
		s.call.want(t, s.gateway(0, "/stations"), s.token(t, 0, keys, ""), http.StatusOK, k.by)
	}
	s.call.want(t, s.plain(0, "/status"), "", http.StatusOK, "production") // of an open operation the production endpoint

	out, code := run(t, s.homes[0], "token", "create")
	if code != 1 || !strings.Contains(out, "/api/sluice/v1/access-tokens") {
		t.Errorf("token create beside a running control plane = %d %s", code, out)
	}
	s.instances[0].stop(t)
	if out, code = run(t, s.homes[0], "token", "create"); code != 0 {
		t.Fatalf("token create = %d %s", code, out)
	}
	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	if _, err := s.rest.WithToken(secret(out)).API(t.Context(), s.apiID); err != nil {
		t.Errorf("with the token made offline: %v", err)
	}
}
