package openapi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
)

// Caps of a comparison. What they cut off is said in the last of its changes.
const (
	MaxBreaking   = 100         // changes that are listed
	maxComparison = 100_000_000 // steps: values, keys and bytes of text looked at
	maxPairs      = 50_000      // schemas compared with each other
	maxParts      = 200         // schemas that a schema is made of by $ref and allOf
	maxPlace      = 500         // bytes of the place of a property
)

// Comparison is what changes for those who call an API.
type Comparison struct {
	Breaking []Breaking // in the order of the earlier definition; at most MaxBreaking, and one that says there is more
	Other    int        // further differences, each counted once however many operations share it
}

// Breaking is one change that a caller may notice.
type Breaking struct {
	Operation string // "GET /stations/{id}", as the earlier definition writes it; empty: the definition as a whole
	Change    string // a sentence
}

// Compare says what changes for the callers of an API from one definition to the
// next, both as [Read] takes them. It compares what a gateway and a backend take
// and send: names of path variables, of schemas and of security schemes make no
// difference, nor does it matter what stands behind a $ref or is put together by
// allOf. The rule is one: what a caller sends may be taken more widely than before
// and not more narrowly, what it receives the other way round. A property that is
// no longer known, a parameter, status or media type that went, and a token or
// key that was not needed are breaking too. Where this cannot be judged (a changed
// pattern, a rule such as not or if) it is taken as breaking. Callbacks, links and
// webhooks count as other.
//
// An error is that of Read. Time and memory are bounded; where a limit ends the
// comparison, the last entry of Breaking says so.
func Compare(before, after []byte) (Comparison, error) {
	c := comparer{steps: maxComparison, pairs: map[pairKey]*pair{}, ids: map[*node]int{}, differences: map[difference]bool{}}
	for _, load := range []struct {
		document []byte
		to       *side
	}{{before, &c.before}, {after, &c.after}} {
		r := &reader{ctx: context.Background()}
		root, _ := r.load(load.document)
		if root != nil {
			r.understand(root, &Definition{})
		}
		if r.failed() {
			return Comparison{}, r.err()
		}
		*load.to = side{checker: checker{root: root, indexes: map[*node]map[string]*node{}}, oauth: oauthSchemes(root)}
	}
	c.compare()
	for _, breaks := range c.differences {
		if !breaks {
			c.out.Other++
		}
	}
	switch {
	case len(c.out.Breaking) > MaxBreaking:
		c.out.Breaking = append(c.out.Breaking[:MaxBreaking], Breaking{"", fmt.Sprintf("More than %d changes are breaking; these are the first.", MaxBreaking)})
	case c.cut:
		c.out.Breaking = append(c.out.Breaking, Breaking{"", "The definitions are too large or too entangled to be compared in whole."})
	}
	return c.out, nil
}

// side is one of the two documents.
type side struct {
	checker
	oauth map[string]bool // its OAuth security schemes
}

// difference is where two documents differ.
type difference struct {
	before, after *node
	what          string
}

// comparer compares two documents.
type comparer struct {
	before, after side
	steps         int // left
	cut           bool
	ids           map[*node]int // of schemas
	pairs         map[pairKey]*pair
	todo          []*pair             // not looked into yet
	differences   map[difference]bool // whether they break
	operation     string              // that is compared
	listed        map[listing]bool    // of it
	out           Comparison
}

// spend takes steps; false: there are none left.
func (c *comparer) spend(steps int) bool {
	c.steps -= steps
	c.cut = c.cut || c.steps < 0
	return !c.cut
}

// breaks notes a breaking change of the operation.
func (c *comparer) breaks(format string, args ...any) {
	c.out.Breaking = append(c.out.Breaking, Breaking{c.operation, fmt.Sprintf(format, args...)})
}

// differs notes that two values differ, which breaks or does not.
func (c *comparer) differs(before, after *node, what string, breaks bool) {
	d := difference{before, after, what}
	c.differences[d] = c.differences[d] || breaks
}

// remarks counts the members that differ, but for those named.
func (c *comparer) remarks(before, after *node, but ...string) {
	for k, b := range before.members() {
		if !slices.Contains(but, k.text) && !c.same(b, c.after.member(after, k.text)) {
			c.differs(before, after, k.text, false)
		}
	}
	for k := range after.members() {
		if !slices.Contains(but, k.text) && c.before.member(before, k.text) == nil {
			c.differs(before, after, k.text, false)
		}
	}
}

// same reports whether two values are the same; the order of members makes no
// difference.
func (c *comparer) same(b, a *node) bool {
	if b == nil || a == nil || b.kind != a.kind || len(b.kids) != len(a.kids) || !c.spend(1+len(b.text)) {
		return b == a
	}
	if b.kind != object {
		return b.text == a.text && slices.EqualFunc(b.kids, a.kids, c.same)
	}
	for k, v := range b.members() {
		if !c.spend(1+len(k.text)) || !c.same(v, c.after.member(a, k.text)) {
			return false
		}
	}
	return true
}

// member returns a member of an object; nil where there is none.
func (s *side) member(n *node, key string) *node {
	if n == nil || n.kind != object {
		return nil
	}
	return s.step(n, key)
}

// resolved returns what a value is, or refers to; nil where that is nothing.
func (s *side) resolved(n *node) *node {
	for range maxChain {
		ref := n.get("$ref").str()
		if ref == "" {
			return n
		}
		n = s.reach(ref)
	}
	return nil
}

// operation is one operation of a side, with what its path item adds.
type operation struct {
	name       string // "GET /stations/{id}"
	node       *node
	variables  []string // of its path, in their order
	parameters []*node  // of its path item and its own
}

