package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// Directory is what a gateway knows of those who call: what tokens are judged
// by, consumer keys, applications, subscriptions, tiers and revocations. It is
// immutable and may be used by many goroutines; one call sees one Directory
// from start to end. What was called of late is counted through all Directories
// that were made out of each other.
type Directory struct {
	trust           *Trust  // nil: not known yet
	signer          *signer // nil: backends are not told who calls
	leeway          time.Duration
	counts          *counts
	tiers           map[tierKey]tier                  // those without a limit are left out
	apiKeys         *shards[*apiKey]                  // by SHA-256 of the key, not encoded
	apiKeyDigests   *shards[string]                   // the same, by id
	keys            *shards[consumerKey]              // by consumer key
	applications    *shards[*artifact.Application]    // by id
	subscriptions   *shards[*artifact.Subscription]   // by id
	subscribed      *shards[[]*artifact.Subscription] // by application id, in order of the API's id
	revocations     *shards[*artifact.Revocation]     // by id
	revokedSubjects *shards[[]*artifact.Revocation]   // by subject
}

// consumerKey is the part of an artifact.Key that calls need: there may be a
// million of them.
type consumerKey struct {
	applicationID string
	sandbox       bool
}

func (k consumerKey) keyType() sluice.KeyType {
	if k.sandbox {
		return sluice.SandboxKey
	}
	return sluice.ProductionKey
}

// NewDirectory returns a Directory that knows nobody. leeway is the clock
// difference allowed where times in tokens are judged; it may be zero.
func NewDirectory(leeway time.Duration) *Directory {
	return &Directory{
		leeway:          leeway,
		counts:          new(counts),
		apiKeys:         new(shards[*apiKey]),
		apiKeyDigests:   new(shards[string]),
		keys:            new(shards[consumerKey]),
		applications:    new(shards[*artifact.Application]),
		subscriptions:   new(shards[*artifact.Subscription]),
		subscribed:      new(shards[[]*artifact.Subscription]),
		revocations:     new(shards[*artifact.Revocation]),
		revokedSubjects: new(shards[[]*artifact.Revocation]),
	}
}

// subscription returns the subscription of an application to an API, nil where
// there is none.
func (d *Directory) subscription(applicationID, apiID string) *artifact.Subscription {
	list, _ := d.subscribed.get(applicationID)
	if i, found := findSubscription(list, apiID); found {
		return list[i]
	}
	return nil
}

func findSubscription(list []*artifact.Subscription, apiID string) (int, bool) {
	return slices.BinarySearchFunc(list, apiID, func(s *artifact.Subscription, id string) int {
		return strings.Compare(s.APIID, id)
	})
}

// revoked reports whether a token of the subject, issued at a time in Unix
// milliseconds, was revoked. A revocation ends every token of its millisecond:
// the order within it is not known. Of subjects that are named in organizations,
// organization is the one; a revocation that names none is of any, and where it is
// not known ("") any is meant.
func (d *Directory) revoked(kind sluice.RevocationKind, subject, organization string, issued int64, now time.Time) bool {
	list, _ := d.revokedSubjects.get(subject)
	for _, r := range list {
		if r.Kind != kind || r.Organization != "" && organization != "" && r.Organization != organization || !now.Before(r.ExpiresAt.Add(d.leeway)) {
			continue
		}
		if r.Before.IsZero() || issued <= r.Before.UnixMilli() {
			return true
		}
	}
	return false
}

// Prefixes of the item ids that a Directory holds.
var (
	keyPrefix          = (&artifact.Key{}).ItemID()
	applicationPrefix  = (&artifact.Application{}).ItemID()
	subscriptionPrefix = (&artifact.Subscription{}).ItemID()
	tierPrefix, _      = splitID((&artifact.Tier{}).ItemID())
	revocationPrefix   = (&artifact.Revocation{}).ItemID()
	apiKeyPrefix       = (&artifact.APIKey{}).ItemID()
	tokensID           = (&artifact.Tokens{}).ItemID()
	backendJWTID       = (&artifact.BackendJWT{}).ItemID()
)

// DirectoryEdit is a Directory being made out of another. It belongs to one
// goroutine and is of no use after Directory was called.
type DirectoryEdit struct {
	from            *Directory
	trust           *Trust
	signer          *signer
	tiers           map[tierKey]tier
	ownTiers        bool              // tiers were copied and may be changed
	names           map[string]string // texts that many items share, held once
	apiKeys         *shardsEdit[*apiKey]
	apiKeyDigests   *shardsEdit[string]
	keys            *shardsEdit[consumerKey]
	applications    *shardsEdit[*artifact.Application]
	subscriptions   *shardsEdit[*artifact.Subscription]
	subscribed      *shardsEdit[[]*artifact.Subscription]
	revocations     *shardsEdit[*artifact.Revocation]
	revokedSubjects *shardsEdit[[]*artifact.Revocation]
}

