package control

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// DeployTarget is where a revision shall be served.
type DeployTarget struct {
	EnvironmentID string // empty: Environment says which
	Environment   string // name
	Vhost         string // host; empty: the environment's first
	Store         bool   // show its URLs in the API Store
}

// deploy writes that an environment shall serve a revision, and tells its
// gateways where that is news to them. d says where, and since when. Where the
// environment's type needs an endpoint that the revision lacks, the deployment
// says so and nothing is served.
func (p *Plane) deploy(tx *database.Tx, a *sluice.API, r *sluice.Revision, e *sluice.Environment, d sluice.Deployment) error {
	before, err := deployment(tx, a.ID, e.ID)
	if err != nil {
		return err
	}
	d.APIID, d.EnvironmentID, d.RevisionID, d.RevisionNumber = a.ID, e.ID, r.ID, r.Number
	d.Digest, d.Skipped = "", ""
	served := before != nil && before.Digest != ""
	compiled, missing := artifact.Compile(r, e, d.Vhost, a)
	if compiled != nil && compiled.CORS == nil {
		compiled.CORS = p.settings.Load().CORS
	}
	if compiled == nil {
		d.Skipped, d.LiveAt = missing, time.Time{}
		if err := tx.PutDeployment(&d); err != nil || !served {
			return err
		}
		return emit(tx, e.ID, sluice.DeploymentChanged, a.ID, nil)
	}
	if err := addCredentials(tx, compiled, &r.API); err != nil {
		return fmt.Errorf("passwords of the backends: %w", err)
	}
	body, err := artifact.Encode(compiled)
	if err != nil {
		return sluice.Errorf(sluice.Invalid, "deployment.size", "The API is too large to be sent to gateways.")
	}
	d.Digest = artifact.DigestOf(body).String()
	if served && before.Digest == d.Digest {
		d.LiveAt = before.LiveAt
		return tx.PutDeployment(&d)
	}
	if err := tx.PutArtifact(d.Digest, body); err != nil {
		return fmt.Errorf("store the artifact: %w", err)
	}
	if err := tx.PutDeployment(&d); err != nil {
		return err
	}
	return emit(tx, e.ID, sluice.DeploymentChanged, a.ID, d)
}

// redeploy compiles a deployment anew after its API or its environment changed
// under it. It stays where it was and is as old as it was; a vhost that is no
// more is replaced by the environment's first.
func (p *Plane) redeploy(tx *database.Tx, a *sluice.API, e *sluice.Environment, d sluice.Deployment) error {
	r, err := tx.Revision(d.APIID, d.RevisionID)
	if err != nil {
		return err
	}
	vhost, ok := e.Vhost(d.Vhost)
	if !ok {
		vhost, _ = e.Vhost("")
	}
	d.Vhost = vhost.Host
	return p.deploy(tx, a, &r, e, d)
}

// deployment returns what an environment shall serve of an API; nil: nothing.
func deployment(tx *database.Tx, apiID, environmentID string) (*sluice.Deployment, error) {
	list, err := tx.Deployments(apiID)
	for i := range list {
		if list[i].EnvironmentID == environmentID {
			return &list[i], nil
		}
	}
	return nil, err
}

// ShowDeployment says whether the Store shows the addresses of an API in an
// environment, named. revisionID is what the caller takes to be deployed there;
// empty: whatever is. No gateway is touched.
func (p *Plane) ShowDeployment(ctx context.Context, apiID, environment, revisionID string, store bool) error {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, apiID, 0)
		if err != nil {
			return err
		}
		e, err := tx.EnvironmentByName(environment)
		if err != nil {
			return err
		}
		d, err := deployment(tx, a.ID, e.ID)
		if err != nil {
			return err
		}
		if d == nil || revisionID != "" && d.RevisionID != revisionID {
			return sluice.Errorf(sluice.NotFound, "deployment.unknown", "The API, or this revision of it, is not deployed to %s.", e.Name)
		}
		before := *d
		d.Store = store
		if err := tx.PutDeployment(d); err != nil {
			return err
		}
		return audit(ctx, tx, "deployment.show", "api", a.ID, a.Name+" "+a.Version+" on "+e.Name, before, d)
	})
}

// EnvironmentStatus is what one environment shall serve of an API, and what its
// gateways say of it.
type EnvironmentStatus struct {
	Environment sluice.Environment
	Deployment  *sluice.Deployment // nil: nothing is wanted there
	State       string             // a sluice.DeploymentState, or "partial"; "" where nothing is wanted
	Gateways    []GatewayStatus
	URLs        []URL
}

// GatewayStatus is the state of an API on one gateway.
type GatewayStatus struct {
	Gateway   sluice.Gateway
	State     sluice.DeploymentState
	Reason    string
	Revision  int    // the revision the state is about, or that is served instead
	Digest    string // of the artifact the gateway has
	Since     time.Time
	Connected bool
}

// URL is one address of a deployed API.
type URL struct {
	URL     string
	Scheme  string // http, https
	Live    bool   // proved by at least one gateway
	Stale   bool   // no gateway that proved it has been heard for a while
	Default bool   // without the version
}

// Status returns the state of an API in every environment, in their order.
func (p *Plane) Status(ctx context.Context, apiID string) (list []EnvironmentStatus, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, err := readable(tx, actor, apiID)
		if err != nil {
			return err
		}
		list, err = p.environmentStatus(tx, &a)
		return err
	})
	return list, err
}

