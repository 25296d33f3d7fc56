package control

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// Validity of join tokens.
const (
	joinTokenLife    = time.Hour
	maxJoinTokenLife = 24 * time.Hour
)

// Enrolment is what a gateway sends to join.
type Enrolment struct {
	Token     sluice.Secret
	Name      string
	PublicKey string // NKey
	CSR       string // PEM, for its traffic and management certificate
	Version   string
	Listeners []string
}

// Enrolled is what a gateway gets when it joins.
type Enrolled struct {
	GatewayID     string
	EnvironmentID string
	Certificate   string // PEM chain
	CA            string // PEM
	BusURL        string
	StateKeys     [][]byte // Ed25519 public keys that sign states
}

// CreateEnrolmentToken makes a token with which one gateway may join the
// environment, once, within ttl (0: one hour). It returns the token itself,
// which is not shown again, and the command line that uses it.
func (p *Plane) CreateEnrolmentToken(ctx context.Context, environmentID, name string, ttl time.Duration) (sluice.EnrolmentToken, sluice.Secret, string, error) {
	actor, err := allowHere(ctx)
	if err != nil {
		return sluice.EnrolmentToken{}, "", "", err
	}
	if ttl == 0 {
		ttl = joinTokenLife
	}
	var problems sluice.Problems
	if ttl < 0 || ttl > maxJoinTokenLife {
		problems.Add("expiresIn", "enrolment.validity", "A join token is valid for at most 24 hours.")
	}
	if name != "" && !printableName(name) {
		problems.Add("name", "enrolment.name", "The name of a join token has at most 255 printable characters.")
	}
	if err := problems.Err(); err != nil {
		return sluice.EnrolmentToken{}, "", "", err
	}
	t, secret, err := p.newJoinToken(ctx, actor.Name, environmentID, name, "", ttl)
	if err != nil {
		return sluice.EnrolmentToken{}, "", "", err
	}
	return t, secret, fmt.Sprintf("sluice gateway join --control %s --token %s", p.o.ManagementURL, secret.Reveal()), nil
}

// printableName reports whether a name can be shown in a list.
func printableName(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// OwnJoinToken makes a join token for the gateway of the control plane's own
// process, for the environment with the given name.
func (p *Plane) OwnJoinToken(ctx context.Context, environment string) (token sluice.Secret, err error) {
	ctx = sluice.WithActor(ctx, sluice.System())
	var e sluice.Environment
	err = p.db.View(ctx, func(tx *database.Tx) error {
		e, err = tx.EnvironmentByName(environment)
		return err
	})
	if err != nil {
		return "", err
	}
	_, token, err = p.newJoinToken(ctx, sluice.System().Name, e.ID, e.Name, "", joinTokenLife)
	return token, err
}

// EnrolmentTokens returns the join tokens, used and expired ones too, the newest
// first.
func (p *Plane) EnrolmentTokens(ctx context.Context) (list []sluice.EnrolmentToken, err error) {
	if _, err := allowHere(ctx); err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.EnrolmentTokens()
		return err
	})
	return list, err
}

// DeleteEnrolmentToken makes a join token useless at once.
func (p *Plane) DeleteEnrolmentToken(ctx context.Context, id string) error {
	if _, err := allowHere(ctx); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		t, err := tx.EnrolmentToken(id)
		if err != nil {
			return err
		}
		if err := tx.DeleteEnrolmentToken(id); err != nil {
			return err
		}
		return audit(ctx, tx, "enrolment.token_delete", "environment", t.EnvironmentID, t.Name, nil, nil)
	})
}

func (p *Plane) newJoinToken(ctx context.Context, by, environmentID, name, serverURL string, ttl time.Duration) (sluice.EnrolmentToken, sluice.Secret, error) {
	secret := distribution.NewJoinToken(p.CAFingerprint())
	t := sluice.EnrolmentToken{
		ID: sluice.NewID(p.now()), EnvironmentID: environmentID, Name: name, Hash: secret.Hash(), ServerURL: serverURL,
		CreatedBy: by, CreatedAt: p.now(), ExpiresAt: p.now().Add(ttl),
	}
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		if _, err := tx.Environment(environmentID); err != nil {
			return err
		}
		if err := tx.AddEnrolmentToken(&t); err != nil {
			return err
		}
		return audit(ctx, tx, "enrolment.token", "environment", environmentID, name, nil, t.ExpiresAt)
	})
	return t, secret, err
}

