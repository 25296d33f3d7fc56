package integration

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
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
	s.reload(t)
}

// reload tells a process to read its files again (F21): with an error the old
// configuration stays, and the log has file and line; without, the new one holds.
func (s *story) reload(t *testing.T) {
	const file = "repository/conf/api-manager.xml"
	hangUp := func(said string) {
		t.Helper()
		if err := s.instances[0].cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the log has "+said, func() error {
			if !strings.Contains(s.instances[0].log.String(), said) {
				return errors.New("it has not")
			}
			return nil
		})
	}
	console := func(want bool) {
		t.Helper()
		list, err := s.rest.Environments(t.Context())
		if err != nil || len(list) != 1 || list[0].Console != want {
			t.Errorf("environments %+v, %v, want one that the console has: %t", list, err, want)
		}
	}
	edit(t, s.homes[0], file, `api-console="true"`, `api-console="maybe"`)
	hangUp(`api-console=\"maybe\" must be true or false`)
	console(true)
	edit(t, s.homes[0], file, `api-console="maybe"`, `api-console="false"`)
	hangUp("changed=environments")
	console(false)
}
