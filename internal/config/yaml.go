package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Parse reads the text of sluice.yaml. It is strict: every unknown or repeated
// key and every wrong type is a Problem, all in one run. What the values mean
// is judged by a Draft.
func Parse(data []byte) (*Settings, []Problem) {
	r, s := &yamlReader{}, &Settings{}
	root := r.document(data)
	if len(r.problems) > 0 || root == nil {
		return s, r.problems
	}
	r.mapping(root, "", s.fields(), func(key, value *yaml.Node) bool {
		switch key.Value {
		case "environments":
			r.environments(s, value)
		default:
			return false
		}
		return true
	}, "environments")
	return s, r.problems
}

type yamlReader struct {
	problems []Problem
}

func (r *yamlReader) problem(at *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: File, Line: at.Line, Text: fmt.Sprintf(format, args...)})
}

// document returns the root mapping, or nil where the file holds nothing.
func (r *yamlReader) document(data []byte) *yaml.Node {
	if i := firstUnreadable(data); i >= 0 {
		line := 1 + bytes.Count(data[:i], []byte("\n"))
		r.problems = append(r.problems, Problem{File: File, Line: line, Text: "not well-formed: not text in UTF-8"})
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		r.syntax(err)
		return nil
	}
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		if err != nil {
			r.syntax(err)
		} else {
			r.problem(&next, "a second document begins here; the file holds one")
		}
		return nil
	}
	r.refuseAliases(&doc)
	root := doc.Content[0]
	if isNull(root) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.problem(root, "the file must consist of keys and values, such as profile: production")
	}
	return root
}

var yamlError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// firstUnreadable returns where data is not text in UTF-8, or -1.
func firstUnreadable(data []byte) int {
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		control := unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t'
		if control || c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// syntax turns "yaml: line 3: did not find …" into a Problem. The library names
// no line where it is the first, and none at all for an anchor.
func (r *yamlReader) syntax(err error) {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		m = []string{"", "", err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	if line == 0 && !strings.Contains(m[2], "anchor") {
		line = 1
	}
	r.problems = append(r.problems, Problem{File: File, Line: line, Text: "not well-formed: " + m[2]})
}

// refuseAliases keeps one thing from standing in several places, which a
// configuration does not need and a line number could not name.
func (r *yamlReader) refuseAliases(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		r.problem(n, "aliases (*%s) are not allowed", n.Value)
		return
	}
	if n.Anchor != "" {
		r.problem(n, "anchors (&%s) are not allowed", n.Anchor)
	}
	for _, c := range n.Content {
		r.refuseAliases(c)
	}
}

// mapping reads the keys of a mapping, whose path begins with prefix, into
// fields. What is not among them is offered to special, whose names are known.
func (r *yamlReader) mapping(n *yaml.Node, prefix string, fields []field, special func(key, value *yaml.Node) bool, names ...string) {
	known := append(subkeys(prefix, fields), names...)
	lines := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.problem(key, "a key must be a word")
			continue
		}
		path := prefix + key.Value
		if first, again := lines[key.Value]; again {
			r.problem(key, "%s is given twice, first in line %d", path, first)
			continue
		}
		lines[key.Value] = key.Line
		if special != nil && special(key, value) {
			continue
		}
		if f, ok := fieldAt(fields, path); ok {
			r.field(f, value)
			continue
		}
		if len(subkeys(path+".", fields)) > 0 {
			r.group(value, path, fields)
			continue
		}
		r.unknown(key, prefix, known)
	}
}

func fieldAt(fields []field, path string) (field, bool) {
	for _, f := range fields {
		if f.path == path {
			return f, true
		}
	}
	return field{}, false
}

