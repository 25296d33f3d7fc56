package control

import (
	"slices"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// names lists the environments as everybody sees them; one that the
// configuration does not name has a star.
func (w *world) names() (list []string) {
	w.t.Helper()
	found, err := w.plane.Environments(w.as("sam", sluice.Subscriber))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range found {
		name := e.Name
		if !e.Configured {
			name += "*"
		}
		list = append(list, name)
	}
	return list
}

func (w *world) wantNames(what string, want ...string) {
	w.t.Helper()
	if got := w.names(); !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestEnvironmentsFollowTheConfiguration(t *testing.T) {
	w := newWorld(t)
	w.wantNames("at first", production, sandbox, both)
	p, s, b := w.o.Environments[0], w.o.Environments[1], w.o.Environments[2]
	ids := map[string]string{production: w.environment(production).ID, sandbox: w.environment(sandbox).ID}

	restart := func(list ...ConfiguredEnvironment) []string {
		t.Helper()
		w.o.Environments = list
		return w.emitted(w.restart)
	}
	wantLines(t, "the same again", restart(p, s, b))
	before := w.counts()
	w.restart()
	if w.counts() != before {
		t.Error("a start that changes nothing leaves audit entries or events")
	}

	// Order, description and console concern no gateway.
	s.Description, s.Console = "For tries.", false
	wantLines(t, "reordered", restart(b, s, p))
	w.wantNames("reordered", both, sandbox, production)

	wantLines(t, "one removed", restart(b, p))
	w.wantNames("one removed", both, production, sandbox+"*")
	wantLines(t, "back again", restart(s, b, p))
	w.wantNames("back again", sandbox, both, production)
	if w.environment(sandbox).ID != ids[sandbox] {
		t.Error("an environment that comes back is another one")
	}

	// A new name is a new environment, but for its case.
	p.Name = "PRODUCTION Gateway"
	wantLines(t, "another case", restart(s, b, p), "+environment @ PRODUCTION Gateway")
	if e := w.environment(production); e.ID != ids[production] || e.Name != "PRODUCTION Gateway" {
		t.Errorf("in another case it is %+v", e)
	}
	p.Name = "Another Gateway"
	wantLines(t, "renamed", restart(s, b, p))
	w.wantNames("renamed", sandbox, both, "Another Gateway", "PRODUCTION Gateway*")
}

// An artifact depends on its environment: where that changes, what is deployed
// there follows.
func TestChangedEnvironmentCompilesItsDeploymentsAnew(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	w.deploy(a.ID, r.ID, production)
	if _, err := w.plane.Deploy(w.admin(), a.ID, r.ID, []DeployTarget{{Environment: both, Vhost: "other.example.com", Store: true}}); err != nil {
		t.Fatal(err)
	}
	before := w.deployments(a.ID)

	w.o.Environments[0].Vhosts = []sluice.Vhost{{Host: "new.example.com", HTTPPort: 8280, HTTPSPort: 8243}}
	w.o.Environments[2].Vhosts = w.o.Environments[2].Vhosts[1:] // the default goes
	got := w.emitted(w.restart)
	wantLines(t, "other vhosts", got, "+environment @ "+production, "+deployment @ "+production, "+environment @ "+both)
	after := w.deployments(a.ID)
	if d := after[production]; d.Vhost != "new.example.com" || d.Digest == before[production].Digest || !d.DeployedAt.Equal(before[production].DeployedAt) || !d.Store {
		t.Errorf("deployment after its vhost went: %+v", d)
	}
	if after[both] != before[both] {
		t.Errorf("deployment whose vhost stays: %+v, before %+v", after[both], before[both])
	}

	w.o.Environments[0].Type = sluice.SandboxEnvironment
	got = w.emitted(w.restart)
	wantLines(t, "another type", got, "+environment @ "+production, "-deployment @ "+production)
	if d := w.deployments(a.ID)[production]; d.Skipped != "no sandbox endpoint" {
		t.Errorf("deployment in an environment that became a sandbox: %+v", d)
	}
	w.o.Environments[0].Type = sluice.HybridEnvironment
	got = w.emitted(w.restart)
	wantLines(t, "and another", got, "+environment @ "+production, "+deployment @ "+production)
	w.view(func(tx *database.Tx) error {
		body, err := tx.Artifact(w.deployments(a.ID)[production].Digest)
		if err != nil {
			return err
		}
		item, err := artifact.Decode(artifact.APIItem(a.ID), body)
		if err != nil {
			return err
		}
		if got := item.(*artifact.API); got.Environment != sluice.HybridEnvironment || got.Vhost != "new.example.com" {
			t.Errorf("artifact = %+v", got)
		}
		return nil
	})
}