// DeployedAPI is an API that is deployed to an environment, and how it stands there.
type DeployedAPI struct {
	API    sluice.API
	Status EnvironmentStatus
}

// EnvironmentStatus returns a page of the APIs of the actor's organization that are
// deployed to an environment, by name and version, how they stand there, and how
// many there are. state "" is any, else one of EnvironmentStatus.State.
func (p *Plane) EnvironmentStatus(ctx context.Context, environmentID, state string, page Page) (list []DeployedAPI, total int, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, 0, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		e, err := tx.Environment(environmentID)
		if err != nil {
			return err
		}
		deployments, err := tx.EnvironmentDeployments(environmentID)
		if err != nil {
			return err
		}
		for i := range deployments {
			a, err := tx.API(actor.Organization, deployments[i].APIID)
			if sluice.IsNotFound(err) {
				continue // another organization's
			}
			if err != nil {
				return err
			}
			d := DeployedAPI{API: a}
			if d.Status, err = p.statusIn(tx, e, &deployments[i], a.ID); err != nil {
				return err
			}
			if state == "" || d.Status.State == state {
				list = append(list, d)
			}
		}
		slices.SortFunc(list, func(a, b DeployedAPI) int {
			return strings.Compare(a.API.Name+"\x00"+a.API.Version, b.API.Name+"\x00"+b.API.Version)
		})
		total = len(list)
		from := min(page.Offset, total)
		list = list[from:min(from+page.limit(), total)]
		for i := range list {
			if err := addURLs(tx, &list[i].API, &list[i].Status); err != nil {
				return err
			}
		}
		return nil
	})
	return list, total, err
}

// environmentStatus joins the deployments of an API with what gateways report.
func (p *Plane) environmentStatus(tx *database.Tx, a *sluice.API) ([]EnvironmentStatus, error) {
	environments, err := tx.Environments()
	if err != nil {
		return nil, err
	}
	deployments, err := tx.Deployments(a.ID)
	if err != nil {
		return nil, err
	}
	list := make([]EnvironmentStatus, 0, len(environments))
	for _, e := range environments {
		var d *sluice.Deployment
		if i := slices.IndexFunc(deployments, func(d sluice.Deployment) bool { return d.EnvironmentID == e.ID }); i >= 0 {
			d = &deployments[i]
		}
		s, err := p.statusIn(tx, e, d, a.ID)
		if err != nil {
			return nil, err
		}
		if err := addURLs(tx, a, &s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// statusIn is how an API stands in one environment, that shall serve d (nil:
// nothing), but for its URLs.
func (p *Plane) statusIn(tx *database.Tx, e sluice.Environment, d *sluice.Deployment, apiID string) (EnvironmentStatus, error) {
	s := EnvironmentStatus{Environment: e, Deployment: d}
	gateways, err := tx.Gateways(e.ID)
	if err != nil {
		return s, err
	}
	for _, g := range gateways {
		s.Gateways = append(s.Gateways, p.status.of(g, apiID, d))
	}
	s.State = summary(&s)
	return s, nil
}

// addURLs adds the addresses at which an environment serves an API.
func addURLs(tx *database.Tx, a *sluice.API, s *EnvironmentStatus) error {
	if s.Deployment == nil || s.Deployment.Digest == "" {
		return nil
	}
	r, err := tx.Revision(a.ID, s.Deployment.RevisionID)
	if err != nil {
		return err
	}
	s.URLs = urls(&r, a, s)
	return nil
}

// summary is the one state of all gateways of an environment, or "partial".
func summary(s *EnvironmentStatus) string {
	switch {
	case s.Deployment == nil:
		return ""
	case s.Deployment.Skipped != "":
		return string(sluice.Skipped)
	case len(s.Gateways) == 0:
		return string(sluice.Pending)
	}
	state := s.Gateways[0].State
	for _, g := range s.Gateways[1:] {
		if g.State != state {
			return "partial"
		}
	}
	return string(state)
}

// urls lists the addresses of a revision in an environment, in the order of its
// transports.
func urls(r *sluice.Revision, a *sluice.API, s *EnvironmentStatus) []URL {
	v, ok := s.Environment.Vhost(s.Deployment.Vhost)
	if !ok {
		return nil
	}
	live, stale := false, false
	for _, g := range s.Gateways {
		live = live || g.State == sluice.Live
		stale = stale || g.State == sluice.Stale
	}
	compiled, _ := artifact.Compile(r, &s.Environment, s.Deployment.Vhost, a)
	if compiled == nil {
		return nil
	}
	var list []URL
	add := func(path string, byDefault bool) {
		for _, scheme := range compiled.Transports {
			port := v.HTTPPort
			if scheme == "https" {
				port = v.HTTPSPort
			}
			if port == 0 {
				continue
			}
			list = append(list, URL{
				URL:    fmt.Sprintf("%s://%s%s%s", scheme, authorityOf(v.Host, scheme, port), v.Context, path),
				Scheme: scheme, Live: live, Stale: stale && !live, Default: byDefault,
			})
		}
	}
	add(compiled.Context, false)
	if compiled.DefaultContext != "" {
		add(compiled.DefaultContext, true)
	}
	return list
}

// authorityOf returns host and port as a URL has them, without a scheme's usual
// port.
func authorityOf(host, scheme string, port int) string {
	authority := net.JoinHostPort(host, strconv.Itoa(port)) // brackets an IPv6 address
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return strings.TrimSuffix(authority, ":"+strconv.Itoa(port))
	}
	return authority
}
