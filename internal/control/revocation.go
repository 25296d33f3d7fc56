package control

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Kinds of what can be revoked, as a request names them.
const (
	revokeToken        = "token"
	revokeConsumerKey  = "consumerKey"
	revokeApplication  = "application"
	revokeSubscription = "subscription"
	revokeUser         = "user"
)

// clockLeeway is the most by which a gateway may take a token after it expired;
// a revocation must outlive that.
const clockLeeway = time.Minute

// revocationHistory is how long it can be looked up what was revoked.
const revocationHistory = 30 * 24 * time.Hour

// SignedToken is what control needs to know of an access token that the Key
// Manager signed.
type SignedToken struct {
	ID          string
	ConsumerKey string
	Expires     time.Time
}

// RevocationRequest says what shall end. Exactly one of ID and Token is given;
// Token only with the kind token.
type RevocationRequest struct {
	Kind  string // "token", "consumerKey", "application", "subscription" or "user"
	ID    string // of a token: its jti
	Token sluice.Secret
}

// Revoke ends tokens at all gateways before they expire: one token; all that a
// consumer key, an application's keys or a user got so far, with their refresh
// tokens and codes; of a subscription the right to call through it, which is
// blocked until somebody unblocks it. Later tokens are not meant.
//
// What it returns names the gateways and, as time goes by (Revocation), when
// each of them proved it.
func (p *Plane) Revoke(ctx context.Context, r RevocationRequest) (act sluice.RevocationAct, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return act, err
	}
	if (r.ID == "") == (r.Token == "") || r.Token != "" && r.Kind != revokeToken {
		return act, sluice.Errorf(sluice.Invalid, "revocation.subject", "Name what to revoke by its id, or a token by itself.").At("id")
	}
	if r.Kind == revokeToken && r.ID != "" && actor.Organization != sluice.DefaultOrganization {
		return act, sluice.Errorf(sluice.Forbidden, "organization.forbids", "A token's id does not say whose it is; give the token itself.").At("id")
	}
	act = sluice.RevocationAct{ID: sluice.NewID(p.now()), Organization: actor.Organization, Kind: r.Kind, Subject: r.ID, Actor: actor.Name}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		before, err := generations(tx)
		if err != nil {
			return err
		}
		act.CreatedAt = p.now()
		if act.Subject, err = p.revoke(tx, actor, r); err != nil {
			return err
		}
		if act.Environments, err = p.concerned(tx, before); err != nil {
			return err
		}
		if err := tx.AddRevocationAct(&act); err != nil {
			return err
		}
		return audit(ctx, tx, "revocation.create", "revocation", act.ID, r.Kind+" "+act.Subject, nil, nil)
	})
	if err != nil {
		return act, err
	}
	return p.revocations.watch(act, p.status), nil
}

// revoke ends what r names and returns its id.
func (p *Plane) revoke(tx *database.Tx, actor sluice.Actor, r RevocationRequest) (subject string, err error) {
	switch r.Kind {
	case revokeToken:
		if r.Token != "" {
			return p.endToken(tx, actor, r.Token)
		}
		return r.ID, p.addRevocation(tx, sluice.Revocation{
			ID: sluice.NewID(p.now()), Kind: sluice.RevokedToken, Subject: r.ID, ExpiresAt: p.now().Add(p.o.MaxAccessTokenTTL + clockLeeway),
		})
	case revokeConsumerKey:
		k, err := tx.ConsumerKey(r.ID)
		if err == nil && k.Organization != actor.Organization {
			err = sluice.Errorf(sluice.NotFound, "key.unknown", "There is no such key.")
		}
		if err != nil {
			return "", err
		}
		return k.Key, p.endKeyTokens(tx, k.Key)
	case revokeApplication:
		a, err := tx.Application(actor.Organization, r.ID)
		if err != nil {
			return "", err
		}
		keys, err := tx.ConsumerKeys(a.ID)
		if err != nil {
			return "", err
		}
		for _, k := range keys {
			if err := p.endKeyTokens(tx, k.Key); err != nil {
				return "", err
			}
		}
		return a.ID, nil
	case revokeSubscription:
		s, err := tx.Subscription(actor.Organization, r.ID)
		if err != nil {
			return "", err
		}
		s.State = sluice.SubscriptionBlocked
		if err := tx.PutSubscription(&s); err != nil {
			return "", err
		}
		return s.ID, emit(tx, "", sluice.SubscriptionChanged, s.ID, s)
	case revokeUser:
		u, err := tx.User(actor.Organization, r.ID)
		if err != nil {
			return "", err
		}
		return u.ID, p.endTokens(tx, &u)
	}
	return "", sluice.Errorf(sluice.Invalid, "revocation.kind", "The kind is token, consumerKey, application, subscription or user.").At("kind")
}

