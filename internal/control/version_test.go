package control

import (
	"testing"

	"github.com/sluice-api/sluice"
)

// A new version is CREATED, deployed nowhere, and has the documents and the
// picture of the one it is copied from (6-5).
func TestCopyAPI(t *testing.T) {
	w := newWorld(t)
	from := w.published("Weather")
	w.deploy(from.ID, w.revision(from.ID).ID, production)
	d := w.document(from.ID, "Guide", sluice.DocumentInline)
	if _, err := w.plane.PutThumbnail(w.admin(), from.ID, 0, []byte(gif)); err != nil {
		t.Fatal(err)
	}
	carla := w.as("carla", sluice.Creator)
	a, err := w.plane.CopyAPI(carla, from.ID, "2.0", true)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == from.ID || a.State != sluice.Created || a.Version != "2.0" || !a.Default || a.Owner != "carla" || a.Name != from.Name ||
		a.Context != from.Context || a.VersionedContext() != "/weather/2.0" || string(a.Definition) != string(from.Definition) {
		t.Errorf("the new version is %+v", a)
	}
	if len(w.deployments(a.ID)) != 0 {
		t.Error("the new version is deployed")
	}
	list, err := w.plane.Documents(carla, a.ID)
	if err != nil || len(list) != 1 || list[0].ID == d.ID || list[0].Name != "Guide" {
		t.Fatalf("documents of the new version: %+v, %v", list, err)
	}
	if _, content, err := w.plane.Document(carla, a.ID, list[0].ID); err != nil || string(content) != "text of Guide" {
		t.Errorf("content of the copied document: %q, %v", content, err)
	}
	if p, err := w.plane.Thumbnail(carla, a.ID); err != nil || p.MediaType != "image/gif" {
		t.Errorf("copied thumbnail: %+v, %v", p.MediaType, err)
	}
	_, err = w.plane.CopyAPI(carla, from.ID, "2.0", false)
	wantCode(t, "the same version again", err, sluice.Conflict, "api.version_exists")
	_, err = w.plane.CopyAPI(carla, from.ID, "a/b", false)
	wantCode(t, "a version of two segments", err, sluice.Invalid, "api.version")
	for name, c := range map[string]struct {
		name, version, context string
		taken                  bool
	}{
		"the name":                {"weather", "", "", true},
		"another name":            {"Other", "", "", false},
		"a version that is there": {"Weather", "2.0", "", true},
		"a version that is not":   {"Weather", "3.0", "", false},
		"the context":             {"", "", "/weather", true},
	} {
		if taken, err := w.plane.Taken(carla, c.name, c.version, c.context); taken != c.taken || err != nil {
			t.Errorf("%s is taken: %t, %v", name, taken, err)
		}
	}
}

func TestRestoreRevision(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	w.deploy(a.ID, r.ID, production)
	a.Description = "changed since"
	if _, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a); err != nil {
		t.Fatal(err)
	}
	w.move(a.ID, "Publish")
	events := w.emitted(func() {
		restored, err := w.plane.RestoreRevision(w.as("paul", sluice.Publisher), a.ID, r.ID)
		if err != nil || restored.Description != "" || restored.State != sluice.Published || restored.Owner != "carla" || restored.ID != a.ID {
			t.Errorf("restored: %+v, %v", restored, err)
		}
	})
	wantLines(t, "restoring", events)
	if d := w.deployments(a.ID)[production]; d.RevisionID != r.ID {
		t.Errorf("deployment after restoring: %+v", d)
	}
	_, err := w.plane.RestoreRevision(w.as("carla", sluice.Creator), a.ID, r.ID)
	wantCode(t, "a creator restores a published API", err, sluice.Forbidden, "api.state_forbids")
	_, err = w.plane.RestoreRevision(w.admin(), a.ID, "nope")
	wantCode(t, "an unknown revision", err, sluice.NotFound, "revision.unknown")
}

// What the Store shows is changed without any gateway hearing of it.
func TestShowDeployment(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	w.deploy(a.ID, r.ID, production)
	before := w.deployments(a.ID)[production]
	events := w.emitted(func() {
		if err := w.plane.ShowDeployment(w.admin(), a.ID, production, r.ID, false); err != nil {
			t.Error(err)
		}
	})
	wantLines(t, "ShowDeployment", events)
	after := w.deployments(a.ID)[production]
	if after.Store || after.Digest != before.Digest || !after.DeployedAt.Equal(before.DeployedAt) {
		t.Errorf("deployment = %+v, before %+v", after, before)
	}
	wantCode(t, "where it is not deployed", w.plane.ShowDeployment(w.admin(), a.ID, sandbox, "", true), sluice.NotFound, "deployment.unknown")
	wantCode(t, "another revision", w.plane.ShowDeployment(w.admin(), a.ID, production, "x", true), sluice.NotFound, "deployment.unknown")
	wantCode(t, "an unknown environment", w.plane.ShowDeployment(w.admin(), a.ID, "Nowhere", "", true), sluice.NotFound, "environment.unknown")
}

func TestSearch(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	w.api("Guidebook")
	w.document(a.ID, "Guide", sluice.DocumentInline)
	term := func(attribute, value string) []Term {
		return []Term{{Attribute: attribute, Value: value, Match: "contains"}}
	}
	for name, c := range map[string]struct {
		f     APIFilter
		want  string
		total int
	}{
		"everything":       {APIFilter{}, "Guidebook Weather doc:Guide", 3},
		"a word":           {APIFilter{Query: term("name", "guide")}, "Guidebook doc:Guide", 2},
		"a document":       {APIFilter{Query: term("document", "guide")}, "doc:Guide", 1},
		"an attribute":     {APIFilter{Query: term("provider", "carla")}, "Guidebook Weather", 2},
		"the first page":   {APIFilter{Limit: 2}, "Guidebook Weather", 3},
		"the second page":  {APIFilter{Limit: 2, Offset: 2}, "doc:Guide", 3},
		"beyond the end":   {APIFilter{Limit: 2, Offset: 9}, "", 3},
		"an overlap":       {APIFilter{Limit: 2, Offset: 1}, "Weather doc:Guide", 3},
		"nothing of these": {APIFilter{Query: term("name", "x' or 1=1 --")}, "", 0},
	} {
		list, total, err := w.plane.Search(w.admin(), c.f)
		got := ""
		for _, r := range list {
			if r.Document != nil {
				got += " doc:" + r.Document.Name
			} else {
				got += " " + r.API.Name
			}
		}
		if got != "" {
			got = got[1:]
		}
		if got != c.want || total != c.total || err != nil {
			t.Errorf("%s: %q, %d, %v; want %q, %d", name, got, total, err, c.want, c.total)
		}
	}
}
