package control

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// added returns an environment that an administrator has added.
func (w *world) added(name string, kind sluice.EnvironmentType) sluice.Environment {
	w.t.Helper()
	e := environment(name, kind, "added.example.com").Environment
	if err := w.plane.CreateEnvironment(w.admin(), &e); err != nil {
		w.t.Fatal(err)
	}
	return e
}

// A20, at run time: case, spaces around it and Unicode form make no other name.
func TestA20EnvironmentNamesAreUnique(t *testing.T) {
	w := newWorld(t)
	w.added("K\u00f6ln", sluice.HybridEnvironment)
	for _, name := range []string{"K\u00f6ln", "  k\u00f6ln\t", "KO\u0308LN", "production GATEWAY ", "Sandbox Gateway"} {
		e := environment(name, sluice.HybridEnvironment, "x.example.com").Environment
		wantCode(t, name, w.plane.CreateEnvironment(w.admin(), &e), sluice.Conflict, "environment.taken")
	}
	w.wantNames("after the refusals", production, sandbox, both, "K\u00f6ln*")
}

func TestEnvironmentsOfAdministratorsFollowTheFile(t *testing.T) {
	w := newWorld(t)
	w.added("Zurich", sluice.HybridEnvironment)
	w.clock.advance(1)
	w.added("Aachen", sluice.SandboxEnvironment)
	w.wantNames("added", production, sandbox, both, "Zurich*", "Aachen*")
	p, s, b := w.o.Environments[0], w.o.Environments[1], w.o.Environments[2]
	w.o.Environments = []ConfiguredEnvironment{b, s, p, environment("New", sluice.HybridEnvironment, "new.example.com")}
	w.restart()
	w.wantNames("after a restart with another one in the file", both, sandbox, production, "New", "Zurich*", "Aachen*")

	// The file may take over one that an administrator has added.
	w.o.Environments = append(w.o.Environments, environment("aachen", sluice.SandboxEnvironment, "aachen.example.com"))
	w.restart()
	w.wantNames("taken over", both, sandbox, production, "New", "aachen", "Zurich*")
}

func TestInvalidEnvironments(t *testing.T) {
	w := newWorld(t)
	for what, change := range map[string]func(e *sluice.Environment){
		"environment.name":   func(e *sluice.Environment) { e.Name = "A,B" },
		"environment.type":   func(e *sluice.Environment) { e.Type = "prod" },
		"environment.vhosts": func(e *sluice.Environment) { e.Vhosts = nil },
		"environment.vhost_twice": func(e *sluice.Environment) {
			e.Vhosts = append(e.Vhosts, sluice.Vhost{Host: "X.example.com", HTTPSPort: 1})
		},
		"environment.vhost_host":    func(e *sluice.Environment) { e.Vhosts[0].Host = "a b" },
		"environment.vhost_port":    func(e *sluice.Environment) { e.Vhosts[0].HTTPSPort = 99999 },
		"environment.vhost_context": func(e *sluice.Environment) { e.Vhosts[0].Context = "/a/../b" },
		"environment.permissions":   func(e *sluice.Environment) { e.Permissions.Type = "MAYBE" },
	} {
		e := environment("X", sluice.HybridEnvironment, "x.example.com").Environment
		change(&e)
		wantCode(t, what, w.plane.CreateEnvironment(w.admin(), &e), sluice.Invalid, what)
	}
	w.wantNames("after the refusals", production, sandbox, both)
}

func TestChangingAnEnvironment(t *testing.T) {
	w := newWorld(t)
	configured := w.environment(production)
	configured.Description = "other"
	wantCode(t, "one of the file", w.plane.UpdateEnvironment(w.admin(), &configured, 0), sluice.Conflict, "environment.read_only")
	wantCode(t, "deleting one of the file", w.plane.DeleteEnvironment(w.admin(), configured.ID, 0), sluice.Conflict, "environment.read_only")

	e := w.added("North", sluice.HybridEnvironment)
	renamed := e
	renamed.Name = "South"
	wantCode(t, "renaming", w.plane.UpdateEnvironment(w.admin(), &renamed, 0), sluice.Conflict, "environment.renamed")
	wantCode(t, "an old version", w.plane.UpdateEnvironment(w.admin(), &e, e.RowVersion+1), sluice.Changed, "changed")

	a := w.api("Weather", "production")
	w.deploy(a.ID, w.revision(a.ID).ID, "North")
	e.Description, e.Type, e.Vhosts = "For tries.", sluice.SandboxEnvironment, []sluice.Vhost{{Host: "north.example.com", HTTPSPort: 443}}
	got := w.emitted(func() {
		if err := w.plane.UpdateEnvironment(w.admin(), &e, e.RowVersion); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "changed", got, "+environment @ North", "-deployment @ North")
	if e.Description != "For tries." || e.RowVersion < 2 {
		t.Errorf("changed to %+v", e)
	}
	if d := w.deployments(a.ID)["North"]; d.Skipped != "no sandbox endpoint" {
		t.Errorf("deployment = %+v", d)
	}
}

// G12, at run time: removal is refused with the list of what is deployed, until
// it is undeployed; then the gateways go with it.
func TestG12EnvironmentInUseIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	e := w.added("North", sluice.HybridEnvironment)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	w.deploy(a.ID, r.ID, "North")
	gateway := w.gateway("North", "g")

	err := w.plane.DeleteEnvironment(w.admin(), e.ID, 0)
	wantCode(t, "in use", err, sluice.Conflict, "environment.in_use")
	if !strings.Contains(err.Error(), "Weather 1.0") {
		t.Errorf("the refusal %q does not list the API", err)
	}
	if _, err := w.plane.Undeploy(w.admin(), a.ID, r.ID, 0, nil, true); err != nil {
		t.Fatal(err)
	}
	if err := w.plane.DeleteEnvironment(w.admin(), e.ID, 0); err != nil {
		t.Fatal(err)
	}
	w.wantNames("deleted", production, sandbox, both)
	if _, err := w.plane.Gateway(w.admin(), gateway); !sluice.IsNotFound(err) {
		t.Errorf("gateway of the deleted environment: %v", err)
	}
}

