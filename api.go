package sluice

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// API is the working copy of an API as its publisher edits it. Gateways serve
// revisions of it, never the working copy.
type API struct {
	ID           string
	Organization string // id of the owner organization
	Name         string // unique in the organization together with Version
	Version      string
	Context      string // as written, "/weather" or "/weather/{version}/public"
	Description  string
	Owner        string // name of the user who made it
	State        Lifecycle
	Default      bool // also answers without the version in the path

	Transports []string // "http", "https"; at least one
	Tiers      []string // names of subscription tiers that may be chosen
	Tags       []string
	Categories []string // names of API categories
	Properties []Property
	Business   BusinessInformation

	Visibility    Visibility
	VisibleRoles  []Role // who sees it in the API Store where Visibility is Restricted
	AccessControl []Role // who, beside administrators, sees and changes it in the API Publisher; empty: all who may

	Production         []Endpoint // empty: none
	Sandbox            []Endpoint
	ProductionSecurity *EndpointSecurity // nil: the backend asks for nothing
	SandboxSecurity    *EndpointSecurity
	Overrides          []EndpointOverride // endpoints of single environments; they take the place of the above there

	Operations   []Operation
	Scopes       []Scope
	Schemes      []Scheme    // how callers authenticate; empty: OAuth2 alone
	TokenHeader  string      // takes access tokens instead of Authorization; empty: that
	APIKeyHeader string      // takes API keys; empty: DefaultAPIKeyHeader
	Tier         string      // limit of the whole API, instead of those of its operations; empty: none
	Throughput   *Throughput // what its backends take at most; nil: anything
	CORS         *CORS       // nil: the installation's default

	Definition []byte // OpenAPI document, JSON
	Opaque     []byte // JSON object of fields that a management interface keeps for its clients

	RowVersion int64 // grows with every write
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Operation is one verb at one path of an API.
type Operation struct {
	Verb   string   `json:"verb"`   // GET, POST, … in capitals
	Target string   `json:"target"` // OpenAPI path, "/stations/{id}", or with a final "/*"
	Auth   AuthType `json:"auth"`
	Scopes []string `json:"scopes,omitempty"` // a token needs one of them
	Tier   string   `json:"tier,omitempty"`
}

// AuthType says which tokens an operation takes.
type AuthType string

// Auth types.
const (
	AuthAny         AuthType = "any"         // of an application or of a user
	AuthApplication AuthType = "application" // client_credentials only
	AuthUser        AuthType = "user"        // any other grant
	AuthNone        AuthType = "none"        // no token needed
)

// Scope is a right that an API's operations may ask for. Roles that give it to
// a user; none: every user has it.
type Scope struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name,omitempty"`
	Description string   `json:"description,omitempty"`
	Roles       []string `json:"roles,omitempty"`
}

// Scheme is a way to authenticate callers of an API.
type Scheme string

// Schemes.
const (
	OAuth2  Scheme = "oauth2"  // access tokens
	APIKeys Scheme = "api_key" // API keys of applications
)

// DefaultAPIKeyHeader is the header that takes API keys where an API names none.
const DefaultAPIKeyHeader = "ApiKey"

// Property is a named value that an API's publisher adds to it.
type Property struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Display bool   `json:"display,omitempty"` // shown in the API Store
}

// BusinessInformation says whom to ask about an API.
type BusinessInformation struct {
	Owner          string `json:"owner,omitempty"`
	OwnerEmail     string `json:"owner_email,omitempty"`
	TechnicalOwner string `json:"technical_owner,omitempty"`
	TechnicalEmail string `json:"technical_email,omitempty"`
}

// Throughput is how many calls a second each side of an API's backends takes
// from all gateways of an environment; zero: any number.
type Throughput struct {
	Production int `json:"production,omitempty"`
	Sandbox    int `json:"sandbox,omitempty"`
}

