package control

import (
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

func TestRevisionsAreFewAndTheirNumbersAreNeverUsedAgain(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	other := w.api("Other", "production")
	var list []sluice.Revision
	for range sluice.MaxRevisions {
		list = append(list, w.revision(a.ID))
	}
	_, err := w.plane.CreateRevision(w.admin(), a.ID, "")
	wantCode(t, "the sixth revision", err, sluice.Conflict, "revision.limit")
	_, err = w.plane.CreateRevision(w.admin(), other.ID, strings.Repeat("é", 256))
	wantCode(t, "a long description", err, sluice.Invalid, "revision.description")
	if _, err = w.plane.CreateRevision(w.admin(), other.ID, strings.Repeat("é", 255)); err != nil {
		t.Errorf("a description of 255 characters: %v", err)
	}

	w.deploy(a.ID, list[4].ID, production)
	wantCode(t, "deleting a deployed revision", w.plane.DeleteRevision(w.admin(), a.ID, list[4].ID), sluice.Conflict, "revision.deployed")
	wantCode(t, "deleting the revision of another API", w.plane.DeleteRevision(w.admin(), other.ID, list[0].ID), sluice.NotFound, "revision.unknown")
	for _, r := range list[:4] {
		if err := w.plane.DeleteRevision(w.admin(), a.ID, r.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.plane.Undeploy(w.admin(), a.ID, "", 5, nil, true); err != nil {
		t.Fatal(err)
	}
	if err := w.plane.DeleteRevision(w.admin(), a.ID, list[4].ID); err != nil {
		t.Errorf("deleting a revision that is deployed nowhere any more: %v", err)
	}
	if r := w.revision(a.ID); r.Number != sluice.MaxRevisions+1 {
		t.Errorf("number of the next revision = %d, want %d", r.Number, sluice.MaxRevisions+1)
	}
}

func TestRevisionIsTheAPIAsItWas(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	w.move(a.ID, "Publish")
	frozen, revision, err := w.plane.API(w.admin(), r.ID)
	if err != nil || revision == nil || revision.Number != 1 || frozen.State != sluice.Created || frozen.ID != a.ID {
		t.Errorf("API by the id of its revision = %+v, %+v, %v", frozen, revision, err)
	}
	working, revision, err := w.plane.API(w.admin(), a.ID)
	if err != nil || revision != nil || working.State != sluice.Published {
		t.Errorf("API = %+v, %+v, %v", working, revision, err)
	}
	if _, err := w.plane.Revision(w.admin(), w.api("Other").ID, r.ID); !sluice.IsNotFound(err) {
		t.Errorf("revision below another API: %v, want not found", err)
	}
	list, err := w.plane.Revisions(w.admin(), a.ID)
	if err != nil || len(list) != 1 || list[0].CreatedBy != "root" || list[0].Digest == "" {
		t.Errorf("revisions = %+v, %v", list, err)
	}
}
