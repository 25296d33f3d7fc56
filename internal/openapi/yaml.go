package openapi

import (
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxYAMLNodes is how many values and keys YAML may have. It is less than
// maxNodes, since the library's nodes take more memory.
const maxYAMLNodes = 600_000

// coreTags are the tags of YAML's core schema that JSON has a value for.
// A plain text that looks like a date is text.
var coreTags = map[string]bool{
	"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!map": true, "!!seq": true, "!!timestamp": true,
}

// yamlReader turns the library's nodes into ours.
type yamlReader struct {
	r      *reader
	done   map[*yaml.Node]*node // what anchors name
	open   map[*yaml.Node]bool  // anchors whose value is being read
	weight map[*node]int        // of anchors: how many nodes they stand for
}

// parseYAML reads one YAML document. Aliases are read as what they name, as far
// as the caps of a document go; merge keys and foreign tags are refused.
func (r *reader) parseYAML(src string) *node {
	if n := strings.Count(src, ",") + 2*strings.Count(src, ":") + strings.Count(src, "- ") + strings.Count(src, "-\n") + strings.Count(src, "[") + strings.Count(src, "?"); n > maxYAMLNodes*3/2 {
		r.problem(1, 1, "The definition has more than %d values and keys.", maxYAMLNodes)
		return nil
	}
	var doc, second yaml.Node
	d := yaml.NewDecoder(strings.NewReader(src))
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) { // that is a document of nothing
		r.yamlError(src, err)
		return nil
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		line := second.Line
		if len(second.Content) > 0 {
			line = second.Content[0].Line
		}
		r.syntax(max(line, 1), 1, "The YAML has more than one document; send one.")
		return nil
	}
	if r.over() {
		return nil
	}
	if len(doc.Content) == 0 {
		r.problem(1, 1, "The definition is empty.")
		return nil
	}
	y := yamlReader{r: r, done: map[*yaml.Node]*node{}, open: map[*yaml.Node]bool{}, weight: map[*node]int{}}
	return y.value(doc.Content[0], 0)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// yamlError notes what the library says, at its line; a tab that indents is
// the cause people do not see.
func (r *reader) yamlError(src string, err error) {
	found := yamlLine.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0])
	if found == nil {
		r.syntax(1, 1, "The YAML is malformed.")
		return
	}
	at, _ := strconv.Atoi(found[1]) // none: 0
	number, tabs := 0, 0
	for line := range strings.Lines(src) {
		number++
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if i := strings.IndexByte(indent, '\t'); i >= 0 && strings.TrimSpace(line) != "" && tabs < 10 {
			tabs++
			r.syntax(number, i+1, "A tab indents this line; YAML takes blanks only.")
		}
	}
	if tabs == 0 {
		r.syntax(min(max(at, 1), max(number, 1)), 1, "The YAML is malformed: %s.", strings.TrimSuffix(found[2], "."))
	}
}

func (y *yamlReader) value(n *yaml.Node, depth int) *node {
	out := &node{line: uint32(n.Line), at: uint32(n.Column)}
	if n.Kind == yaml.AliasNode {
		return y.alias(n, out)
	}
	if !y.r.count(n.Line, n.Column) {
		return nil
	}
	if y.r.nodes > maxYAMLNodes {
		y.r.refuse(out, "The definition has more than %d values and keys.", maxYAMLNodes)
		return nil
	}
	if depth > maxDepth {
		y.r.refuse(out, "The definition is nested deeper than %d levels.", maxDepth)
		return nil
	}
	if tag := n.ShortTag(); n.Style&yaml.TaggedStyle != 0 && !coreTags[tag] {
		y.r.refuse(out, "The tag %s is not taken.", brief(tag))
		return out
	}
	if n.Anchor != "" {
		y.open[n] = true
		before := y.r.nodes
		defer func() {
			delete(y.open, n)
			y.done[n], y.weight[out] = out, y.r.nodes-before+1
		}()
	}
	switch n.Kind {
	case yaml.MappingNode:
		out.kind = object
		return y.mapping(n, out, depth)
	case yaml.SequenceNode:
		out.kind = list
		for i, v := range n.Content {
			value := y.value(v, depth+1)
			if value == nil {
				return nil
			}
			out.kids = append(out.kids, value)
			n.Content[i] = nil // no longer needed; of what an alias names ours is
		}
		return out
	}
	return y.scalar(n, out)
}

// alias returns what an alias names. It counts as if it had been written out.
func (y *yamlReader) alias(n *yaml.Node, out *node) *node {
	named := y.done[n.Alias]
	if named == nil || y.open[n.Alias] {
		y.r.refuse(out, "The alias *%s stands inside of what it names.", brief(n.Value))
		return nil
	}
	y.r.nodes += y.weight[named]
	if y.r.nodes > maxYAMLNodes {
		y.r.refuse(out, "The definition has too many aliases: written out it has more than %d values and keys.", maxYAMLNodes)
		return nil
	}
	return named
}

func (y *yamlReader) mapping(n *yaml.Node, out *node, depth int) *node {
	out.kids = make([]*node, 0, len(n.Content))
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		key := &node{line: uint32(k.Line), at: uint32(k.Column), text: k.Value}
		switch {
		case k.Kind == yaml.AliasNode, k.Kind != yaml.ScalarNode:
			y.r.refuse(key, "A key must be a plain text.")
			return nil
		case k.Tag == "!!merge":
			y.r.refuse(key, "Merge keys (<<) are not taken; write the members out.")
		case k.Style&yaml.TaggedStyle != 0 && !coreTags[k.ShortTag()]:
			y.r.refuse(key, "The tag %s is not taken.", brief(k.ShortTag()))
		}
		if !y.r.count(k.Line, k.Column) {
			return nil
		}
		if k.Anchor != "" {
			y.done[k], y.weight[key] = key, 1
		}
		v := y.value(n.Content[i+1], depth+1)
		if v == nil {
			return nil
		}
		out.kids = append(out.kids, key, v)
		n.Content[i+1] = nil // see above
	}
	y.r.unique(out)
	return out
}

// scalar reads a text, a number or a word as JSON has it.
func (y *yamlReader) scalar(n *yaml.Node, out *node) *node {
	out.text = n.Value
	switch n.ShortTag() {
	case "!!null":
		out.kind, out.text = word, "null"
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			y.r.refuse(out, "%s is neither true nor false.", brief(n.Value))
		}
		out.kind, out.text = word, strconv.FormatBool(b)
	case "!!int", "!!float":
		out.kind = number
		if !jsonNumber.MatchString(n.Value) {
			out.text = y.number(n, out)
		}
	}
	return out
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// number returns a number that YAML writes and JSON does not, such as 0x10,
// 1_000 or +.5, as JSON writes it.
func (y *yamlReader) number(n *yaml.Node, at *node) string {
	var i int64
	var f float64
	if err := n.Decode(&i); n.ShortTag() == "!!int" && err == nil {
		return strconv.FormatInt(i, 10)
	}
	if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		y.r.refuse(at, "JSON has no number for %s.", brief(n.Value))
		return "0"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