// CORS is what browsers of other origins may do.
type CORS struct {
	Enabled     bool     `json:"enabled"`
	Origins     []string `json:"origins,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Headers     []string `json:"headers,omitempty"`
	Credentials bool     `json:"credentials,omitempty"`
}

// Visibility says who sees an API in the API Store.
type Visibility string

// Visibilities.
const (
	Public     Visibility = "public"     // everybody, also without login
	Private    Visibility = "private"    // users of the organization
	Restricted Visibility = "restricted" // users with one of the API's roles
)

// Verbs are the methods an operation may have.
var verbs = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"}

// reservedContexts are the paths that a gateway or the platform itself answers.
var reservedContexts = []string{"/", "/oauth2", "/token", "/revoke", "/authorize", "/userinfo", "/api/am", "/services"}

// Limits of an API.
const (
	MaxOperations  = 10000
	MaxDescription = 20000 // characters
	maxName        = 60
	maxVersion     = 30
	maxContext     = 200
	maxRoles       = 100
	maxTags        = 100 // and properties
)

// VersionedContext returns the path prefix under which the API is served, the
// version included: "/weather/1.0".
func (a *API) VersionedContext() string {
	if strings.Contains(a.Context, "{version}") {
		return strings.ReplaceAll(a.Context, "{version}", a.Version)
	}
	return a.Context + "/" + a.Version
}

// DefaultContext returns the path prefix under which the default version is
// served, "/weather"; "" where the context leaves none without the version.
func (a *API) DefaultContext() string {
	c := strings.Replace(a.Context, "/{version}", "", 1)
	if strings.Contains(c, "{version}") || c == "" {
		return ""
	}
	return c
}

// Validate reports everything that is wrong with a, each at its field. It
// brings the Context into its stored form first (leading slash, no final one).
func (a *API) Validate() error {
	var p Problems
	a.Context = "/" + strings.Trim(a.Context, "/")
	checkWord(&p, "name", a.Name, maxName)
	if strings.HasSuffix(a.Name, "/") {
		p.Add("name", "api.name", "A name does not end in a slash.")
	}
	checkWord(&p, "version", a.Version, maxVersion)
	if strings.Contains(a.Version, "/") || a.Version == "." || a.Version == ".." {
		p.Add("version", "api.version", "A version is one path segment.")
	}
	a.validateContext(&p)
	if utf8.RuneCountInString(a.Description) > MaxDescription {
		p.Add("description", "api.description", "A description has at most %d characters.", MaxDescription)
	}
	if len(a.Transports) == 0 {
		p.Add("transport", "api.transport", "Choose at least one transport: http, https.")
	}
	for _, t := range a.Transports {
		if t != "http" && t != "https" {
			p.Add("transport", "api.transport", "A transport is http or https.")
		}
	}
	a.validateAudience(&p)
	a.validateDetails(&p)
	for _, list := range []struct {
		field     string
		endpoints []Endpoint
	}{{"production_endpoints", a.Production}, {"sandbox_endpoints", a.Sandbox}} {
		for _, e := range list.endpoints {
			if err := e.Validate(); err != nil {
				p.Add("endpointConfig."+list.field, "api.endpoint", "%s", err.Error())
			}
		}
	}
	a.validateSecurity(&p)
	a.validateOperations(&p)
	return p.Err()
}

// validateAudience checks who shall see a.
func (a *API) validateAudience(p *Problems) {
	switch a.Visibility {
	case Public, Private:
		if len(a.VisibleRoles) > 0 {
			p.Add("visibleRoles", "api.visibility", "Roles say who sees the API only where its visibility is restricted.")
		}
	case Restricted:
		if len(a.VisibleRoles) == 0 {
			p.Add("visibleRoles", "api.visibility", "Name the roles that see the API, or do not restrict its visibility.")
		}
	default:
		p.Add("visibility", "api.visibility", "Visibility is public, private or restricted.")
	}
	if len(a.VisibleRoles) > maxRoles || len(a.AccessControl) > maxRoles {
		p.Add("visibleRoles", "api.visibility", "An API names at most %d roles for each purpose.", maxRoles)
	}
}

// validateDetails checks what is only shown and searched.
func (a *API) validateDetails(p *Problems) {
	word := func(field, code, what, s string, most int) {
		if s == "" || utf8.RuneCountInString(s) > most || !printable(s) {
			p.Add(field, code, "A %s has 1 to %d printable characters.", what, most)
		}
	}
	if len(a.Tags) > maxTags || len(a.Properties) > maxTags {
		p.Add("tags", "api.tag", "An API has at most %d tags, and as many properties.", maxTags)
		return
	}
	for _, t := range a.Tags {
		word("tags", "api.tag", "tag", t, 60)
	}
	seen := map[string]bool{}
	for _, q := range a.Properties {
		word("additionalProperties", "api.property", "property's name", q.Name, 80)
		if utf8.RuneCountInString(q.Value) > 900 || !utf8.ValidString(q.Value) || strings.ContainsRune(q.Value, 0) {
			p.Add("additionalProperties", "api.property", "The value of a property has at most 900 characters.")
		}
		if seen[q.Name] {
			p.Add("additionalProperties", "api.property", "The property %q is given twice.", q.Name)
		}
		seen[q.Name] = true
	}
	for _, s := range []string{a.Business.Owner, a.Business.OwnerEmail, a.Business.TechnicalOwner, a.Business.TechnicalEmail} {
		if s != "" {
			word("businessInformation", "api.business", "name or address", s, 120)
		}
	}
}

// validateSecurity applies the rules for who may call and how much, and for what
// backends ask.
func (a *API) validateSecurity(p *Problems) {
	for _, s := range a.Schemes {
		if s != OAuth2 && s != APIKeys {
			p.Add("securityScheme", "api.scheme", "The security scheme %q is not offered.", s)
		}
	}
	checkHeader(p, "authorizationHeader", a.TokenHeader)
	checkHeader(p, "apiKeyHeader", a.APIKeyHeader)
	if key := cmp.Or(a.APIKeyHeader, DefaultAPIKeyHeader); strings.EqualFold(key, cmp.Or(a.TokenHeader, "Authorization")) {
		p.Add("apiKeyHeader", "api.header", "Tokens and API keys need different headers.")
	}
	if t := a.Throughput; t != nil && (t.Production < 0 || t.Sandbox < 0) {
		p.Add("maxTps", "api.throughput", "The calls a second that a backend takes are a whole number above 0.")
	}
	if a.ProductionSecurity != nil {
		a.ProductionSecurity.validate(p, "production")
	}
	if a.SandboxSecurity != nil {
		a.SandboxSecurity.validate(p, "sandbox")
	}
	for _, o := range a.Overrides {
		for _, e := range slices.Concat(o.Production, o.Sandbox) {
			if err := e.Validate(); err != nil {
				p.Add("endpoints", "api.endpoint", "%s", err.Error())
			}
		}
	}
}

// ownHeaders are the fields that gateways treat in a way of their own.
var ownHeaders = []string{
	"connection", "content-length", "cookie", "expect", "forwarded", "host", "internal-key", "keep-alive", "proxy-authorization", "proxy-connection",
	"te", "trailer", "transfer-encoding", "traceparent", "tracestate", "upgrade", "via", "x-jwt-assertion", "x-real-ip", "x-sluice-probe", "x-trace-id",
}

// checkHeader applies the rules for the name of a header that callers show who
// they are in; empty is the usual one.
func checkHeader(p *Problems, field, name string) {
	lower := strings.ToLower(name)
	switch {
	case len(name) > 64, strings.ContainsFunc(name, func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') }):
		p.Add(field, "api.header", "The name of a header has at most 64 letters, digits and hyphens.")
	case slices.Contains(ownHeaders, lower), strings.HasPrefix(lower, "x-forwarded-"):
		p.Add(field, "api.header", "The header %s belongs to gateways; choose another.", name)
	}
}

func (a *API) validateContext(p *Problems) {
	c := a.Context
	switch {
	case c == "/":
		p.Add("context", "api.context", "A context is needed, like /weather.")
		return
	case len(c) > maxContext:
		p.Add("context", "api.context", "A context has at most %d characters.", maxContext)
	case strings.ContainsAny(c, "~!@#;%^*+=|\\<>\"',?&:() \t\r\n") || !printable(c):
		p.Add("context", "api.context", "The context contains a character that is not allowed in it.")
	case strings.ContainsAny(strings.ReplaceAll(c, "{version}", ""), "{}"):
		p.Add("context", "api.context", "The only template a context may have is {version}.")
	}
	for seg := range strings.SplitSeq(c[1:], "/") {
		if seg == "" || seg == "." || seg == ".." {
			p.Add("context", "api.context", "A context has no empty or dot segments.")
			break
		}
	}
	lower := strings.ToLower(c)
	for _, r := range reservedContexts[1:] {
		if lower == r || strings.HasPrefix(lower, r+"/") {
			p.Add("context", "api.context", "%s belongs to the platform; choose another context.", r)
		}
	}
}

func (a *API) validateOperations(p *Problems) {
	if len(a.Operations) > MaxOperations {
		p.Add("operations", "api.operations", "An API has at most %d operations.", MaxOperations)
		return
	}
	known := make(map[string]bool, len(a.Scopes))
	for _, s := range a.Scopes {
		if !validScope(s.Name) {
			p.Add("scopes", "api.scope", "A scope name has no blanks, quotes or control characters.")
		}
		known[s.Name] = true
	}
	seen := make(map[string]bool, len(a.Operations))
	for _, o := range a.Operations {
		if !slices.Contains(verbs, o.Verb) {
			p.Add("operations", "api.operation", "%q is not a verb an operation can have.", o.Verb)
		}
		if !strings.HasPrefix(o.Target, "/") || !printable(o.Target) || strings.ContainsAny(o.Target, "?# ") {
			p.Add("operations", "api.operation", "The target of an operation is a path that begins with a slash.")
		}
		switch o.Auth {
		case AuthAny, AuthApplication, AuthUser, AuthNone:
		default:
			p.Add("operations", "api.operation", "%s %s has an unknown auth type.", o.Verb, o.Target)
		}
		key := o.Verb + " " + withoutVariables(o.Target)
		if seen[key] {
			p.Add("operations", "api.operation", "%s %s is defined twice; the names of variables make no difference.", o.Verb, o.Target)
		}
		seen[key] = true
		for _, s := range o.Scopes {
			if !known[s] {
				p.Add("operations", "api.operation", "%s %s asks for the scope %q, which the API does not define.", o.Verb, o.Target, s)
			}
		}
	}
}

// withoutVariables returns a target with the names of its variables left out:
// targets that then are equal match the same paths.
func withoutVariables(target string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(target, "{")
		b.WriteString(before)
		_, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return b.String() + rest
		}
		b.WriteString("{}")
		target = after
	}
}

// checkWord applies the rules that names and versions share.
func checkWord(p *Problems, field, s string, most int) {
	switch {
	case s == "":
		p.Add(field, "api."+field, "A %s is needed.", field)
	case utf8.RuneCountInString(s) > most:
		p.Add(field, "api."+field, "A %s has at most %d characters.", field, most)
	case strings.ContainsAny(s, "~!@#;%^*+={}|\\<>\"',") || strings.ContainsFunc(s, unicode.IsSpace) || !printable(s):
		p.Add(field, "api."+field, "The %s contains a character that is not allowed in it.", field)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// validScope applies RFC 6749 §3.3: %x21 / %x23-5B / %x5D-7E, at least one.
func validScope(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
	})
}