// endToken ends one token of the actor's organization, of any sort, and returns
// its id.
func (p *Plane) endToken(tx *database.Tx, actor sluice.Actor, token sluice.Secret) (string, error) {
	unknown := sluice.Errorf(sluice.NotFound, "token.unknown", "There is no such token, or it is over.").At("token")
	if signed, ok := p.o.InspectToken(token); ok {
		k, err := tx.ConsumerKey(signed.ConsumerKey)
		if sluice.IsNotFound(err) || err == nil && (k.Organization != actor.Organization || !p.now().Before(signed.Expires.Add(clockLeeway))) {
			return "", unknown
		}
		if err != nil {
			return "", err
		}
		return signed.ID, p.revokeOnce(tx, signed.ID, signed.Expires)
	}
	hash := token.Hash()
	if t, err := tx.AccessTokenByHash(hash); err == nil {
		if _, err := tx.User(actor.Organization, t.UserID); err != nil {
			return "", notFoundAs(err, unknown)
		}
		return t.ID, tx.DeleteAccessToken(t.UserID, t.ID)
	} else if !sluice.IsNotFound(err) {
		return "", err
	}
	t, err := tx.RefreshTokenByHash(hash)
	if err == nil {
		_, err = tx.User(actor.Organization, t.UserID)
	}
	if err != nil {
		return "", notFoundAs(err, unknown)
	}
	family, err := tx.RefreshFamily(t.Family)
	if err != nil {
		return "", err
	}
	for _, member := range family {
		if err := tx.DeleteAccessToken(member.UserID, member.AccessTokenID); err == nil {
			continue // a management client's
		} else if !sluice.IsNotFound(err) {
			return "", err
		}
		if err := p.revokeOnce(tx, member.AccessTokenID, member.AccessUntil); err != nil {
			return "", err
		}
	}
	return t.ID, tx.DeleteRefreshFamily(t.Family)
}

// notFoundAs returns instead where err says that something is not there.
func notFoundAs(err, instead error) error {
	if sluice.IsNotFound(err) {
		return instead
	}
	return err
}

// revokeOnce ends a signed access token; the revocation has the token's id, so
// that a token is revoked once, however often it is asked for.
func (p *Plane) revokeOnce(tx *database.Tx, id string, expires time.Time) error {
	until := expires.Add(clockLeeway)
	if !p.now().Before(until) {
		return nil
	}
	if _, err := tx.Revocation(id); !sluice.IsNotFound(err) {
		return err
	}
	return p.addRevocation(tx, sluice.Revocation{ID: id, Kind: sluice.RevokedToken, Subject: id, ExpiresAt: until})
}

// endKeyTokens ends every token that a consumer key got so far, with its refresh
// tokens and codes.
func (p *Plane) endKeyTokens(tx *database.Tx, key string) error {
	if err := tx.DeleteClientTokens(key); err != nil {
		return err
	}
	return p.addRevocation(tx, sluice.Revocation{
		ID: sluice.NewID(p.now()), Kind: sluice.RevokedConsumerKey, Subject: key, Before: p.now(),
		ExpiresAt: p.now().Add(p.o.MaxAccessTokenTTL + clockLeeway),
	})
}