// Enrol registers a gateway that shows a join token: its public key for the
// token's environment, and a certificate for that environment's vhosts and the
// address it calls from. An unknown, used and expired token are refused alike.
// A gateway that is enrolled through its ServerURL takes the place of the one
// that was before.
func (p *Plane) Enrol(ctx context.Context, e Enrolment) (out Enrolled, err error) {
	if err := e.validate(); err != nil {
		return out, err
	}
	address := sluice.ActorFrom(ctx).Address
	var replaced []string
	refused := false
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		token, err := tx.UseEnrolmentToken(e.Token.Hash(), p.now())
		if err != nil {
			refused = sluice.KindOf(err) == sluice.Unauthenticated
			return err
		}
		env, err := tx.Environment(token.EnvironmentID)
		if err != nil {
			return err
		}
		g := sluice.Gateway{
			ID: sluice.NewID(p.now()), EnvironmentID: env.ID, Name: e.Name, PublicKey: e.PublicKey, Address: address,
			ServerURL: token.ServerURL, Version: e.Version, EnrolledAt: p.now(),
		}
		if token.ServerURL != "" {
			if replaced, err = removeEnrolledAt(tx, env.ID, token.ServerURL); err != nil {
				return err
			}
		}
		if err := tx.AddGateway(&g); err != nil {
			return err
		}
		out.GatewayID, out.EnvironmentID = g.ID, env.ID
		if out.Certificate, err = p.authority.signRequest(e.CSR, g.Name, p.gatewayHosts(env, address)); err != nil {
			return err
		}
		ctx := sluice.WithActor(ctx, sluice.Actor{Name: "gateway " + g.Name, Organization: sluice.DefaultOrganization, Client: "enrolment", Address: address})
		return audit(ctx, tx, "gateway.enrol", "gateway", g.ID, g.Name, nil, g)
	})
	if refused {
		p.refusals.add("enrolment.refused", e.Name, address)
	}
	if err != nil {
		return Enrolled{}, err
	}
	for _, id := range replaced {
		p.bus.Disconnect(id)
		p.status.forget(id)
	}
	out.CA, out.BusURL = string(p.authority.pem()), p.o.ManagementURL
	out.StateKeys = [][]byte{slices.Clone(p.stateKey[32:])} // the public half (RFC 8032 §5.1.5)
	p.log.Info("gateway joined", "gateway", e.Name, "gateway_id", out.GatewayID, "environment_id", out.EnvironmentID)
	return out, nil
}

// validate reports what is wrong with an enrolment but for its token.
func (e *Enrolment) validate() error {
	var problems sluice.Problems
	if !printableName(e.Name) {
		problems.Add("name", "enrolment.name", "A gateway has a name of 1 to 255 printable characters.")
	}
	if !distribution.ValidPublicKey(e.PublicKey) {
		problems.Add("publicKey", "enrolment.public_key", "The public key is not an NKey of type user.")
	}
	if len(e.Version) > 100 || len(e.CSR) > 16<<10 {
		problems.Add("csr", "enrolment.csr", "The request is too long.")
	}
	return problems.Err()
}

// removeEnrolledAt removes the gateways that were enrolled at a ServerURL.
func removeEnrolledAt(tx *database.Tx, environmentID, serverURL string) (ids []string, err error) {
	gateways, err := tx.Gateways(environmentID)
	if err != nil {
		return nil, err
	}
	for _, g := range gateways {
		if g.ServerURL == serverURL {
			if err := tx.DeleteGateway(g.ID); err != nil {
				return nil, err
			}
			ids = append(ids, g.ID)
		}
	}
	return ids, nil
}

// gatewayHosts returns the names a gateway's certificate may carry.
func (p *Plane) gatewayHosts(e sluice.Environment, address string) []string {
	var hosts []string
	for _, v := range e.Vhosts {
		hosts = append(hosts, v.Host)
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	hosts = append(hosts, address)
	if p.o.Quickstart {
		hosts = append(hosts, "localhost", "127.0.0.1", "::1")
	}
	return hosts
}
