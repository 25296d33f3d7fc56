package control

import (
	"slices"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// rollback brings back what was deployed before the last publication of an API, or
// before all that were made since a time.
func (d *draft) rollback() error {
	environments, err := resolve(d.tx, d.request.Targets)
	if err != nil {
		return err
	}
	former, err := d.former()
	if err != nil {
		return err
	}
	apis := map[string]*sluice.API{}
	for _, t := range former {
		if len(environments) > 0 && !slices.ContainsFunc(environments, func(e sluice.Environment) bool { return e.ID == t.EnvironmentID }) {
			continue
		}
		a := apis[t.APIID]
		if a == nil {
			found, err := changeable(d.tx, d.actor, t.APIID, 0)
			if sluice.IsNotFound(err) && d.request.APIID == "" {
				continue // it was deleted since; nothing of it is served
			}
			if err != nil {
				return err
			}
			a = &found
			apis[t.APIID] = a
			if err := d.touch(a); err != nil {
				return err
			}
		}
		if err := d.bringBack(a, t); err != nil {
			return err
		}
	}
	if len(d.named) == 0 {
		return block(sluice.Errorf(sluice.Conflict, "publication.nothing", "There is nothing to roll back."))
	}
	return nil
}

// former returns the targets of the publications to be taken back, each place
// once: as it was before the first of them.
func (d *draft) former() (list []sluice.Target, err error) {
	q := d.request
	filter := database.PublicationFilter{Organization: d.actor.Organization, APIID: q.APIID, From: q.Since}
	if q.Since.IsZero() {
		filter.Limit = 20 // refused ones do not count
	}
	publications, _, err := d.tx.FindPublications(filter)
	if err != nil {
		return nil, err
	}
	publications = slices.DeleteFunc(publications, func(p sluice.Publication) bool { return p.State != sluice.AllLive && p.State != sluice.PartlyLive })
	if len(publications) == 0 {
		return nil, nil
	}
	if q.Since.IsZero() {
		publications = publications[:1]
		d.pub.Reverts = publications[0].ID
	}
	seen := map[place]bool{}
	for _, p := range slices.Backward(publications) { // the oldest first
		for _, t := range p.Targets {
			if t.APIID == "" {
				t.APIID = p.APIID
			}
			at := place{t.APIID, t.EnvironmentID}
			if !seen[at] && (q.APIID == "" || t.APIID == q.APIID) {
				seen[at] = true
				list = append(list, t)
			}
		}
	}
	return list, nil
}

// bringBack deploys what was deployed at a place before a publication.
func (d *draft) bringBack(a *sluice.API, t sluice.Target) error {
	at := place{a.ID, t.EnvironmentID}
	now, deployed := d.before[at]
	d.named[at] = true
	if t.Before == nil {
		if deployed {
			return undeploy(d.tx, now)
		}
		return nil
	}
	if !a.State.Deployable() {
		return block(sluice.Errorf(sluice.Forbidden, "api.state_forbids", "An API that is %s cannot be deployed.", a.State))
	}
	r, err := d.tx.Revision(a.ID, t.Before.RevisionID)
	if sluice.IsNotFound(err) {
		return block(sluice.Errorf(sluice.Conflict, "revision.gone", "Revision %d of %s %s, which was served on %s, has been deleted.", t.Before.RevisionNumber, a.Name, a.Version, t.Environment))
	}
	if err != nil {
		return err
	}
	e, err := d.tx.Environment(t.EnvironmentID)
	if sluice.IsNotFound(err) {
		return block(sluice.Errorf(sluice.Conflict, "environment.gone", "The environment %q has been deleted.", t.Environment))
	}
	if err != nil {
		return err
	}
	if !e.Permissions.Allow(d.actor.Roles) {
		return block(sluice.Errorf(sluice.Forbidden, "environment.permission", "Your roles do not allow to deploy to the environment %q.", e.Name))
	}
	if d.request.APIID != "" {
		d.pub.RevisionID, d.pub.RevisionNumber = r.ID, r.Number
	}
	back := *t.Before
	if _, ok := e.Vhost(back.Vhost); !ok {
		first, _ := e.Vhost("")
		back.Vhost = first.Host
	}
	back.DeployedAt, back.LiveAt = d.p.now(), time.Time{}
	return block(d.p.deploy(d.tx, a, &r, &e, back))
}