// Edit begins a change of d, which itself stays as it is. An empty edit begins
// with nothing, whatever d holds.
func (d *Directory) Edit(empty bool) *DirectoryEdit {
	base := d
	if empty {
		base = new(Directory)
	}
	return &DirectoryEdit{
		from:            d,
		trust:           base.trust,
		signer:          base.signer,
		tiers:           base.tiers,
		names:           make(map[string]string),
		apiKeys:         editShards(base.apiKeys),
		apiKeyDigests:   editShards(base.apiKeyDigests),
		keys:            editShards(base.keys),
		applications:    editShards(base.applications),
		subscriptions:   editShards(base.subscriptions),
		subscribed:      editShards(base.subscribed),
		revocations:     editShards(base.revocations),
		revokedSubjects: editShards(base.revokedSubjects),
	}
}

// Directory returns the result of the edit.
func (e *DirectoryEdit) Directory() *Directory {
	return &Directory{
		trust:           e.trust,
		signer:          e.signer,
		leeway:          e.from.leeway,
		counts:          e.from.counts,
		tiers:           e.tiers,
		apiKeys:         e.apiKeys.shards,
		apiKeyDigests:   e.apiKeyDigests.shards,
		keys:            e.keys.shards,
		applications:    e.applications.shards,
		subscriptions:   e.subscriptions.shards,
		subscribed:      e.subscribed.shards,
		revocations:     e.revocations.shards,
		revokedSubjects: e.revokedSubjects.shards,
	}
}

// Expect says that an item with the id is to be put, so that there is room for
// all of them before the first one comes. It need not be called.
func (e *DirectoryEdit) Expect(id string) {
	switch kind, _ := splitID(id); kind {
	case keyPrefix:
		e.keys.expected++
	case applicationPrefix:
		e.applications.expected++
		e.subscribed.expected++ // most have one
	case subscriptionPrefix:
		e.subscriptions.expected++
	case apiKeyPrefix:
		e.apiKeys.expected++
		e.apiKeyDigests.expected++
	}
}

// Put adds an item or takes the place of the one with its id; the item is the
// Directory's from then on. Items of kinds that a Directory does not hold are
// ignored. On an error nothing has changed.
func (e *DirectoryEdit) Put(item artifact.Item) error {
	switch it := item.(type) {
	case *artifact.Key:
		return e.putKey(it)
	case *artifact.Application:
		it.Organization, it.Owner, it.Tier = e.share(it.Organization), e.share(it.Owner), e.share(it.Tier)
		e.applications.put(it.ID, it)
	case *artifact.Subscription:
		e.putSubscription(it)
	case *artifact.Tier:
		t, err := newTier(it.Limit)
		if err != nil {
			return err
		}
		e.setTier(tierKey{it.Organization, it.Level, it.Name}, t)
	case *artifact.APIKey:
		k, err := newAPIKey(it)
		if err != nil {
			return err
		}
		e.putAPIKey(k)
	case *artifact.BackendJWT:
		return e.putBackendJWT(it)
	case *artifact.Revocation:
		e.putRevocation(it)
	case *artifact.Tokens:
		return e.putTokens(it)
	}
	return nil
}

// Keep takes the item with the id over from the Directory that the edit began
// with, if it is there.
func (e *DirectoryEdit) Keep(id string) {
	kind, name := splitID(id)
	switch kind {
	case keyPrefix:
		if k, there := e.from.keys.get(name); there {
			e.keys.put(name, k)
		}
	case applicationPrefix:
		if a, there := e.from.applications.get(name); there {
			e.applications.put(name, a)
		}
	case subscriptionPrefix:
		if s, there := e.from.subscriptions.get(name); there {
			copied := *s
			e.putSubscription(&copied)
		}
	case tierPrefix:
		key := tierKeyOf(name)
		e.setTier(key, e.from.tiers[key])
	case revocationPrefix:
		if r, there := e.from.revocations.get(name); there {
			e.putRevocation(r)
		}
	case apiKeyPrefix:
		if digest, there := e.from.apiKeyDigests.get(name); there {
			k, _ := e.from.apiKeys.get(digest)
			e.putAPIKey(k)
		}
	case backendJWTID:
		e.signer = e.from.signer
	case tokensID:
		e.trust = e.from.trust
	}
}

// Remove removes the item with the id, if it is there.
func (e *DirectoryEdit) Remove(id string) {
	kind, name := splitID(id)
	switch kind {
	case keyPrefix:
		e.keys.remove(name)
	case applicationPrefix:
		e.applications.remove(name)
	case subscriptionPrefix:
		e.removeSubscription(name)
	case tierPrefix:
		e.setTier(tierKeyOf(name), tier{})
	case revocationPrefix:
		e.removeRevocation(name)
	case apiKeyPrefix:
		e.removeAPIKey(name)
	case backendJWTID:
		e.signer = nil
	case tokensID:
		e.trust = nil
	}
}