// endTokens ends every token that a user has: those of the management API,
// refresh tokens, codes and, at all gateways, access tokens for APIs. It belongs
// to whatever takes rights from a user: another password, fewer roles, the end of
// the account.
func (p *Plane) endTokens(tx *database.Tx, u *sluice.User) error {
	if err := tx.DeleteUserTokens(u.ID); err != nil {
		return err
	}
	return p.addRevocation(tx, sluice.Revocation{
		ID: sluice.NewID(p.now()), Kind: sluice.RevokedUser, Subject: u.Name, Organization: u.Organization, Before: p.now(),
		ExpiresAt: p.now().Add(p.o.MaxAccessTokenTTL + clockLeeway),
	})
}

// addRevocation stores a revocation and tells gateways.
func (p *Plane) addRevocation(tx *database.Tx, r sluice.Revocation) error {
	r.CreatedAt = p.now()
	if err := tx.AddRevocation(&r); err != nil {
		return err
	}
	return emit(tx, "", sluice.RevocationAdded, r.ID, r)
}

// generations returns the generation of every environment.
func generations(tx *database.Tx) (map[string]int64, error) {
	list, err := tx.Environments()
	now := make(map[string]int64, len(list))
	for _, e := range list {
		now[e.ID] = e.Generation
	}
	return now, err
}

// concerned returns the environments that have changed since then, with their
// gateways.
func (p *Plane) concerned(tx *database.Tx, before map[string]int64) (list []sluice.RevokedEnvironment, err error) {
	environments, err := tx.Environments()
	if err != nil {
		return nil, err
	}
	for _, e := range environments {
		if e.Generation == before[e.ID] {
			continue
		}
		gateways, err := tx.Gateways(e.ID)
		if err != nil {
			return nil, err
		}
		r := sluice.RevokedEnvironment{EnvironmentID: e.ID, Generation: e.Generation}
		for _, g := range gateways {
			r.Gateways = append(r.Gateways, sluice.RevokedGateway{GatewayID: g.ID, Name: g.Name, Connected: p.status.connected(g.ID)})
		}
		list = append(list, r)
	}
	return list, nil
}

// Revocation returns an act of Revoke, waiting up to the given time until all
// gateways that were connected have proved it.
func (p *Plane) Revocation(ctx context.Context, id string, wait time.Duration) (act sluice.RevocationAct, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return act, err
	}
	deadline := p.now().Add(wait)
	for {
		news := p.status.next()
		var open bool
		if act, open = p.revocations.of(actor.Organization, id); !open {
			err = p.db.View(ctx, func(tx *database.Tx) error {
				act, err = tx.RevocationAct(actor.Organization, id)
				return err
			})
		}
		left := deadline.Sub(p.now())
		if err != nil || !act.EverywhereAt.IsZero() || left <= 0 {
			return act, err
		}
		timer := time.NewTimer(min(time.Second, left))
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		if err != nil {
			return act, err
		}
	}
}

// revocations are the acts that some gateway has not proved yet. It may be used
// by many goroutines.
type revocations struct {
	mu    sync.Mutex // guards open and dirty
	open  map[string]*sluice.RevocationAct
	dirty map[string]bool // acts that are to be stored
}

func newRevocations() *revocations {
	return &revocations{open: map[string]*sluice.RevocationAct{}, dirty: map[string]bool{}}
}

// watch waits for gateways to prove an act from now on, and returns it with what
// they have said already.
func (r *revocations) watch(act sluice.RevocationAct, s *status) sluice.RevocationAct {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[act.ID] = &act
	r.dirty[act.ID] = true
	proved(&act, sluice.Report{})
	for _, e := range act.Environments {
		for _, g := range e.Gateways {
			proved(&act, s.report(g.GatewayID))
		}
	}
	return copied(&act)
}

