package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi/datamodel"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/sluice-api/sluice"
)

// maxDefinition is the largest API definition that is read.
const maxDefinition = 10 << 20

// ImportOpenAPI makes an API from an OpenAPI 3.0 or 3.1 document, JSON or YAML.
// What is set in with (name, version, context, endpoints, tiers …) wins over
// what the document says. Nothing that the document refers to is fetched.
func (p *Plane) ImportOpenAPI(ctx context.Context, document []byte, with sluice.API) (sluice.API, error) {
	if _, err := allow(ctx, creators...); err != nil {
		return sluice.API{}, err
	}
	a, err := readOpenAPI(document)
	if err != nil {
		return sluice.API{}, err
	}
	override(&a, &with)
	return a, p.createAPI(ctx, &a)
}

// override puts what is set in with over a.
func override(a, with *sluice.API) {
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&a.Name, with.Name)
	set(&a.Version, with.Version)
	set(&a.Context, with.Context)
	set(&a.Description, with.Description)
	if a.Context == "" {
		a.Context = "/" + strings.ToLower(a.Name)
	}
	if with.Visibility != "" {
		a.Visibility = with.Visibility
	}
	if len(with.Transports) > 0 {
		a.Transports = with.Transports
	}
	if len(with.Operations) > 0 {
		a.Operations = with.Operations
	}
	if len(with.Scopes) > 0 {
		a.Scopes = with.Scopes
	}
	if len(with.Tags) > 0 {
		a.Tags = with.Tags
	}
	a.Tiers, a.Production, a.Sandbox = with.Tiers, with.Production, with.Sandbox
	a.ProductionSecurity, a.SandboxSecurity, a.Overrides = with.ProductionSecurity, with.SandboxSecurity, with.Overrides
	a.Schemes, a.TokenHeader, a.APIKeyHeader = with.Schemes, with.TokenHeader, with.APIKeyHeader
	a.Tier, a.Throughput = with.Tier, with.Throughput
	a.Default, a.CORS, a.Opaque = with.Default, with.CORS, with.Opaque
	a.Categories, a.Properties, a.Business = with.Categories, with.Properties, with.Business
	a.VisibleRoles, a.AccessControl = with.VisibleRoles, with.AccessControl
}

// unreadable is the error for a document that is no OpenAPI document.
func unreadable(format string, args ...any) error {
	return sluice.Errorf(sluice.Invalid, "openapi.unreadable", format, args...).At("definition")
}

// readOpenAPI reads an OpenAPI document into an API.
func readOpenAPI(document []byte) (a sluice.API, err error) {
	if len(document) > maxDefinition {
		return a, unreadable("The definition has more than %d bytes.", maxDefinition)
	}
	if len(document) == 0 {
		return a, unreadable("The definition is empty.")
	}
	doc, err := libopenapi.NewDocumentWithConfiguration(document, &datamodel.DocumentConfiguration{
		SkipExternalRefResolution: true, // nothing named in a document is opened or fetched
		Logger:                    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return a, unreadable("The definition cannot be read: %s.", oneLine(err))
	}
	defer doc.Release()
	if !strings.HasPrefix(doc.GetVersion(), "3.0") && !strings.HasPrefix(doc.GetVersion(), "3.1") {
		return a, unreadable("OpenAPI %s is not taken; 3.0 and 3.1 are.", doc.GetVersion())
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return a, unreadable("The definition cannot be read: %s.", oneLine(err))
	}
	body := doc.GetSpecInfo().GetSpecJSONBytes()
	if body == nil {
		return a, unreadable("The definition cannot be read as JSON.")
	}
	if err := checkDefinition(*body); err != nil {
		return a, err
	}
	a = sluice.API{
		Definition: slices.Clone(*body), Visibility: sluice.Public, Transports: []string{"http", "https"},
	}
	m := &model.Model
	if m.Info != nil {
		a.Name = strings.Join(strings.Fields(m.Info.Title), "")
		a.Version, a.Description = m.Info.Version, m.Info.Description
	}
	a.Scopes = scopesOf(m)
	a.Operations, err = operationsOf(m)
	return a, err
}

// oneLine returns the first problem of an error as one line.
func oneLine(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		err = joined.Unwrap()[0]
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	switch { // what is said there is for programmers
	case strings.Contains(text, "excessive aliasing"):
		return "it has too many aliases"
	case strings.Contains(text, "libopenapi"):
		return "it is no OpenAPI document"
	}
	return strings.TrimSuffix(text, ".")
}

// maxDepth is how deep objects and lists of a definition may be nested.
const maxDepth = 1000

// checkDefinition refuses what others would read in another way, or fetch, in a
// definition as JSON: a key that an object has twice, and a reference that leads
// out of the document.
func checkDefinition(body []byte) error {
	type level struct {
		object bool
		keys   map[string]bool
		key    string // whose value comes next; of a list always ""
		value  bool   // a value comes next, not a key
	}
	levels := []level{{value: true}}
	for d := json.NewDecoder(bytes.NewReader(body)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable("The definition cannot be read as JSON.")
		}
		top := &levels[len(levels)-1]
		switch v := token.(type) {
		case json.Delim:
			if v == '}' || v == ']' {
				levels = levels[:len(levels)-1]
				continue
			}
			top.value = !top.object
			if len(levels) > maxDepth {
				return unreadable("The definition is nested deeper than %d levels.", maxDepth)
			}
			next := level{value: v == '['}
			if v == '{' {
				next = level{object: true, keys: map[string]bool{}}
			}
			levels = append(levels, next)
		case string:
			if !top.value {
				if top.keys[v] {
					return unreadable("The definition has the key %q twice in one object.", v)
				}
				top.keys[v], top.key, top.value = true, v, true
				continue
			}
			if top.key == "$ref" && !strings.HasPrefix(v, "#") {
				return unreadable("The reference %q leads out of the definition; put what it names into it.", v)
			}
			top.value = !top.object
		default:
			top.value = !top.object
		}
	}
}