// splitID returns the prefix of an item id, with its slash, and the rest. Of an
// id without one it is all prefix.
func splitID(id string) (kind, name string) {
	i := strings.IndexByte(id, '/') + 1
	if i == 0 {
		i = len(id)
	}
	return id[:i], id[i:]
}

// setTier gives a tier its limits, or none.
func (e *DirectoryEdit) setTier(key tierKey, t tier) {
	if e.tiers[key] == t {
		return
	}
	if !e.ownTiers {
		e.ownTiers = true
		if e.tiers = maps.Clone(e.tiers); e.tiers == nil {
			e.tiers = make(map[tierKey]tier)
		}
	}
	if t == (tier{}) {
		delete(e.tiers, key)
		return
	}
	e.tiers[key] = t
}

func (e *DirectoryEdit) putAPIKey(k *apiKey) {
	e.removeAPIKey(k.ID)
	digest := string(k.digest[:])
	e.apiKeys.put(digest, k)
	e.apiKeyDigests.put(k.ID, digest)
}

func (e *DirectoryEdit) removeAPIKey(id string) {
	if digest, there := e.apiKeyDigests.get(id); there {
		e.apiKeys.remove(digest)
		e.apiKeyDigests.remove(id)
	}
}

// putBackendJWT keeps the signer, and with it what it has signed, where the new
// one says the same.
func (e *DirectoryEdit) putBackendJWT(b *artifact.BackendJWT) error {
	s, err := newSigner(b)
	if err != nil {
		return err
	}
	if e.from.signer != nil && e.from.signer.same(s) {
		s = e.from.signer
	}
	e.signer = s
	return nil
}

func (e *DirectoryEdit) putKey(k *artifact.Key) error {
	if k.Type != sluice.ProductionKey && k.Type != sluice.SandboxKey {
		return fmt.Errorf("consumer key has the unknown type %q", k.Type)
	}
	application := k.ApplicationID
	if a, there := e.applications.get(application); there {
		application = a.ID // the same text, held once
	}
	e.keys.put(k.Key, consumerKey{application, k.Type == sluice.SandboxKey})
	return nil
}

func (e *DirectoryEdit) putSubscription(s *artifact.Subscription) {
	e.removeSubscription(s.ID)
	if a, there := e.applications.get(s.ApplicationID); there {
		s.ApplicationID = a.ID
	}
	s.APIID, s.Tier, s.State = e.share(s.APIID), e.share(s.Tier), sluice.SubscriptionState(e.share(string(s.State)))
	e.subscriptions.put(s.ID, s)
	list, _ := e.subscribed.get(s.ApplicationID)
	i, found := findSubscription(list, s.APIID)
	if found { // a second one to the same API: the newer takes its place
		e.subscriptions.remove(list[i].ID)
		list = slices.Clone(list)
		list[i] = s
	} else {
		list = slices.Insert(slices.Clip(list), i, s)
	}
	e.subscribed.put(s.ApplicationID, list)
}

func (e *DirectoryEdit) removeSubscription(id string) {
	s, there := e.subscriptions.get(id)
	if !there {
		return
	}
	e.subscriptions.remove(id)
	list, _ := e.subscribed.get(s.ApplicationID)
	replaceList(e.subscribed, s.ApplicationID, without(list, s))
}

func (e *DirectoryEdit) putRevocation(r *artifact.Revocation) {
	e.removeRevocation(r.ID)
	e.revocations.put(r.ID, r)
	list, _ := e.revokedSubjects.get(r.Subject)
	e.revokedSubjects.put(r.Subject, append(slices.Clip(list), r))
}

func (e *DirectoryEdit) removeRevocation(id string) {
	r, there := e.revocations.get(id)
	if !there {
		return
	}
	e.revocations.remove(id)
	list, _ := e.revokedSubjects.get(r.Subject)
	replaceList(e.revokedSubjects, r.Subject, without(list, r))
}

// putTokens keeps the trust, and with it the tokens that were verified, where
// the new one says the same.
func (e *DirectoryEdit) putTokens(t *artifact.Tokens) error {
	trust, err := NewTrust(t, e.from.leeway)
	if err != nil {
		return err
	}
	if e.from.trust != nil && e.from.trust.same(trust) {
		trust = e.from.trust
	}
	e.trust = trust
	return nil
}

func replaceList[T any](e *shardsEdit[[]T], name string, list []T) {
	if len(list) == 0 {
		e.remove(name)
		return
	}
	e.put(name, list)
}

// without returns a copy of list without v.
func without[T comparable](list []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return x == v })
}

// share returns a text equal to s that other items of the edit hold too.
func (e *DirectoryEdit) share(s string) string {
	if known, there := e.names[s]; there {
		return known
	}
	e.names[s] = s
	return s
}