// operations returns the operations of a document, in its order, and by verb and
// the requests that they stand for.
func (c *comparer) operations(s *side) (order []string, found map[string]*operation) {
	found = map[string]*operation{}
	for path, item := range s.root.get("paths").members() {
		form, problem := canonical(path.text)
		if problem != "" || !c.spend(len(path.text)) {
			continue
		}
		for range maxChain + 1 {
			for key, n := range item.members() {
				id := strings.ToUpper(key.text) + " " + form
				if !slices.Contains(verbs, key.text) || found[id] != nil {
					continue
				}
				found[id] = &operation{
					name: strings.ToUpper(key.text) + " " + path.text, node: n, variables: variablesOf(path.text),
					parameters: slices.Concat(item.get("parameters").values(), n.get("parameters").values()),
				}
				order = append(order, id)
			}
			ref := item.get("$ref").str()
			if ref == "" {
				break
			}
			item = s.reach(ref)
		}
	}
	return order, found
}

// variablesOf returns the names of the variables in a path.
func variablesOf(path string) (list []string) {
	for _, rest := range strings.Split(path, "{")[1:] {
		name, _, _ := strings.Cut(rest, "}")
		list = append(list, name)
	}
	return list
}

// compare compares the documents.
func (c *comparer) compare() {
	order, before := c.operations(&c.before)
	news, after := c.operations(&c.after)
	named := map[string]string{}
	for _, id := range news {
		if name := after[id].node.get("operationId").str(); name != "" && before[id] == nil {
			named[name] = after[id].name
		}
	}
	for _, id := range order {
		b, a := before[id], after[id]
		c.operation, c.listed = b.name, map[listing]bool{}
		if len(c.out.Breaking) > MaxBreaking || c.cut {
			return
		}
		if a == nil {
			if to := named[b.node.get("operationId").str()]; to != "" {
				c.breaks("It is now %s.", to)
			} else {
				c.breaks("It was removed.")
			}
			continue
		}
		c.security(b, a)
		c.parameters(b, a)
		c.requestBody(b, a)
		c.responses(b, a)
		c.remarks(b.node, a.node, "parameters", "requestBody", "responses", "security", authKey)
	}
	for _, id := range news {
		if before[id] == nil {
			c.differs(nil, after[id].node, "operation", false)
		}
	}
	c.remarks(c.before.root, c.after.root, "paths", "components", "security", "openapi")
}

// security compares what a caller must show. An OAuth scheme asks for a token,
// which a gateway asks for in any case unless there is no auth type; of its
// scopes the token needs one.
func (c *comparer) security(b, a *operation) {
	was, _ := authOf(b.node)
	is, _ := authOf(a.node)
	if was != is {
		breaks := was == sluice.AuthNone || is != sluice.AuthAny && is != sluice.AuthNone
		c.differs(b.node, a.node, authKey, breaks)
		if breaks {
			c.breaks("It needs a token of the kind %s now; it was %s.", is, was)
		}
	}
	needs := func(s *side, o *operation) *node {
		if own := o.node.get("security"); own != nil {
			return own
		}
		return s.root.get("security")
	}
	old, next := needs(&c.before, b), needs(&c.after, a)
	had, has := neededScopes(old, c.before.oauth), neededScopes(next, c.after.oauth)
	switch {
	case len(had) == 0 && len(has) > 0:
		c.differs(b.node, a.node, "scopes", true)
		c.breaks("It needs one of the scopes %s now.", quoted(has))
	case len(has) > 0:
		for _, name := range had {
			if !slices.Contains(has, name) {
				c.differs(b.node, a.node, "scopes", true)
				c.breaks("The scope %s is no longer enough.", brief(name))
			}
		}
	}
	if len(has) != len(had) {
		c.differs(b.node, a.node, "scopes", false)
	}
	left := c.alternativesOf(&c.after, next)
	for _, one := range c.alternativesOf(&c.before, old) {
		if !slices.ContainsFunc(left, func(l []string) bool {
			return !slices.ContainsFunc(l, func(s string) bool { return !slices.Contains(one, s) })
		}) {
			c.differs(b.node, a.node, "security", true)
			c.breaks("It needs other credentials now: %s; %s did.", credentials(left...), credentials(one))
		}
	}
}

// alternativesOf returns the sets of credentials beside tokens of which one is
// needed, each named for what it is.
func (c *comparer) alternativesOf(s *side, security *node) [][]string {
	list := [][]string{}
	for _, requirement := range security.values()[:min(len(security.values()), 100)] {
		one := []string{}
		for name := range requirement.members() {
			scheme := s.resolved(s.root.find("components", "securitySchemes", name.text))
			if s.oauth[name.text] || scheme == nil {
				continue
			}
			one = append(one, strings.Join(strings.Fields(short(scheme.get("type").str())+" "+strings.ToLower(short(scheme.get("scheme").str()))+" "+short(scheme.get("in").str())+" "+
				short(scheme.get("name").str())+" "+short(scheme.get("openIdConnectUrl").str())), " "))
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return [][]string{{}}
	}
	return list
}

// credentials names sets of credentials.
func credentials(sets ...[]string) string {
	var names []string
	for _, s := range sets {
		name := strings.Join(s, " with ")
		if name == "" {
			name = "none"
		}
		names = append(names, name)
	}
	return strings.Join(names, " or ")
}

// quoted lists texts for a message, at most ten.
func quoted(list []string) string {
	var b []string
	for i, s := range list {
		if i == 10 {
			b = append(b, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		b = append(b, brief(s))
	}
	return strings.Join(b, ", ")
}

// short shortens a name for a message.
func short(s string) string {
	if r := []rune(s[:min(len(s), 400)]); len(s) > 400 || len(r) > 100 {
		return string(r[:min(len(r), 100)]) + "…"
	}
	return s
}
