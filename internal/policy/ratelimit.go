package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// unauthenticatedTier is the subscription tier of operations without
// authentication, for each client address and API.
const unauthenticatedTier = "Unauthenticated"

// limit is what a tier allows, as a bucket counts it: a call each interval, and
// as many calls at once as the tier allows in its window. So no window sees more
// than twice those, and who never calls faster than the tier says is never
// refused. The zero value is no limit.
type limit struct {
	interval int64 // nanoseconds, rounded up
	depth    int64 // nanoseconds: the interval for each call that may be made at once; 0: none may
}

// maxWindow is the longest window of a limit.
const maxWindow = 10 * 366 * 24 * time.Hour

// newLimit returns l as buckets count it. More than a call in a nanosecond is no
// limit.
func newLimit(l sluice.Limit) (limit, error) {
	requests, window := int64(l.Requests), int64(l.Window)
	switch {
	case requests < 0, window < 0, requests > 0 && window == 0, l.Window > maxWindow:
		return limit{}, fmt.Errorf("%d requests in %s is no limit that can be counted", l.Requests, l.Window)
	case requests >= window: // also none in none
		return limit{}, nil
	case requests == 0:
		return limit{interval: window}, nil
	}
	interval := (window + requests - 1) / requests
	return limit{interval, interval * requests}, nil
}

// tierKey names a tier.
type tierKey struct {
	organization string
	level        sluice.TierLevel
	name         string
}

// tierKeyOf returns the key of a tier's item id, without its prefix.
func tierKeyOf(id string) tierKey {
	organization, rest, _ := strings.Cut(id, "/")
	level, name, _ := strings.Cut(rest, "/")
	return tierKey{organization, sluice.TierLevel(level), name}
}

// tier is what the calls of a tier count against.
type tier struct{ limit, burst limit }

func newTier(l sluice.Limit) (t tier, err error) {
	if t.limit, err = newLimit(l); err != nil {
		return tier{}, err
	}
	if t.burst, err = newLimit(sluice.Limit{Requests: l.Burst, Window: l.BurstWindow}); err != nil {
		return tier{}, fmt.Errorf("burst: %w", err)
	}
	return t, nil
}

// tier returns the limits behind a tier's name; a name that nobody knows has
// none.
func (d *Directory) tier(organization string, level sluice.TierLevel, name string) tier {
	if name == "" || name == sluice.Unlimited {
		return tier{}
	}
	return d.tiers[tierKey{organization, level, name}]
}

// counts is what was called of late. One counts goes through all Directories of
// a gateway. Those whom nobody knows are counted apart, so that they cannot push
// out the counts of others by making up addresses.
type counts struct{ callers, strangers buckets }

// charge is one limit that a call counts against.
type charge struct {
	limit  limit
	table  *buckets
	key    bucketKey
	fault  *Fault // where it is reached
	bucket *bucket
}

func isLimited(a *artifact.API, _ *sluice.Operation) bool { return a.State != sluice.Prototyped }

// maxCharges is the most limits that one call counts against.
const maxCharges = 5

// checkLimits counts a call against the tier of the API, or else of the
// operation, the burst and the limit of the subscription, the tier of the
// application, and what the backend takes, in this order, and refuses it where
// one allows no more. A call that is refused counts nowhere.
func checkLimits(x *Exchange) *Fault {
	var all [maxCharges]charge
	now := x.Start.UnixNano()
	n := charges(x, &all)
	for i := range n {
		c := &all[i]
		c.bucket = c.table.of(&c.key)
		wait := c.bucket.take(c.limit, now)
		if wait == 0 {
			continue
		}
		for j := range i {
			all[j].bucket.giveBack(all[j].limit)
		}
		x.NextAccess = x.Start.Add(time.Duration(wait))
		return c.fault
	}
	return nil
}

// charges fills in the limits that a call counts against, in their order, and
// returns how many there are.
func charges(x *Exchange, to *[maxCharges]charge) (n int) {
	d, a, o, c := x.Directory, x.API, x.Operation, &x.Caller
	add := func(l limit, table *buckets, key bucketKey, f *Fault) {
		if l.interval > 0 {
			to[n] = charge{limit: l, table: table, key: key, fault: f}
			n++
		}
	}
	if a.Tier != "" {
		add(d.tier(a.Organization, sluice.APITier, a.Tier).limit, &d.counts.callers, bucketKey{kind: apiBucket, first: a.ID}, APIThrottled)
	} else {
		add(d.tier(a.Organization, sluice.APITier, o.Tier).limit, &d.counts.callers,
			bucketKey{kind: operationBucket, first: a.ID, second: o.Verb, third: o.Target}, ResourceThrottled)
	}
	if o.Auth == sluice.AuthNone {
		add(d.tier(a.Organization, sluice.SubscriptionTier, unauthenticatedTier).limit, &d.counts.strangers,
			bucketKey{kind: clientBucket, first: a.ID, client: network(x.Request.Client.Addr())}, SubscriptionThrottled)
	} else {
		app := c.Application // there, since the subscription was checked
		t := d.tier(app.Organization, sluice.SubscriptionTier, c.Subscription.Tier)
		add(t.burst, &d.counts.callers, bucketKey{kind: burstBucket, first: app.ID, second: a.ID}, BurstThrottled)
		add(t.limit, &d.counts.callers, bucketKey{kind: subscriptionBucket, first: app.ID, second: a.ID}, SubscriptionThrottled)
		add(d.tier(app.Organization, sluice.ApplicationTier, app.Tier).limit, &d.counts.callers,
			bucketKey{kind: applicationBucket, first: app.ID, second: c.User}, ApplicationThrottled)
	}
	if a.Throughput != nil {
		kind, l := throughput(x)
		add(l, &d.counts.callers, bucketKey{kind: kind, first: a.ID}, BackendLimitReached)
	}
	return n
}

// throughput returns what the backends that a call goes to take. Calls without a
// key go to production, where the gateway has an endpoint for it.
func throughput(x *Exchange) (bucketKind, limit) {
	kind, most := productionBucket, x.API.Throughput.Production
	if x.Caller.KeyType == sluice.SandboxKey || x.Caller.KeyType == "" && len(x.API.Production) == 0 {
		kind, most = sandboxBucket, x.API.Throughput.Sandbox
	}
	if most <= 0 {
		return kind, limit{}
	}
	l, _ := newLimit(sluice.Limit{Requests: most, Window: time.Second}) // always one that can be counted
	return kind, l
}

// network returns what stands for a client's address: of IPv6 the first 64 bits,
// since whoever has one address of such a network has all of them.
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // an address of IPv6 has as many bits
	return p.Addr()
}