// subkeys returns the keys that may stand below prefix.
func subkeys(prefix string, fields []field) []string {
	var keys []string
	for _, f := range fields {
		rest, below := strings.CutPrefix(f.path, prefix)
		key, _, _ := strings.Cut(rest, ".")
		if below && (len(keys) == 0 || keys[len(keys)-1] != key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (r *yamlReader) unknown(key *yaml.Node, prefix string, known []string) {
	where, hint := "", ""
	if prefix != "" {
		where = " in " + strings.TrimSuffix(prefix, ".")
	}
	if near := Nearest(key.Value, known); near != "" {
		hint = "; did you mean " + near + "?"
	}
	r.problem(key, "unknown key %s%s%s", printable(key.Value), where, hint)
}

func (r *yamlReader) group(n *yaml.Node, path string, fields []field) {
	switch {
	case isNull(n): // all of its keys are commented out
	case n.Kind != yaml.MappingNode:
		r.problem(n, "%s holds keys of its own: %s", path, strings.Join(subkeys(path+".", fields), ", "))
	default:
		r.mapping(n, path+".", fields, nil)
	}
}

func (r *yamlReader) field(f field, n *yaml.Node) {
	if f.kind == texts {
		r.list(f, n)
		return
	}
	if n.Kind != yaml.ScalarNode {
		r.problem(n, "%s must be %s", f.path, f.kind)
		return
	}
	if isNull(n) {
		r.problem(n, "%s has no value; remove the key or give it one", f.path)
		return
	}
	if wrong := f.kind.mismatch(f.path, n); wrong != "" {
		r.problem(n, "%s", wrong)
		return
	}
	if n.Value != "" { // an empty text is the same as no key
		*f.value = Value{Text: n.Value, Name: f.path, File: File, Line: n.Line}
		if f.kind == boolean {
			f.value.Text = strings.ToLower(n.Value)
		}
	}
}

func (r *yamlReader) list(f field, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.problem(n, "%s must be %s", f.path, f.kind)
		return
	}
	*f.list = []Value{}
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str" {
			r.problem(item, "every item of %s must be text; put it in quotes", f.path)
			continue
		}
		*f.list = append(*f.list, Value{Text: item.Value, Name: f.path, File: File, Line: item.Line})
	}
}

func (r *yamlReader) environments(s *Settings, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.problem(n, "environments must be a list; begin each environment with - name:")
		return
	}
	for _, item := range n.Content {
		if item.Kind != yaml.MappingNode {
			r.problem(item, "an environment consists of keys; begin it with - name:")
			continue
		}
		e := EnvironmentSettings{At: Value{Name: "environment", File: File, Line: item.Line}}
		r.mapping(item, "", e.fields(), nil)
		s.Environments = append(s.Environments, e)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// String says in words what a kind is.
func (k kind) String() string {
	switch k {
	case whole:
		return "a whole number"
	case boolean:
		return "true or false"
	case duration:
		return "a duration, such as 60s or 1h"
	case portOrText:
		return `an address, such as "127.0.0.1:9443", or a port`
	case texts:
		return "a list of texts"
	}
	return "text"
}

// mismatch says what is wrong with the type of a scalar, or "". A duration is
// judged later, with its value.
func (k kind) mismatch(path string, n *yaml.Node) string {
	tag := n.ShortTag()
	switch {
	case k == text && tag != "!!str":
		return path + " must be text; put it in quotes"
	case k == whole && tag == "!!str" && digits.MatchString(n.Value):
		return path + " must be a whole number; remove the quotes"
	case k == whole && tag != "!!int" && !digits.MatchString(n.Value): // beyond 64 bits, it is a float to YAML
		return fmt.Sprintf("%s %s is not a whole number", path, quote(n.Value))
	case k == boolean && (n.Value == "true" || n.Value == "false") && tag == "!!str":
		return path + " must be true or false; remove the quotes"
	case k == boolean && tag != "!!bool":
		return fmt.Sprintf("%s %s must be true or false", path, quote(n.Value))
	case k == portOrText && tag != "!!int" && tag != "!!str":
		return fmt.Sprintf("%s must be %s", path, k)
	}
	return ""
}

var digits = regexp.MustCompile(`^[-+]?[0-9]+$`)
