package openapi

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
)

// code is the code of every problem of a document.
const code = "openapi.unreadable"

// reader reads one document.
type reader struct {
	ctx      context.Context // ends the reading; a reader lives inside one call
	src      string
	offsets  bool // columns count bytes, as jsonReader has them
	nodes    int
	problems sluice.Problems
	found    int // how many problems
	trial    bool
	late     bool
}

// err returns what was found.
func (r *reader) err() error { return r.problems.Err() }

func (r *reader) failed() bool { return r.found > 0 }

// problem notes one problem at a place.
func (r *reader) problem(line, column int, format string, args ...any) {
	if r.found++; r.found > maxProblems {
		return
	}
	if r.offsets {
		column = r.characters(line, column)
	}
	r.problems.Add(fmt.Sprintf("line %d, column %d", line, column), code, format, args...)
}

// syntax is problem for what is no JSON or no YAML at all.
func (r *reader) syntax(line, column int, format string, args ...any) {
	r.trial = true
	r.problem(line, column, format, args...)
}

// refuse notes one problem at a node.
func (r *reader) refuse(n *node, format string, args ...any) {
	r.problem(max(int(n.line), 1), max(int(n.at), 1), format, args...)
}

// characters returns the column, in characters, of a column in bytes.
func (r *reader) characters(line, column int) int {
	rest := r.src
	for range line - 1 {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	return utf8.RuneCountInString(rest[:min(column-1, len(rest))]) + 1
}

// count counts one value or key; false: there are too many, or it is too late.
func (r *reader) count(line, column int) bool {
	if r.nodes++; r.nodes > maxNodes {
		r.problem(line, column, "The definition has more than %d values and keys.", maxNodes)
		return false
	}
	return r.nodes%4096 != 0 || !r.over()
}

// over reports whether there is no more time.
func (r *reader) over() bool {
	if r.ctx.Err() == nil {
		return false
	}
	if !r.late {
		r.late = true
		r.problem(1, 1, "The definition takes too long to read.")
	}
	return true
}

// unique refuses keys that an object has twice: readers differ in which counts.
func (r *reader) unique(n *node) {
	if n.kind != object {
		return
	}
	if len(n.kids) <= 16 {
		for i := 2; i < len(n.kids); i += 2 {
			for j := 0; j < i; j += 2 {
				if n.kids[i].text == n.kids[j].text {
					r.twice(n.kids[i], n.kids[j])
					break
				}
			}
		}
		return
	}
	first := make(map[string]*node, len(n.kids)/2)
	for k := range n.members() {
		if f := first[k.text]; f != nil {
			r.twice(k, f)
			continue
		}
		first[k.text] = k
	}
}

func (r *reader) twice(again, first *node) {
	r.refuse(again, "The key %s stands here again; it is in line %d, too.", brief(again.text), first.line)
}

// brief quotes a text for a message, shortened.
func brief(s string) string {
	if utf8.RuneCountInString(s) > 100 {
		s = string([]rune(s)[:100]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// parse reads the document into nodes; nil: a problem was noted.
func (r *reader) parse(document []byte) *node {
	document = bytes.TrimPrefix(document, []byte("\ufeff"))
	if !r.isText(document) {
		return nil
	}
	r.src = string(document)
	begin := strings.TrimLeft(r.src, " \t\r\n")
	if strings.HasPrefix(begin, "{") || strings.HasPrefix(begin, "[") {
		r.offsets = true
		root := (&jsonReader{r: r, src: r.src}).parse()
		if root != nil || !r.trial {
			return root
		}
		y := &reader{ctx: r.ctx, src: r.src} // YAML may begin like this as well
		if root = y.parseYAML(r.src); root == nil && y.trial || strings.HasPrefix(begin, `{"`) {
			return nil // then it was to be JSON
		}
		*r = *y
		return root
	}
	return r.parseYAML(r.src)
}

// isText refuses what is no text in UTF-8.
func (r *reader) isText(b []byte) bool {
	for _, c := range []struct{ magic, what string }{
		{"\xff\xfe", "in UTF-16 or UTF-32; save it as UTF-8"},
		{"\xfe\xff", "in UTF-16; save it as UTF-8"},
		{"\x00\x00\xfe\xff", "in UTF-32; save it as UTF-8"},
		{"{\x00", "in UTF-16; save it as UTF-8"},
		{"\x00{", "in UTF-16; save it as UTF-8"},
		{"o\x00", "in UTF-16; save it as UTF-8"},
		{"\x00o", "in UTF-16; save it as UTF-8"},
		{"PK\x03\x04", "a ZIP archive"},
		{"\x1f\x8b", "a gzip file; unpack it first"},
		{"%PDF", "a PDF file"},
	} {
		if bytes.HasPrefix(b, []byte(c.magic)) {
			r.problem(1, 1, "The definition is %s.", c.what)
			return false
		}
	}
	switch trimmed := bytes.TrimSpace(b); {
	case len(b) > MaxSize:
		r.problem(1, 1, "The definition has more than %d MB.", MaxSize>>20)
		return false
	case len(trimmed) == 0:
		r.problem(1, 1, "The definition is empty.")
		return false
	case trimmed[0] == '<':
		r.problem(1, 1, "The definition is XML or HTML, not OpenAPI.")
		return false
	}
	line, start, controls := 1, 0, 0
	for i := 0; i < len(b); {
		c, size := rune(b[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(b[i:])
		}
		column := func() int { return utf8.RuneCount(b[start:i]) + 1 }
		switch {
		case c == '\n':
			line, start = line+1, i+1
		case c == '\t', c == '\r':
		case c == utf8.RuneError && size == 1:
			r.problem(line, column(), "The definition is not UTF-8 here.")
			return false
		case unicode.IsControl(c) && c != '\u0085':
			if controls++; controls > 10 {
				return false
			}
			r.problem(line, column(), "The definition has the control character %U here; it is binary or damaged.", c)
		}
		i += size
	}
	return controls == 0
}
