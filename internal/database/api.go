package database

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/sluice-api/sluice"
)

// AddAPI stores a new API and sets its row version. Conflict is "api.exists"
// where the organization has one of that name and version, and
// "api.context_taken" where any API of any organization answers at its path.
func (tx *Tx) AddAPI(a *sluice.API) error {
	key, err := tx.routeKey(a)
	if err != nil {
		return err
	}
	a.RowVersion = 1
	return tx.add(`insert into apis (id, organization, `+apiColumns+`, created_at, row_version, last_revision)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 0)`,
		append(apiValues(a, key), (*instant)(&a.CreatedAt), a.RowVersion)...)
}

// PutAPI stores all of an API, where a.RowVersion is that of the stored one;
// else it returns Changed. It sets the new row version. Conflicts are those of
// AddAPI.
func (tx *Tx) PutAPI(a *sluice.API) error {
	key, err := tx.routeKey(a)
	if err != nil {
		return err
	}
	err = tx.put(func() error { _, err := tx.API(a.Organization, a.ID); return err },
		`update apis set (`+apiColumns+`) = ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17), row_version = row_version + 1
		where id = $1 and organization = $2 and row_version = $18`, append(apiValues(a, key), a.RowVersion)...)
	if err == nil {
		a.RowVersion++
	}
	return err
}

// apiColumns are those that PutAPI may change.
const apiColumns = `name, version, state, visibility, route_key, search_name, search_version, search_context, search_provider,
	search_description, search_tags, document, definition, opaque, updated_at`

// apiValues returns id, organization and apiColumns of an API.
func apiValues(a *sluice.API, routeKey string) []any {
	tags := "\n" + strings.Join(a.Tags, "\n") + "\n"
	return []any{
		a.ID, a.Organization, a.Name, a.Version, string(a.State), string(a.Visibility), routeKey, fold(a.Name), fold(a.Version), fold(a.Context), fold(a.Owner),
		fold(a.Description), fold(tags), asJSON(apiDocument(a)), a.Definition, a.Opaque, (*instant)(&a.UpdatedAt),
	}
}

// apiDocument returns what of an API goes into the document column: all but what
// has a column of its own that is read back.
func apiDocument(a *sluice.API) *sluice.API {
	d := *a
	d.Definition, d.Opaque, d.RowVersion = nil, nil, 0
	return &d
}

const apiListed = `document, opaque, row_version`

func apiListedFields(a *sluice.API) []any {
	return []any{asJSON(a), &a.Opaque, &a.RowVersion} // the document first: it is read over all of a
}

// routeKey returns the path prefix that a is served under, in the form in which
// two that a gateway would match alike are equal.
func (tx *Tx) routeKey(a *sluice.API) (string, error) {
	path := a.VersionedContext()
	if a.Organization != sluice.DefaultOrganization {
		org, err := tx.Organization(a.Organization)
		if err != nil {
			return "", err
		}
		path = "/t/" + org.Name + path
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	return fold(strings.TrimRight(path, "/")), nil
}

// API returns the API with the id, its definition included.
func (tx *Tx) API(org, id string) (sluice.API, error) {
	fields := func(a *sluice.API) []any { return append(apiListedFields(a), &a.Definition) }
	return one(tx, "API", fields, `select `+apiListed+`, definition from apis where organization = $1 and id = $2`, org, id)
}

// DeleteAPI deletes an API with its revisions, deployments and subscriptions.
// Its publications and audit entries stay.
func (tx *Tx) DeleteAPI(org, id string) error {
	return tx.change("API", `delete from apis where organization = $1 and id = $2`, org, id)
}

// APIFilter says which APIs FindAPIs returns.
type APIFilter struct {
	Organization string
	Query        []Term             // all of them must fit
	States       []sluice.Lifecycle // empty: any
	Visibility   sluice.Visibility  // empty: any
	Sort         string             // name (default), version, context, provider, status, created or updated
	Order        string             // asc (default) or desc
	Offset       int
	Limit        int // zero: all
}

// Term is a condition on one attribute of an API. Case is not regarded.
type Term struct {
	Attribute string // name, version, context, provider, status, description or tag
	Value     string
	Match     Match
}

// Match says how a Term's value is compared.
type Match string

// Ways to match.
const (
	Contains Match = "contains" // also ""
	Exact    Match = "exact"
	Prefix   Match = "prefix"
)

// FindAPIs returns a page of APIs without their definitions, and how many there
// are on all pages. It returns Invalid for an unknown attribute, match or order.
func (tx *Tx) FindAPIs(f APIFilter) (list []sluice.API, total int, err error) {
	where, args, err := f.where()
	if err != nil {
		return nil, 0, err
	}
	order, err := f.order()
	if err != nil {
		return nil, 0, err
	}
	count, err := tx.number(`select count(*) from apis where `+where, args...)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, apiListedFields, fmt.Sprintf(`select %s from apis where %s order by %s limit $%d offset $%d`,
		apiListed, where, order, len(args)+1, len(args)+2), append(args, atMost(f.Limit), f.Offset)...)
	return list, int(count), err
}

// where returns the filter as a condition and its arguments.
func (f *APIFilter) where() (string, []any, error) {
	args := []any{f.Organization}
	conditions := []string{"organization = $1"}
	arg := func(v string) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	for _, t := range f.Query {
		column, pattern, err := t.pattern()
		if err != nil {
			return "", nil, err
		}
		conditions = append(conditions, column+` like `+arg(pattern)+` escape '\'`)
	}
	if len(f.States) > 0 {
		states := make([]string, len(f.States))
		for i, s := range f.States {
			states[i] = arg(string(s))
		}
		conditions = append(conditions, "state in ("+strings.Join(states, ", ")+")")
	}
	if f.Visibility != "" {
		conditions = append(conditions, "visibility = "+arg(string(f.Visibility)))
	}
	return strings.Join(conditions, " and "), args, nil
}

// pattern returns the column that a term asks, and what for.
func (t Term) pattern() (column, pattern string, err error) {
	value := literal(fold(t.Value))
	before, after := "", "" // what stands around a value that fits exactly
	switch t.Attribute {
	case "name", "version", "context", "provider", "description":
		column = "search_" + t.Attribute
	case "status":
		column, value = "state", strings.ToUpper(value)
	case "tag":
		column, before, after = "search_tags", "%\n", "\n%"
	default:
		return "", "", sluice.Errorf(sluice.Invalid, "search.attribute", "APIs cannot be searched by %q.", t.Attribute).At("query")
	}
	switch t.Match {
	case Contains, "":
		return column, "%" + value + "%", nil
	case Exact:
		return column, before + value + after, nil
	case Prefix:
		return column, before + value + "%", nil
	}
	return "", "", sluice.Errorf(sluice.Invalid, "search.match", "There is no way to match called %q.", t.Match).At("query")
}

// order returns the columns to sort by; the id makes the order of equals stable.
func (f *APIFilter) order() (string, error) {
	columns := map[string]string{
		"": "search_name", "name": "search_name", "version": "search_version", "context": "search_context",
		"provider": "search_provider", "status": "state", "created": "created_at", "updated": "updated_at",
	}
	column, ok := columns[f.Sort]
	if !ok || f.Order != "" && f.Order != "asc" && f.Order != "desc" {
		return "", sluice.Errorf(sluice.Invalid, "search.sort", "APIs cannot be sorted by %q, %q.", f.Sort, f.Order).At("sortBy")
	}
	return column + " " + f.Order + ", search_name " + f.Order + ", id " + f.Order, nil
}
