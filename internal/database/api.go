package database

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
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
	err = tx.add(`insert into apis (id, organization, `+apiColumns+`, created_at, row_version, last_revision)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, 0)`,
		append(apiValues(a, key), (*instant)(&a.CreatedAt), a.RowVersion)...)
	if err != nil {
		return err
	}
	return tx.addAPIRoles(a)
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
		`update apis set (`+apiColumns+`) = ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19), row_version = row_version + 1
		where id = $1 and organization = $2 and row_version = $20`, append(apiValues(a, key), a.RowVersion)...)
	if err != nil {
		return err
	}
	a.RowVersion++
	if _, err := tx.exec(`delete from api_roles where api_id = $1`, a.ID); err != nil {
		return err
	}
	return tx.addAPIRoles(a)
}

// What a role in api_roles is for.
const (
	toSee    = "see"    // in the API Store
	toChange = "change" // in the API Publisher
)

func (tx *Tx) addAPIRoles(a *sluice.API) error {
	for purpose, roles := range map[string][]sluice.Role{toSee: a.VisibleRoles, toChange: a.AccessControl} {
		for _, role := range roles {
			if err := tx.add(`insert into api_roles (api_id, purpose, role) values ($1, $2, $3) on conflict do nothing`, a.ID, purpose, string(role)); err != nil {
				return err
			}
		}
	}
	return nil
}

// apiColumns are those that PutAPI may change.
const apiColumns = `name, version, state, visibility, route_key, search_name, search_version, search_context, search_provider,
	search_description, search_tags, search_categories, restricted, document, definition, opaque, updated_at`

// apiValues returns id, organization and apiColumns of an API.
func apiValues(a *sluice.API, routeKey string) []any {
	lines := func(list []string) string { return fold("\n" + strings.Join(list, "\n") + "\n") }
	return []any{
		a.ID, a.Organization, a.Name, a.Version, string(a.State), string(a.Visibility), routeKey, fold(a.Name), fold(a.Version), fold(a.Context), fold(a.Owner),
		fold(a.Description), lines(a.Tags), lines(a.Categories), len(a.AccessControl) > 0, asJSON(apiDocument(a)), a.Definition, a.Opaque, (*instant)(&a.UpdatedAt),
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

// APIAt returns the API, of any organization, that answers at the path of a;
// NotFound where that is nobody else.
func (tx *Tx) APIAt(a *sluice.API) (sluice.API, error) {
	key, err := tx.routeKey(a)
	if err != nil {
		return sluice.API{}, err
	}
	return one(tx, "API", apiListedFields, `select `+apiListed+` from apis where route_key = $1 and id <> $2`, key, a.ID)
}

// APIVersions returns the APIs of the organization that have the name, without
// regard to case, the oldest first and without their definitions.
func (tx *Tx) APIVersions(org, name string) ([]sluice.API, error) {
	return query(tx, apiListedFields, `select `+apiListed+` from apis where organization = $1 and search_name = $2 order by created_at, id`, org, fold(name))
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
	StoreRoles   []sluice.Role      // nil: any; else those that are not restricted, or to one of these roles
	AccessRoles  []sluice.Role      // nil: any; else those without access control, or with one of these roles
	Newest       bool               // of the versions of one name that fit but for Query, the one made last alone
	Sort         string             // name (default), version, context, provider, status, created or updated
	Order        string             // asc (default) or desc
	Offset       int
	Limit        int // zero: all
}

// Term is a condition on one attribute of an API. Case is not regarded.
type Term struct {
	Attribute string // name, version, context, provider, status, description, tag, category or document (in its name or summary)
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

// Tags returns the tags of the APIs that f finds, by name, and how many of those
// APIs carry each. Of f the order, offset and limit mean nothing.
func (tx *Tx) Tags(f APIFilter) ([]sluice.Tag, error) {
	where, args, err := f.where()
	if err != nil {
		return nil, err
	}
	type tagged struct{ Tags []string }
	found, err := query(tx, func(t *tagged) []any { return []any{asJSON(t)} }, `select document from apis where `+where, args...)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, t := range found {
		for _, name := range t.Tags {
			counts[name]++
		}
	}
	tags := make([]sluice.Tag, 0, len(counts))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		tags = append(tags, sluice.Tag{Name: name, Count: counts[name]})
	}
	return tags, nil
}

// where returns the filter as a condition and its arguments.
func (f *APIFilter) where() (string, []any, error) {
	args := []any{f.Organization}
	conditions := []string{"apis.organization = $1"}
	arg := func(v string) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	roles := func(unrestricted, purpose string, list []sluice.Role) {
		condition := unrestricted
		if len(list) > 0 {
			names := make([]string, len(list))
			for i, r := range list {
				names[i] = arg(string(r))
			}
			condition += ` or exists (select 1 from api_roles r where r.api_id = apis.id and r.purpose = '` + purpose + `' and r.role in (` + strings.Join(names, ", ") + `))`
		}
		conditions = append(conditions, "("+condition+")")
	}
	if f.StoreRoles != nil {
		roles("apis.visibility <> "+arg(string(sluice.Restricted)), toSee, f.StoreRoles)
	}
	if f.AccessRoles != nil {
		roles("not apis.restricted", toChange, f.AccessRoles)
	}
	if len(f.States) > 0 {
		states := make([]string, len(f.States))
		for i, s := range f.States {
			states[i] = arg(string(s))
		}
		conditions = append(conditions, "apis.state in ("+strings.Join(states, ", ")+")")
	}
	if f.Visibility != "" {
		conditions = append(conditions, "apis.visibility = "+arg(string(f.Visibility)))
	}
	if f.Newest { // of those that fit but for the query; ids grow with time, and an index has all of it
		newer := strings.ReplaceAll(strings.Join(conditions, " and "), "apis.", "newer.")
		conditions = append(conditions, `not exists (select 1 from apis newer where newer.search_name = apis.search_name and newer.id > apis.id and `+newer+`)`)
	}
	for _, t := range f.Query {
		condition, pattern, err := t.pattern()
		if err != nil {
			return "", nil, err
		}
		conditions = append(conditions, fmt.Sprintf(condition, arg(pattern)))
	}
	return strings.Join(conditions, " and "), args, nil
}

// pattern returns the condition that a term is, with %s where its argument
// stands, and that argument.
func (t Term) pattern() (condition, pattern string, err error) {
	const like = ` like %s escape '\'`
	value := literal(fold(t.Value))
	before, after := "", "" // what stands around a value that fits exactly
	switch t.Attribute {
	case "name", "version", "context", "provider", "description":
		condition = "search_" + t.Attribute + like
	case "status":
		condition, value = "state"+like, strings.ToUpper(value)
	case "tag":
		condition, before, after = "search_tags"+like, "%\n", "\n%"
	case "category":
		condition, before, after = "search_categories"+like, "%\n", "\n%"
	case "document":
		condition = `exists (select 1 from documents d where d.api_id = apis.id and d.search_text` + like + `)`
		return condition, "%" + value + "%", nil
	default:
		return "", "", sluice.Errorf(sluice.Invalid, "search.attribute", "APIs cannot be searched by %q.", t.Attribute).At("query")
	}
	switch t.Match {
	case Contains, "":
		return condition, "%" + value + "%", nil
	case Exact:
		return condition, before + value + after, nil
	case Prefix:
		return condition, before + value + "%", nil
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
	if column == "search_name" { // naming it twice would keep SQLite from the index
		return column + " " + f.Order + ", id " + f.Order, nil
	}
	return column + " " + f.Order + ", search_name " + f.Order + ", id " + f.Order, nil
}
