package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// node is any object of openapi.yaml.
type node = map[string]any

// definition returns openapi.yaml.
var definition = sync.OnceValue(func() node {
	var d node
	if err := yaml.Unmarshal(ownDefinition, &d); err != nil {
		panic(err)
	}
	return d
})

// resolve follows a $ref within the document.
func resolve(n node) node {
	ref, ok := n["$ref"].(string)
	if !ok {
		return n
	}
	to := definition()
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		to, ok = to[name].(node)
		if !ok {
			panic("openapi.yaml refers to " + ref + ", which it does not have")
		}
	}
	return resolve(to)
}

func child(n node, name string) node {
	c, _ := n[name].(node)
	return resolve(c)
}

// TestDefinitionIsWhatIsServed compares openapi.yaml with the route tables:
// paths, methods, scopes, and that paths' parameters are declared.
func TestDefinitionIsWhatIsServed(t *testing.T) {
	served, described := map[string][]string{}, map[string][]string{}
	for _, f := range New(Options{}).faces() {
		for _, r := range f.routes {
			security := []string{r.scopes}
			if list := f.scopesOf(r); list != nil {
				security = list
			}
			served[r.method+" "+f.base+r.path] = security
		}
	}
	ids := map[string]bool{}
	for path, item := range child(definition(), "paths") {
		for method, op := range item.(node) {
			if method == "parameters" {
				continue
			}
			op := op.(node)
			described[strings.ToUpper(method)+" "+path] = securityOf(op)
			if id := op["operationId"].(string); ids[id] {
				t.Errorf("operationId %s is there twice", id)
			} else {
				ids[id] = true
			}
		}
		for segment := range strings.SplitSeq(path, "/") {
			if name, ok := strings.CutPrefix(segment, "{"); ok && !declares(item.(node), strings.TrimSuffix(name, "}")) {
				t.Errorf("%s does not declare %s", path, segment)
			}
		}
	}
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("route tables (-) and openapi.yaml (+) differ:\n%s", diff)
	}
}

// securityOf returns the accepted scopes of an operation, or the word for none.
func securityOf(op node) []string {
	list, _ := op["security"].([]any)
	if len(list) == 0 {
		return []string{self}
	}
	var scopes []string
	for _, alternative := range list {
		for scheme, names := range alternative.(node) {
			switch names := names.([]any); {
			case scheme == "user":
				return []string{self}
			case len(list) == 2 && len(names) == 0:
				return []string{open}
			case len(names) == 0:
				return []string{anyone}
			default:
				scopes = append(scopes, names[0].(string))
			}
		}
	}
	return scopes
}

func declares(item node, name string) bool {
	list, _ := item["parameters"].([]any)
	return slices.ContainsFunc(list, func(p any) bool { return resolve(p.(node))["name"] == name })
}

// checkAnswer holds an answer against what openapi.yaml says of its operation.
func checkAnswer(t *testing.T, s *Server, r *http.Request, answer *http.Response, body []byte) {
	t.Helper()
	_, pattern := s.mux.Handler(r)
	op := child(child(child(definition(), "paths"), pattern), strings.ToLower(r.Method))
	if len(op) == 0 {
		return // nothing is said of it
	}
	said := child(child(op, "responses"), strconv.Itoa(answer.StatusCode))
	if len(said) == 0 {
		if answer.StatusCode < 400 {
			t.Errorf("%s %s answers %d, which openapi.yaml does not have", r.Method, pattern, answer.StatusCode)
			return
		}
		said = child(child(op, "responses"), "default")
	}
	media := answer.Header.Get("Content-Type")
	content := child(said, "content")
	if len(content) == 0 {
		if len(body) > 0 {
			t.Errorf("%s %s answers %d with a body, which openapi.yaml does not have: %s", r.Method, pattern, answer.StatusCode, body)
		}
		return
	}
	form, known := content[media].(node)
	if !known {
		t.Errorf("%s %s answers %d as %q; openapi.yaml has %v", r.Method, pattern, answer.StatusCode, media, slices.Collect(maps.Keys(content)))
	}
	if !strings.HasSuffix(media, "json") || strings.HasSuffix(media, "ndjson") {
		return
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s %s: %v in %s", r.Method, pattern, err, body)
		return
	}
	for _, problem := range mismatches("", v, child(form, "schema")) {
		t.Errorf("%s %s %d: %s", r.Method, pattern, answer.StatusCode, problem)
	}
}

// mismatches lists where a value is not of a schema. Only the keywords that
// openapi.yaml uses are known.
func mismatches(at string, v any, schema node) []string {
	schema = resolve(schema)
	if len(schema) == 0 {
		return nil
	}
	wrong := func(format string, args ...any) []string {
		return []string{at + ": " + fmt.Sprintf(format, args...)}
	}
	if c, ok := schema["const"]; ok && fmt.Sprint(c) != fmt.Sprint(v) {
		return wrong("%v is not %v", v, c)
	}
	if list, ok := schema["enum"].([]any); ok && !slices.Contains(list, v) {
		return wrong("%v is none of %v", v, list)
	}
	if kind, ok := schema["type"]; ok && !isOf(v, kind) {
		return wrong("%T is no %v", v, kind)
	}
	var all []string
	switch v := v.(type) {
	case []any:
		if most, ok := schema["maxItems"].(int); ok && len(v) > most {
			return wrong("%d elements are more than %d", len(v), most)
		}
		for i, e := range v {
			all = append(all, mismatches(fmt.Sprintf("%s[%d]", at, i), e, child(schema, "items"))...)
		}
	case node:
		properties, more := propertiesOf(schema)
		for name, e := range v {
			if p, known := properties[name]; known {
				all = append(all, mismatches(at+"."+name, e, p.(node))...)
			} else if !more {
				all = append(all, wrong("the member %s is not in openapi.yaml", name)...)
			}
		}
	}
	return all
}

// propertiesOf returns the members a schema has, and whether there may be more.
func propertiesOf(schema node) (properties node, more bool) {
	properties = node{}
	parts, _ := schema["allOf"].([]any)
	for _, part := range parts {
		p, _ := propertiesOf(resolve(part.(node)))
		maps.Copy(properties, p)
	}
	maps.Copy(properties, child(schema, "properties"))
	_, more = schema["additionalProperties"]
	return properties, more || schema["type"] == "object" && len(properties) == 0
}

func isOf(v, kind any) bool {
	if list, ok := kind.([]any); ok {
		return slices.ContainsFunc(list, func(k any) bool { return isOf(v, k) })
	}
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int64(v))
	case []any:
		return kind == "array"
	}
	return kind == "object"
}