// scopesOf collects the scopes of the document's OAuth 2.0 schemes, by name.
// The extension x-scopes-bindings names the roles that give a scope.
func scopesOf(m *v3.Document) []sluice.Scope {
	if m.Components == nil || m.Components.SecuritySchemes == nil {
		return nil
	}
	found := map[string]sluice.Scope{}
	for _, scheme := range m.Components.SecuritySchemes.FromOldest() {
		if scheme.Type != "oauth2" || scheme.Flows == nil {
			continue
		}
		for _, flow := range []*v3.OAuthFlow{scheme.Flows.Implicit, scheme.Flows.Password, scheme.Flows.ClientCredentials, scheme.Flows.AuthorizationCode} {
			if flow == nil || flow.Scopes == nil {
				continue
			}
			roles := map[string]string{}
			if node := flow.Extensions.GetOrZero("x-scopes-bindings"); node != nil {
				_ = node.Decode(&roles) // another form of the extension binds nothing
			}
			for name, description := range flow.Scopes.FromOldest() {
				s := sluice.Scope{Name: name, DisplayName: name, Description: description}
				for role := range strings.SplitSeq(roles[name], ",") {
					if role = strings.TrimSpace(role); role != "" {
						s.Roles = append(s.Roles, role)
					}
				}
				found[name] = s
			}
		}
	}
	list := make([]sluice.Scope, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list
}

// operationsOf lists the operations of the document in its order. An operation
// with an empty security list, or x-auth-type None, needs no token.
func operationsOf(m *v3.Document) ([]sluice.Operation, error) {
	if m.Paths == nil || m.Paths.PathItems == nil {
		return nil, unreadable("The definition has no paths.")
	}
	oauth := oauthSchemes(m)
	var list []sluice.Operation
	for target, item := range m.Paths.PathItems.FromOldest() {
		for verb, o := range item.GetOperations().FromOldest() {
			verb = strings.ToUpper(verb)
			if verb == "TRACE" || verb == "QUERY" {
				return nil, unreadable("The verb %s at %s cannot be published.", verb, target)
			}
			security := o.Security
			if security == nil {
				security = m.Security
			}
			op := sluice.Operation{Verb: verb, Target: target, Auth: authOf(o), Scopes: neededScopes(security, oauth)}
			if op.Auth == sluice.AuthNone {
				op.Scopes = nil
			}
			list = append(list, op)
			if len(list) > sluice.MaxOperations {
				return nil, unreadable("The definition has more than %d operations.", sluice.MaxOperations)
			}
		}
	}
	return list, nil
}

// oauthSchemes names the security schemes whose requirements are OAuth scopes.
func oauthSchemes(m *v3.Document) map[string]bool {
	names := map[string]bool{}
	if m.Components != nil && m.Components.SecuritySchemes != nil {
		for name, s := range m.Components.SecuritySchemes.FromOldest() {
			names[name] = s.Type == "oauth2"
		}
	}
	return names
}

// neededScopes returns the scopes of the OAuth requirements: a token needs one.
func neededScopes(security []*base.SecurityRequirement, oauth map[string]bool) []string {
	var scopes []string
	for _, requirement := range security {
		if requirement.Requirements == nil {
			continue
		}
		for scheme, names := range requirement.Requirements.FromOldest() {
			if !oauth[scheme] {
				continue
			}
			for _, s := range names {
				if !slices.Contains(scopes, s) {
					scopes = append(scopes, s)
				}
			}
		}
	}
	return scopes
}

// authOf says which tokens an operation takes.
func authOf(o *v3.Operation) sluice.AuthType {
	if node := o.Extensions.GetOrZero("x-auth-type"); node != nil {
		switch strings.ToLower(node.Value) {
		case "none":
			return sluice.AuthNone
		case "application":
			return sluice.AuthApplication
		case "application user", "application_user":
			return sluice.AuthUser
		}
	}
	if o.Security != nil && len(o.Security) == 0 {
		return sluice.AuthNone
	}
	for _, s := range o.Security {
		if s.ContainsEmptyRequirement && (s.Requirements == nil || s.Requirements.Len() == 0) && len(o.Security) == 1 {
			return sluice.AuthNone
		}
	}
	return sluice.AuthAny
}