// of returns an act that is watched.
func (r *revocations) of(organization, id string) (sluice.RevocationAct, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	act, open := r.open[id]
	if !open || act.Organization != organization {
		return sluice.RevocationAct{}, false
	}
	return copied(act), true
}

// heard takes what a gateway says of itself.
func (r *revocations) heard(report sluice.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, act := range r.open {
		if proved(act, report) {
			r.dirty[id] = true
		}
	}
}

// forget stops waiting for a gateway that was removed.
func (r *revocations) forget(gatewayID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, act := range r.open {
		for i := range act.Environments {
			e := &act.Environments[i]
			e.Gateways = slices.DeleteFunc(e.Gateways, func(g sluice.RevokedGateway) bool { return g.GatewayID == gatewayID })
		}
		proved(act, sluice.Report{})
		r.dirty[id] = true
	}
}

// take returns the acts that have changed since the last call, and forgets those
// that nothing more is to be heard of.
func (r *revocations) take(now time.Time, life time.Duration) (list []sluice.RevocationAct) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, act := range r.open {
		if r.dirty[id] {
			list = append(list, copied(act))
		}
		if !unheard(act) || now.Sub(act.CreatedAt) > life {
			delete(r.open, id)
		}
	}
	clear(r.dirty)
	return list
}

// proved notes what a report says of an act, and reports whether that is news. A
// gateway whose state has the act's generation has the revocation, and refuses.
func proved(act *sluice.RevocationAct, r sluice.Report) (news bool) {
	waiting, last, any := false, act.CreatedAt, false
	for i := range act.Environments {
		e := &act.Environments[i]
		for j := range e.Gateways {
			g := &e.Gateways[j]
			if g.RefusedAt.IsZero() && g.GatewayID == r.GatewayID && r.Connected && r.Generation >= e.Generation {
				g.RefusedAt, news = r.HeardAt, true
			}
			switch {
			case g.RefusedAt.IsZero():
				waiting = waiting || g.Connected
			default:
				any = true
				if g.RefusedAt.After(last) {
					last = g.RefusedAt
				}
			}
		}
	}
	if act.EverywhereAt.IsZero() && !waiting && (any || !unheard(act)) {
		act.EverywhereAt, news = last, true
	}
	return news
}

// unheard reports whether a gateway has not proved the act.
func unheard(act *sluice.RevocationAct) bool {
	return slices.ContainsFunc(act.Environments, func(e sluice.RevokedEnvironment) bool {
		return slices.ContainsFunc(e.Gateways, func(g sluice.RevokedGateway) bool { return g.RefusedAt.IsZero() })
	})
}

// copied returns an act that shares nothing with act.
func copied(act *sluice.RevocationAct) sluice.RevocationAct {
	out := *act
	out.Environments = slices.Clone(act.Environments)
	for i := range out.Environments {
		out.Environments[i].Gateways = slices.Clone(out.Environments[i].Gateways)
	}
	return out
}

// revocationLife is how long a revocation can matter: the longest that a token
// of before may live.
func (p *Plane) revocationLife() time.Duration { return p.o.MaxAccessTokenTTL + clockLeeway }

// loadRevocations takes up the acts that were open when the control plane ended.
func (p *Plane) loadRevocations(tx *database.Tx) error {
	list, err := tx.RevocationActs(p.now().Add(-p.revocationLife()))
	for _, act := range list {
		if unheard(&act) {
			p.revocations.open[act.ID] = &act
		}
	}
	return err
}

// storeRevocations stores what gateways have proved since the last time.
func (p *Plane) storeRevocations(ctx context.Context) error {
	list := p.revocations.take(p.now(), p.revocationLife())
	if len(list) == 0 {
		return nil
	}
	return p.db.Update(ctx, func(tx *database.Tx) (err error) {
		for _, act := range list {
			if e := tx.PutRevocationAct(&act); !sluice.IsNotFound(e) {
				err = errors.Join(err, e)
			}
		}
		return err
	})
}
