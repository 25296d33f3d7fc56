package control

import (
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// What names an unknown environment, vhost or revision leaves nothing (CONTRACT
// 5-9).
func TestRefusedDeploymentLeavesNothing(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	foreign := w.revision(w.api("Other", "production").ID)
	before := w.counts()
	good := DeployTarget{Environment: production}
	for name, c := range map[string]struct {
		revision string
		targets  []DeployTarget
		kind     sluice.Kind
		code     string
	}{
		"no environment":               {r.ID, nil, sluice.Invalid, "deployment.targets"},
		"an unknown environment":       {r.ID, []DeployTarget{good, {Environment: "Nowhere"}}, sluice.Invalid, "environment.unknown"},
		"an unknown vhost":             {r.ID, []DeployTarget{good, {Environment: both, Vhost: "prod.example.com"}}, sluice.Invalid, "environment.vhost"},
		"one environment twice":        {r.ID, []DeployTarget{good, {Environment: strings.ToUpper(production)}}, sluice.Invalid, "environment.twice"},
		"two things at once":           {r.ID, []DeployTarget{{Environment: "Nowhere"}, {Environment: both, Vhost: "x"}}, sluice.Invalid, "invalid"},
		"an unknown revision":          {"nope", []DeployTarget{good}, sluice.NotFound, "revision.unknown"},
		"a revision of another API":    {foreign.ID, []DeployTarget{good}, sluice.NotFound, "revision.unknown"},
		"the API's id as its revision": {a.ID, []DeployTarget{good}, sluice.NotFound, "revision.unknown"},
	} {
		_, err := w.plane.Deploy(w.admin(), a.ID, c.revision, c.targets)
		wantCode(t, name, err, c.kind, c.code)
	}
	if got := w.deployments(a.ID); len(got) != 0 {
		t.Errorf("refused deployments left %v", got)
	}
	if after := w.counts(); after != before {
		t.Errorf("refused deployments left publications, audit entries, events %v, before %v", after, before)
	}
}

func TestDeployAddsReplacesKeepsAndSkips(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production", "sandbox")
	first := w.revision(a.ID)
	steps := []struct {
		name     string
		revision func() sluice.Revision
		target   DeployTarget
		change   string
		events   []string
	}{
		{"add", func() sluice.Revision { return first }, DeployTarget{Environment: both, Store: true}, "add", []string{"+deployment @ " + both}},
		{"the same again", func() sluice.Revision { return first }, DeployTarget{Environment: both, Store: true}, "keep", nil},
		{"hide it in the Store", func() sluice.Revision { return first }, DeployTarget{Environment: both}, "keep", nil},
		{"the other vhost", func() sluice.Revision { return first }, DeployTarget{Environment: both, Vhost: "OTHER.example.com"}, "replace", []string{"+deployment @ " + both}},
		{"another revision", func() sluice.Revision { return w.revision(a.ID) }, DeployTarget{Environment: both, Vhost: "other.example.com"}, "replace", []string{"+deployment @ " + both}},
		{"the sandbox", func() sluice.Revision { return first }, DeployTarget{Environment: sandbox}, "add", []string{"+deployment @ " + sandbox}},
		{"the sandbox without its endpoint", func() sluice.Revision {
			w.update(func(tx *database.Tx) error {
				a, err := tx.API(a.Organization, a.ID)
				if err != nil {
					return err
				}
				a.Sandbox = nil
				return tx.PutAPI(&a)
			})
			return w.revision(a.ID)
		}, DeployTarget{Environment: sandbox}, "skip", []string{"-deployment @ " + sandbox}},
		{"production, back to the first", func() sluice.Revision { return first }, DeployTarget{Environment: production}, "add", []string{"+deployment @ " + production}},
	}
	for _, s := range steps {
		r := s.revision()
		var p sluice.Publication
		got := w.emitted(func() {
			var err error
			if p, err = w.plane.Deploy(w.admin(), a.ID, r.ID, []DeployTarget{s.target}); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
		})
		wantLines(t, s.name, got, s.events...)
		if len(p.Targets) != 1 || p.Targets[0].Change != s.change {
			t.Errorf("%s: targets %+v, want change %q", s.name, p.Targets, s.change)
		}
		d := w.deployments(a.ID)[s.target.Environment]
		if d.RevisionID != r.ID || d.Store != s.target.Store || (d.Skipped != "") != (s.change == "skip") || (d.Digest == "") != (s.change == "skip") {
			t.Errorf("%s: stored %+v", s.name, d)
		}
	}
	if d := w.deployments(a.ID)[both]; d.Vhost != "other.example.com" {
		t.Errorf("vhost %q, want it as the environment writes it", d.Vhost)
	}
	w.view(func(tx *database.Tx) error { // what gateways get is what the database names
		for name, d := range w.deployments(a.ID) {
			if d.Digest == "" {
				continue
			}
			body, err := tx.Artifact(d.Digest)
			if err != nil {
				return err
			}
			item, err := artifact.Decode(artifact.APIItem(a.ID), body)
			if err != nil {
				return err
			}
			if got := item.(*artifact.API); got.Vhost != d.Vhost || got.Revision != d.RevisionNumber || artifact.DigestOf(body).String() != d.Digest {
				t.Errorf("artifact for %s: %+v", name, got)
			}
		}
		return nil
	})
}

func TestUndeploy(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production", "sandbox")
	first, second := w.revision(a.ID), w.revision(a.ID)
	w.deploy(a.ID, first.ID, production, sandbox)
	w.deploy(a.ID, second.ID, both)
	before := w.counts()
	for name, c := range map[string]struct {
		id           string
		number       int
		environments []string
		kind         sluice.Kind
		code         string
	}{
		"nowhere":                {first.ID, 0, nil, sluice.Invalid, "deployment.targets"},
		"an unknown environment": {first.ID, 0, []string{production, "Nowhere"}, sluice.Invalid, "environment.unknown"},
		"an unknown number":      {"", 9, []string{production}, sluice.Invalid, "revision.number"},
		"an unknown revision":    {"nope", 0, []string{production}, sluice.NotFound, "revision.unknown"},
	} {
		_, err := w.plane.Undeploy(w.admin(), a.ID, c.id, c.number, c.environments, false)
		wantCode(t, name, err, c.kind, c.code)
	}
	if after := w.counts(); after != before || len(w.deployments(a.ID)) != 3 {
		t.Errorf("refused: publications, audit entries, events %v, before %v", after, before)
	}
	undeploy := func(id string, number int, environments []string, all bool) []string {
		t.Helper()
		return w.emitted(func() {
			if _, err := w.plane.Undeploy(w.admin(), a.ID, id, number, environments, all); err != nil {
				t.Fatal(err)
			}
		})
	}
	wantLines(t, "where another revision is", undeploy(second.ID, 0, []string{production}, false))
	wantLines(t, "by number", undeploy("", 1, []string{production}, false), "-deployment @ "+production)
	wantLines(t, "again", undeploy("", 1, []string{production}, false))
	wantLines(t, "everywhere", undeploy(first.ID, 0, nil, true), "-deployment @ "+sandbox)
	if got := w.deployments(a.ID); len(got) != 1 || got[both].RevisionID != second.ID {
		t.Errorf("left: %v, want the second revision at %s alone", got, both)
	}
}
