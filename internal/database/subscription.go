package database

import (
	"fmt"
	"strings"

	"github.com/sluice-api/sluice"
)

const subscriptionColumns = `id, organization, application_id, api_id, tier, state, created_at, row_version`

func subscriptionFields(s *sluice.Subscription) []any {
	return []any{&s.ID, &s.Organization, &s.ApplicationID, &s.APIID, &s.Tier, &s.State, (*instant)(&s.CreatedAt), &s.RowVersion}
}

// AddSubscription stores a new subscription and sets its row version; Conflict
// "subscription.exists" where the application has one to the API.
func (tx *Tx) AddSubscription(s *sluice.Subscription) error {
	s.RowVersion = 1
	return tx.add(`insert into subscriptions (`+subscriptionColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8)`, subscriptionFields(s)...)
}

// PutSubscription stores what of a subscription may change (all but its
// application and API), where s.RowVersion is that of the stored one; else it
// returns Changed. It sets the new row version.
func (tx *Tx) PutSubscription(s *sluice.Subscription) error {
	err := tx.put(func() error { _, err := tx.Subscription(s.Organization, s.ID); return err },
		`update subscriptions set tier = $5, state = $6, created_at = $7, row_version = row_version + 1
		where id = $1 and organization = $2 and application_id = $3 and api_id = $4 and row_version = $8`, subscriptionFields(s)...)
	if err == nil {
		s.RowVersion++
	}
	return err
}

// Subscription returns the subscription with the id.
func (tx *Tx) Subscription(org, id string) (sluice.Subscription, error) {
	return one(tx, "subscription", subscriptionFields, `select `+subscriptionColumns+` from subscriptions where organization = $1 and id = $2`, org, id)
}

// DeleteSubscription deletes a subscription.
func (tx *Tx) DeleteSubscription(org, id string) error {
	return tx.change("subscription", `delete from subscriptions where organization = $1 and id = $2`, org, id)
}

// SubscriptionFilter says which subscriptions FindSubscriptions returns.
type SubscriptionFilter struct {
	Organization  string
	ApplicationID string        // empty: any
	APIID         string        // empty: any
	Owner         string        // of the application; empty: any
	Tier          string        // empty: any
	AccessRoles   []sluice.Role // nil: of any API; else as in APIFilter
	Offset        int
	Limit         int // zero: all
}

// FindSubscriptions returns a page of subscriptions, the oldest first, and how
// many there are on all pages.
func (tx *Tx) FindSubscriptions(f SubscriptionFilter) (list []sluice.Subscription, total int, err error) {
	where := `organization = $1 and $2 in ('', application_id) and $3 in ('', api_id)
		and ($4 = '' or application_id in (select id from applications where owner = $4)) and $5 in ('', tier)`
	args := []any{f.Organization, f.ApplicationID, f.APIID, f.Owner, f.Tier}
	if f.AccessRoles != nil {
		names := []string{"''"}
		for _, r := range f.AccessRoles {
			args = append(args, string(r))
			names = append(names, fmt.Sprintf("$%d", len(args)))
		}
		where += ` and api_id in (select a.id from apis a where not a.restricted or exists
			(select 1 from api_roles r where r.api_id = a.id and r.purpose = '` + toChange + `' and r.role in (` + strings.Join(names, ", ") + `)))`
	}
	count, err := tx.number(`select count(*) from subscriptions where `+where, args...)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, subscriptionFields, fmt.Sprintf(`select %s from subscriptions where %s order by created_at, id limit $%d offset $%d`,
		subscriptionColumns, where, len(args)+1, len(args)+2), append(args, atMost(f.Limit), f.Offset)...)
	return list, int(count), err
}

// AllSubscriptions returns the subscriptions of all organizations by id.
func (tx *Tx) AllSubscriptions() ([]sluice.Subscription, error) {
	return query(tx, subscriptionFields, `select `+subscriptionColumns+` from subscriptions order by id`)
}
