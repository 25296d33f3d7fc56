package control

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// endpointPassword names what the passwords of backends are sealed as. It is the
// organization's, so that a copy of an API has its own right to them.
func endpointPassword(organization string) string { return "endpoint-password/" + organization }

// sealPasswords seals the passwords of an API's backends, which are in a as the
// caller gave them, and takes those that are empty over from before, the stored
// API (nil: it is new). It is for what comes from outside; what is in the
// database stays as it is.
func (p *Plane) sealPasswords(a, before *sluice.API) error {
	var problems sluice.Problems
	if before == nil {
		before = new(sluice.API)
	}
	seal := func(side string, now, old *sluice.EndpointSecurity) *sluice.EndpointSecurity {
		switch {
		case now == nil:
			return nil
		case len(now.Password) > 0:
			return &sluice.EndpointSecurity{Username: now.Username, Password: p.db.Seal(endpointPassword(a.Organization), now.Password)}
		case old != nil && len(old.Password) > 0:
			return &sluice.EndpointSecurity{Username: now.Username, Password: old.Password}
		}
		problems.Add("endpointConfig.endpoint_security."+side, "api.endpoint_security", "The backend's password is missing.")
		return now
	}
	a.ProductionSecurity = seal("production", a.ProductionSecurity, before.ProductionSecurity)
	a.SandboxSecurity = seal("sandbox", a.SandboxSecurity, before.SandboxSecurity)
	return problems.Err()
}

// addCredentials gives an artifact the passwords of the backends it calls.
func addCredentials(tx *database.Tx, to *artifact.API, a *sluice.API) error {
	open := func(s *sluice.EndpointSecurity, used bool) (*artifact.Credentials, error) {
		if s == nil || !used {
			return nil, nil
		}
		password, err := tx.Unseal(endpointPassword(a.Organization), s.Password)
		return &artifact.Credentials{Username: s.Username, Password: string(password)}, err
	}
	var err error
	if to.ProductionSecurity, err = open(a.ProductionSecurity, len(to.Production) > 0); err != nil {
		return err
	}
	to.SandboxSecurity, err = open(a.SandboxSecurity, len(to.Sandbox) > 0)
	return err
}

// checkEndpoints reports the endpoints of an API that lead back to the
// installation itself: to a gateway, round and round, or to its management port.
func (p *Plane) checkEndpoints(tx *database.Tx, a *sluice.API) error {
	environments, err := tx.Environments()
	if err != nil {
		return err
	}
	own := slices.Clone(p.o.OwnAddresses)
	if u, err := url.Parse(p.o.ManagementURL); err == nil {
		own = append(own, u.Host)
	}
	for _, e := range environments {
		for _, v := range e.Vhosts {
			for _, port := range []int{v.HTTPPort, v.HTTPSPort} {
				if port != 0 {
					own = append(own, net.JoinHostPort(v.Host, strconv.Itoa(port)))
				}
			}
		}
	}
	var problems sluice.Problems
	check := func(field string, list []sluice.Endpoint) {
		for _, e := range list {
			if slices.ContainsFunc(own, func(address string) bool { return p.sameAddress(e, address) }) {
				problems.Add(field, "api.endpoint", "An endpoint cannot be an address of Sluice itself.")
			}
		}
	}
	check("endpointConfig.production_endpoints", a.Production)
	check("endpointConfig.sandbox_endpoints", a.Sandbox)
	for _, o := range a.Overrides {
		check("endpoints", slices.Concat(o.Production, o.Sandbox))
	}
	return problems.Err()
}

// sameAddress reports whether an endpoint is at a "host:port". Two names of this
// machine are the same host.
func (p *Plane) sameAddress(e sluice.Endpoint, address string) bool {
	u, err := url.Parse(e.URL)
	if err != nil {
		return false
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	host, ownPort, err := net.SplitHostPort(address)
	if err != nil || port != ownPort {
		return false
	}
	local := func(h string) bool { return h == "" || p.o.LocalHost != nil && p.o.LocalHost(h) }
	return strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), host) || local(host) && local(u.Hostname())
}

// EndpointOverride returns what an environment uses instead of the endpoints of
// an API, and the API's row version. Both lists are empty where it uses those.
func (p *Plane) EndpointOverride(ctx context.Context, apiID, environmentID string) (o sluice.EndpointOverride, version int64, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return o, 0, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, err := readable(tx, actor, apiID)
		if err != nil {
			return err
		}
		if _, err := tx.Environment(environmentID); err != nil {
			return err
		}
		o, version = sluice.EndpointOverride{EnvironmentID: environmentID}, a.RowVersion
		if i := overrideOf(&a, environmentID); i >= 0 {
			o = a.Overrides[i]
		}
		return nil
	})
	return o, version, err
}

// PutEndpointOverride gives an environment endpoints of its own for an API, or,
// where both lists are empty, takes them away. It is a part of the working copy:
// gateways hear of it with the next revision. ifMatch is the row version the
// caller saw; 0: whatever it is. It returns the new one.
func (p *Plane) PutEndpointOverride(ctx context.Context, apiID string, o sluice.EndpointOverride, ifMatch int64) (version int64, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return 0, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, apiID, ifMatch)
		if err != nil {
			return err
		}
		if _, err := tx.Environment(o.EnvironmentID); err != nil {
			return err
		}
		before := a.Overrides
		a.Overrides = slices.Clone(before)
		i := overrideOf(&a, o.EnvironmentID)
		switch empty := len(o.Production)+len(o.Sandbox) == 0; {
		case empty && i >= 0:
			a.Overrides = slices.Delete(a.Overrides, i, i+1)
		case empty:
		case i >= 0:
			a.Overrides[i] = o
		default:
			a.Overrides = append(a.Overrides, o)
		}
		if err := a.Validate(); err != nil {
			return err
		}
		if err := p.checkEndpoints(tx, &a); err != nil {
			return err
		}
		a.UpdatedAt = p.now()
		if err := tx.PutAPI(&a); err != nil {
			return err
		}
		version = a.RowVersion
		return audit(ctx, tx, "api.endpoints", "api", a.ID, a.Name+" "+a.Version, before, a.Overrides)
	})
	return version, err
}

// overrideOf returns the index of an environment's override, -1 where there is
// none.
func overrideOf(a *sluice.API, environmentID string) int {
	return slices.IndexFunc(a.Overrides, func(o sluice.EndpointOverride) bool { return o.EnvironmentID == environmentID })
}
