package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// ownership says to whom an object belongs.
type ownership int

const (
	nobodys        ownership = iota // a name that everybody may know
	ofUser                          // others of the organization do not see it, but for its administrators
	ofOrganization                  // other organizations do not see it
	ofInstallation                  // only users of the first organization change it
)

// object is what an operation is about.
type object struct {
	id    string
	owner ownership
}

// matrix calls every operation in the name of everybody, about what is not theirs.
type matrix struct {
	*platform
	objects map[string]object // by the parameter or body member that names it
	secrets []string          // ids that only the owner's answers may hold
	callers []caller
	cells   int
}

// TestPermissionMatrix calls every operation of openapi.yaml as nobody, and in
// each role as another user and as a user of another organization, about objects
// of somebody else. Nobody gets in without a token, no role without the scope, and
// what belongs to others is not there. At the end everything is as it was.
func TestPermissionMatrix(t *testing.T) {
	m := &matrix{platform: start(t)}
	admin := m.administrator(t)
	owner := m.user(t, sluice.DefaultOrganization, "olivia", sluice.Creator, sluice.Publisher, sluice.Subscriber)
	m.addOrganization(t, "acme")
	m.addObjects(t, admin, owner)
	m.addCallers(t)
	before := m.state(t, admin, owner)

	for path, item := range child(definition(), "paths") {
		for method, op := range item.(node) {
			if method == "parameters" {
				continue
			}
			m.operation(t, strings.ToUpper(method), path, item.(node), op.(node))
		}
	}
	if m.cells < 500 {
		t.Errorf("%d cells, want at least 500", m.cells)
	}
	t.Logf("%d cells", m.cells)
	after := m.state(t, admin, owner)
	for call, want := range before {
		if got := after[call]; got != want {
			t.Errorf("%s was changed by somebody who may not:\n%s\nbefore:\n%s", call, got, want)
		}
	}
}