// G12, at the start: an environment that the file does not name any more serves
// on and is shown with its APIs; an administrator renames it.
func TestG12EnvironmentNotInTheConfigurationAnyMore(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	w.deploy(a.ID, w.revision(a.ID).ID, production)
	before := w.deployments(a.ID)
	w.o.Environments = w.o.Environments[1:]
	wantLines(t, "removed from the file", w.emitted(w.restart))
	if got := w.deployments(a.ID); got[production] != before[production] {
		t.Errorf("deployment = %+v, before %+v", got, before)
	}
	e := w.environment(production)
	apis, err := w.plane.EnvironmentAPIs(w.admin(), e.ID)
	if !e.Dropped || e.Configured || !slices.Equal(apis, []string{"Weather 1.0"}) || err != nil {
		t.Errorf("it is %+v with %q, %v", e, apis, err)
	}
	wantCode(t, "in use", w.plane.DeleteEnvironment(w.admin(), e.ID, 0), sluice.Conflict, "environment.in_use")
	e.Name = sandbox
	wantCode(t, "renamed to a taken name", w.plane.UpdateEnvironment(w.admin(), &e, 0), sluice.Conflict, "environment.taken")
	e.Name = "Live Gateway"
	got := w.emitted(func() {
		if err := w.plane.UpdateEnvironment(w.admin(), &e, 0); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "renamed", got, "+environment @ Live Gateway")
	if e = w.environment("Live Gateway"); e.Dropped || w.deployments(a.ID)["Live Gateway"].Digest == "" {
		t.Errorf("renamed to %+v, %v", e, w.deployments(a.ID))
	}
}

// A19: nothing is deployed anywhere where one environment is unknown, removed or
// renamed.
func TestA19UnknownEnvironment(t *testing.T) {
	w := newWorld(t)
	e := w.added("North", sluice.HybridEnvironment)
	if err := w.plane.DeleteEnvironment(w.admin(), e.ID, 0); err != nil {
		t.Fatal(err)
	}
	w.o.Environments = w.o.Environments[1:]
	w.restart()
	dropped := w.environment(production)
	dropped.Name = "Live Gateway"
	if err := w.plane.UpdateEnvironment(w.admin(), &dropped, 0); err != nil {
		t.Fatal(err)
	}
	a := w.api("Weather", "production", "sandbox")
	r := w.revision(a.ID)
	for what, name := range map[string]string{"unknown": "Nowhere", "removed": "North", "renamed": production} {
		_, err := w.plane.Deploy(w.admin(), a.ID, r.ID, targets(sandbox, name))
		wantCode(t, what, err, sluice.Invalid, "environment.unknown")
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the refusal %q does not name it", what, err)
		}
	}
	if got := w.deployments(a.ID); len(got) > 0 {
		t.Errorf("deployed: %v", got)
	}
}

func TestPermissionsOfAnEnvironment(t *testing.T) {
	w := newWorld(t)
	e := w.added("North", sluice.HybridEnvironment)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	for what, test := range map[string]struct {
		permissions sluice.EnvironmentPermissions
		allowed     bool
	}{
		"everybody":                    {sluice.EnvironmentPermissions{}, true},
		"those of the list, one of it": {sluice.EnvironmentPermissions{Type: sluice.AllowRoles, Roles: []string{string(sluice.Publisher)}}, true},
		"those of the list, not of it": {sluice.EnvironmentPermissions{Type: sluice.AllowRoles, Roles: []string{"others"}}, false},
		"all but the list, one of it":  {sluice.EnvironmentPermissions{Type: sluice.DenyRoles, Roles: []string{string(sluice.Publisher)}}, false},
		"all but the list, not of it":  {sluice.EnvironmentPermissions{Type: sluice.DenyRoles, Roles: []string{"others"}}, true},
	} {
		e.Permissions = test.permissions
		if err := w.plane.UpdateEnvironment(w.admin(), &e, 0); err != nil {
			t.Fatal(err)
		}
		_, err := w.plane.Deploy(w.as("paul", sluice.Publisher), a.ID, r.ID, targets("North"))
		if test.allowed && err != nil {
			t.Errorf("%s: %v", what, err)
		} else if !test.allowed {
			wantCode(t, what, err, sluice.Forbidden, "environment.permission")
		}
	}
}