// addOrganization makes a second organization, with the tiers that each has.
func (p *platform) addOrganization(t *testing.T, name string) {
	t.Helper()
	err := p.db.Update(t.Context(), func(tx *database.Tx) error {
		if err := tx.AddOrganization(&sluice.Organization{ID: name, Name: name, DisplayName: name}); err != nil {
			return err
		}
		for i, tier := range sluice.DefaultTiers() {
			tier.ID, tier.Organization = fmt.Sprint(name, i), name
			if err := tx.AddTier(&tier); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// state returns what the operations might have changed.
func (m *matrix) state(t *testing.T, admin, owner string) map[string]string {
	t.Helper()
	s := map[string]string{}
	for _, call := range []struct{ token, call string }{
		{admin, "GET " + publisherBase + "/apis/" + m.objects["apiId"].id},
		{admin, "GET " + publisherBase + "/apis/" + m.objects["apiId"].id + "/swagger"},
		{admin, "GET " + publisherBase + "/apis/" + m.objects["apiId"].id + "/revisions"},
		{admin, "GET " + publisherBase + "/apis/" + m.objects["apiId"].id + "/deployments"},
		{admin, "GET " + adminBase + "/environments"},
		{owner, "GET " + storeBase + "/applications/" + m.objects["applicationId"].id},
		{owner, "GET " + storeBase + "/applications/" + m.objects["applicationId"].id + "/oauth-keys"},
		{owner, "GET " + storeBase + "/subscriptions/" + m.objects["subscriptionId"].id},
	} {
		a := m.do(t, call.token, call.call, "")
		if a.status != http.StatusOK {
			t.Fatalf("%s = %d %s", call.call, a.status, a.body)
		}
		s[call.call] = string(a.body)
	}
	return s
}

// addObjects makes one of everything, as its owner.
func (m *matrix) addObjects(t *testing.T, admin, owner string) {
	t.Helper()
	id := func(a reply, member string) string {
		t.Helper()
		var v map[string]any
		if err := json.Unmarshal(a.body, &v); err != nil || a.status > 299 || v[member] == nil {
			t.Fatalf("%d %s, want a %s", a.status, a.body, member)
		}
		return fmt.Sprint(v[member])
	}
	api := m.api(t, admin, "Owned")
	m.publish(t, admin, api)
	one := publisherBase + "/apis/" + api
	revision := id(m.do(t, admin, "POST "+one+"/revisions", `{}`), "id")
	m.do(t, admin, "POST "+one+"/deploy-revision?revisionId="+revision, `[{"name":"Production Gateway"}]`)
	application := id(m.do(t, owner, "POST "+storeBase+"/applications", `{"name":"Owned","throttlingPolicy":"Unlimited"}`), "applicationId")
	subscription := id(m.do(t, owner, "POST "+storeBase+"/subscriptions",
		fmt.Sprintf(`{"applicationId":%q,"apiId":%q,"throttlingPolicy":"Gold"}`, application, api)), "subscriptionId")
	key := m.do(t, owner, "POST "+storeBase+"/applications/"+application+"/generate-keys",
		`{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"]}`)
	environments := as[list[environmentDocument]](t, m.do(t, admin, "GET "+adminBase+"/environments", ""), http.StatusOK)
	document := id(m.do(t, admin, "POST "+one+"/documents",
		`{"name":"Owned","type":"HOWTO","sourceType":"INLINE","visibility":"API_LEVEL"}`), "documentId")
	comment := id(m.do(t, owner, "POST "+storeBase+"/apis/"+api+"/comments", `{"content":"Mine."}`), "id")
	category := id(m.do(t, admin, "POST "+adminBase+"/api-categories", `{"name":"Owned"}`), "id")
	token := id(m.do(t, owner, "POST "+sluiceBase+"/access-tokens", `{"name":"x","scopes":["apim:subscribe"]}`), "tokenId")
	join := id(m.do(t, admin, "POST "+sluiceBase+"/enrolment-tokens", fmt.Sprintf(`{"environmentId":%q}`, environments.List[0].ID)), "tokenId")
	user := as[list[userDocument]](t, m.do(t, admin, "GET "+sluiceBase+"/users?query=olivia", ""), http.StatusOK)
	m.objects = map[string]object{
		"apiId": {api, ofOrganization}, "revisionId": {revision, ofOrganization}, "deploymentId": {"UHJvZHVjdGlvbiBHYXRld2F5", nobodys},
		"applicationId": {application, ofUser}, "subscriptionId": {subscription, ofUser},
		"keyMappingId": {id(key, "keyMappingId"), ofUser}, "keyType": {"PRODUCTION", nobodys},
		"environmentId": {environments.List[0].ID, ofInstallation}, "policyLevel": {"subscription", nobodys},
		"access-tokens": {token, ofUser}, "gateways": {"0192f0c1-2b3c-7d4e-8f90-a1b2c3d4e5f6", ofInstallation},
		"publications": {"0192f0c1-2b3c-7d4e-8f90-a1b2c3d4e5f6", ofOrganization}, "revocations": {"0192f0c1-2b3c-7d4e-8f90-a1b2c3d4e5f6", ofOrganization},
		"traceId": {strings.Repeat("0", 32), nobodys}, "sequence": {"1", ofOrganization},
		"users": {user.List[0].ID, ofOrganization}, "organizations": {"default", ofInstallation}, "enrolment-tokens": {join, ofInstallation},
		"documentId": {document, ofOrganization}, "apiCategoryId": {category, ofOrganization}, "commentId": {comment, ofOrganization},
		"policyId": {"0192f0c1-2b3c-7d4e-8f90-a1b2c3d4e5f6", ofOrganization}, "policyName": {"Gold", nobodys},
		// Kinds that are not offered: nothing is there for anybody.
		"api-products": {"nothing", ofInstallation}, "mcp-servers": {"nothing", ofInstallation},
		"operation-policies": {"nothing", ofInstallation}, "endpoint-certificates": {"nothing", ofInstallation},
	}
	m.secrets = []string{api, revision, application, subscription, m.objects["keyMappingId"].id, id(key, "consumerKey"), token}
}

// caller is somebody to whom the objects do not belong.
type caller struct {
	name         string
	token        string
	roles        []sluice.Role
	organization string
}

// addCallers makes one for each role in each organization.
func (m *matrix) addCallers(t *testing.T) {
	t.Helper()
	for _, org := range []string{sluice.DefaultOrganization, "acme"} {
		for _, role := range []sluice.Role{
			sluice.Administrator, sluice.Creator, sluice.Publisher, sluice.Subscriber, sluice.Devops, sluice.Observer, sluice.IntegrationDev,
		} {
			name := string(role) + " of " + org
			m.callers = append(m.callers, caller{name, m.user(t, org, name, role), []sluice.Role{role}, org})
		}
	}
}

// operation makes the cells of one operation.
func (m *matrix) operation(t *testing.T, method, path string, item, op node) {
	t.Helper()
	accepted := securityOf(op)
	if accepted[0] == self {
		return // it finds out who calls: the tests of that operation say how
	}
	call, body, about := m.request(t, method, path, item, op)
	header := []string{"Content-Type", "application/json", "If-Match", `"1"`}
	if strings.HasPrefix(body, "--xyz") {
		header[1] = "multipart/form-data; boundary=xyz"
	}
	if accepted[0] != open {
		m.cells++
		if a := m.do(t, "", call, body, header...); a.status != http.StatusUnauthorized {
			t.Errorf("%s without a token = %d %s", call, a.status, a.body)
		}
	}
	for _, c := range m.callers {
		earned := ScopesOf(c.roles)
		foreign := m.foreign(c, method, about)
		scoped := accepted[0] == open || accepted[0] == anyone || slices.ContainsFunc(accepted, func(s string) bool { return slices.Contains(earned, s) })
		if scoped && !foreign && (method != http.MethodGet || len(about) > 0 && c.organization == sluice.DefaultOrganization) {
			continue // it may be theirs to do
		}
		m.cells++
		a := m.do(t, c.token, call, body, header...)
		switch {
		case !scoped && strings.HasPrefix(path, sluiceBase) && a.status != http.StatusForbidden,
			!scoped && !strings.HasPrefix(path, sluiceBase) && a.status != http.StatusUnauthorized:
			t.Errorf("%s of %s, without the scope = %d %s", call, c.name, a.status, a.body)
		case scoped && foreign && a.status != http.StatusForbidden && a.status != http.StatusNotFound:
			t.Errorf("%s of %s, about what is not theirs = %d %s", call, c.name, a.status, a.body)
		case scoped && c.organization != sluice.DefaultOrganization:
			m.leaksNothing(t, c, call, a)
		}
	}
}

// foreign reports whether one of the objects cannot be the caller's.
func (m *matrix) foreign(c caller, method string, about []object) bool {
	return slices.ContainsFunc(about, func(o object) bool {
		switch o.owner {
		case ofUser:
			return c.organization != sluice.DefaultOrganization || !slices.Contains(c.roles, sluice.Administrator)
		case ofOrganization:
			return c.organization != sluice.DefaultOrganization
		case ofInstallation:
			return c.organization != sluice.DefaultOrganization && method != http.MethodGet
		}
		return false
	})
}

// leaksNothing holds that an answer names nothing of another organization. What
// the call itself named may come back.
func (m *matrix) leaksNothing(t *testing.T, c caller, call string, a reply) {
	t.Helper()
	for _, secret := range m.secrets {
		if strings.Contains(string(a.body), secret) && !strings.Contains(call, secret) {
			t.Errorf("%s of %s tells of %s: %s", call, c.name, secret, a.body)
		}
	}
}

// request builds a call of an operation that is right in everything but who
// calls, and says which objects it is about.
func (m *matrix) request(t *testing.T, method, path string, item, op node) (call, body string, about []object) {
	t.Helper()
	use := func(name string) string {
		o, known := m.objects[name]
		if !known {
			t.Errorf("%s %s: which object %s names is not known to this test", method, path, name)
		}
		about = append(about, o)
		return url.PathEscape(o.id)
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		name, ok := strings.CutPrefix(s, "{")
		if !ok {
			continue
		}
		if name = strings.TrimSuffix(name, "}"); name == "id" {
			name = segments[i-1]
		}
		segments[i] = use(name)
	}
	if strings.HasPrefix(path, publisherBase) { // whoever publishes the API may block any subscription to it
		defer func() {
			for i := range about {
				if about[i].owner == ofUser {
					about[i].owner = ofOrganization
				}
			}
		}()
	}
	query := url.Values{}
	for _, list := range []any{item["parameters"], op["parameters"]} {
		parameters, _ := list.([]any)
		for _, p := range parameters {
			p := resolve(p.(node))
			name, _ := p["name"].(string)
			o, known := m.objects[name]
			switch {
			case p["in"] != "query" || p["required"] != true && !known:
			case known: // a list that is narrowed to what is not theirs is empty
				if p["required"] == true || method != http.MethodGet {
					about = append(about, o)
				}
				query.Set(name, o.id)
			default:
				query.Set(name, fmt.Sprint(sample(resolve(p["schema"].(node)))))
			}
		}
	}
	call = method + " " + strings.Join(segments, "/")
	if len(query) > 0 {
		call += "?" + query.Encode()
	}
	content := child(child(op, "requestBody"), "content")
	if given, ok := bodies[op["operationId"].(string)]; ok {
		if body = strings.ReplaceAll(given, "{apiId}", m.objects["apiId"].id); body != given {
			about = append(about, m.objects["apiId"])
		}
	} else if form, ok := content["application/json"].(node); ok {
		v := sample(resolve(form["schema"].(node)))
		if members, ok := v.(node); ok {
			for _, name := range []string{"apiId", "applicationId", "subscriptionId", "environmentId"} {
				if _, there := child(child(form, "schema"), "properties")[name]; there {
					members[name] = m.objects[name].id
					about = append(about, m.objects[name])
				}
			}
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	return call, body, about
}

// bodies are those of operations that refuse the smallest body of their schema
// before they look who asks, by operationId.
var bodies = map[string]string{
	"undeployRevision": `[{"name":"Production Gateway"}]`,
	"generateKeys":     `{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"]}`,
	"revokeAPIKey":     `{"keyUUID":"0192f0c1-2b3c-7d4e-8f90-a1b2c3d4e5f6"}`,
	"createDocument":   `{"name":"Mine","type":"HOWTO","sourceType":"INLINE","visibility":"API_LEVEL"}`,
	"createComment":    `{"content":"Mine."}`,

	"createPlan":        `{"action":"undeploy","apiId":"{apiId}"}`,
	"createPublication": `{"action":"undeploy","apiId":"{apiId}"}`,

	"putApplicationPolicy":  policyBody,
	"putSubscriptionPolicy": policyBody,
	"putAdvancedPolicy":     policyBody,

	"putDefinition":      form("xyz", "apiDefinition", weather),
	"putDocumentContent": form("xyz", "inlineContent", "x"),
	"putThumbnail":       form("xyz", "file", "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"),
}

const policyBody = `{"policyName":"Mine","defaultLimit":{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":1}}}`

// sample returns the smallest value of a schema.
func sample(schema node) any {
	if list, ok := schema["enum"].([]any); ok {
		return list[0]
	}
	if v, ok := schema["example"]; ok {
		return v
	}
	if v, ok := schema["default"]; ok {
		return v
	}
	kind := schema["type"]
	if list, ok := kind.([]any); ok {
		kind = list[0]
	}
	switch kind {
	case "integer", "number":
		if least, ok := schema["minimum"].(int); ok {
			return least
		}
		return 1
	case "boolean":
		return true
	case "array":
		return []any{sample(child(schema, "items"))}
	case "string":
		return "x"
	}
	v := node{}
	required, _ := schema["required"].([]any)
	parts, _ := schema["allOf"].([]any)
	for _, part := range parts {
		if members, ok := sample(resolve(part.(node))).(node); ok {
			maps.Copy(v, members)
		}
	}
	for _, name := range required {
		v[name.(string)] = sample(child(child(schema, "properties"), name.(string)))
	}
	return v
}
