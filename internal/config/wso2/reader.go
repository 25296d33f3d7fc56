package wso2

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/sluice-api/sluice/internal/config"
)

// maxDepth is how deep elements may be nested.
const maxDepth = 64

// element is an XML element with the lines where things stand.
type element struct {
	name     string
	line     int
	attrs    []xml.Attr
	texts    []text
	children []*element
}

// text is a piece of text that is not only white space.
type text struct {
	value string // not trimmed
	line  int    // of its first visible character
}

// text returns the text of an element without children, trimmed.
func (e *element) text() string {
	var b strings.Builder
	for _, t := range e.texts {
		b.WriteString(t.value)
	}
	return strings.TrimSpace(b.String())
}

func (e *element) attr(name string) (string, bool) {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// find returns the first child of that name, and nil for a nil element too.
func (e *element) find(name string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// reader turns the bytes of a file into elements.
type reader struct {
	file     string
	known    func(element string) bool
	newlines []int // offsets
	problems []config.Problem
}

func (r *reader) problem(line int, format string, args ...any) {
	r.problems = append(r.problems, config.Problem{File: r.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// read returns the root element, or nil where the file is not well-formed.
func (r *reader) read(data []byte) *element {
	data, ok := r.decode(data)
	if !ok {
		return nil
	}
	r.countLines(data)
	data = r.placeholders(data)
	r.countLines(data)
	if !bytes.HasSuffix(data, []byte("\n")) { // so that an early end is reported in its line
		data = append(data, '\n')
	}
	return r.tree(data)
}

// countLines notes where the lines of data end.
func (r *reader) countLines(data []byte) {
	r.newlines = r.newlines[:0]
	for i, b := range data {
		if b == '\n' {
			r.newlines = append(r.newlines, i)
		}
	}
}

// line returns the line of a byte offset.
func (r *reader) line(offset int) int { return 1 + sort.SearchInts(r.newlines, offset) }

var declaredEncoding = regexp.MustCompile(`^<\?xml[^>]*\sencoding\s*=\s*["']([^"']*)["']`)

// decode returns the text in UTF-8 and without byte order mark. The original's
// carbon.xml declares ISO-8859-1; what is valid UTF-8 is taken as such.
func (r *reader) decode(data []byte) ([]byte, bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	encoding := "UTF-8"
	if m := declaredEncoding.FindSubmatch(data); m != nil {
		encoding = strings.ToUpper(string(m[1]))
	}
	switch encoding {
	case "UTF-8", "US-ASCII", "ISO-8859-1":
	default:
		r.problem(1, "not well-formed: encoding %q is not known; save the file in UTF-8", encoding)
		return nil, false
	}
	if utf8.Valid(data) {
		return data, true
	}
	if encoding != "ISO-8859-1" {
		r.problem(0, "not well-formed: the file is not in UTF-8")
		return nil, false
	}
	var latin bytes.Buffer
	for _, b := range data {
		latin.WriteRune(rune(b))
	}
	return latin.Bytes(), true
}

// placeholder is a tag that names something in words, as the page does in
// https://<IP of the first instance>:9443/services/.
var placeholder = regexp.MustCompile(`^<([\pL][^\s<>="'/]*)([ \t]+[^\s<>="'/]+)+[ \t]*>$`)

// filled stands where a placeholder was that has been reported, so that the
// rest of the file can be read.
const filled = "placeholder.invalid"

// placeholders reports the placeholders that are not well-formed, and puts
// something in their place. None spans lines, so that line numbers stay.
func (r *reader) placeholders(data []byte) []byte {
	var out []byte
	rest := data
	for len(rest) > 0 {
		begin := bytes.IndexByte(rest, '<')
		length := -1
		if begin >= 0 {
			length = markupLength(rest[begin:])
		}
		if length < 0 {
			break
		}
		markup := rest[begin : begin+length]
		if tag := placeholder.FindSubmatch(markup); tag != nil && !r.known(string(tag[1])) {
			r.problem(r.line(len(data)-len(rest)+begin), "replace %s by an address", markup)
			markup = []byte(filled)
		}
		out = append(append(out, rest[:begin]...), markup...)
		rest = rest[begin+length:]
	}
	return append(out, rest...)
}

// markupLength returns how long the comment, section or tag is that data begins
// with, or -1 where it does not end. What is no tag because another begins in
// it ends there.
func markupLength(data []byte) int {
	for _, m := range []struct{ begin, end string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
		if bytes.HasPrefix(data, []byte(m.begin)) {
			if i := bytes.Index(data, []byte(m.end)); i >= 0 {
				return i + len(m.end)
			}
			return -1
		}
	}
	i := 1 + bytes.IndexAny(data[1:], "<>")
	switch {
	case i == 0:
		return -1
	case data[i] == '>':
		return i + 1
	}
	return i
}

// tree builds the elements.
func (r *reader) tree(data []byte) *element {
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // decode has done it
	outside := &element{}
	open := []*element{outside}
	for {
		start := int(dec.InputOffset())
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.syntax(err, r.line(start))
			return nil
		}
		inner := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if len(open) > maxDepth {
				r.problem(r.line(start), "elements are nested deeper than %d", maxDepth)
				return nil
			}
			e := &element{name: t.Name.Local, line: r.line(start), attrs: t.Copy().Attr}
			inner.children = append(inner.children, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if visible := bytes.TrimSpace(t); len(visible) > 0 {
				before := bytes.Index(t, visible)
				inner.texts = append(inner.texts, text{string(t), r.line(start + before)})
			}
		case xml.Directive:
			if word, _, _ := strings.Cut(string(t), " "); strings.HasPrefix(strings.ToUpper(word), "DOCTYPE") {
				r.problem(r.line(start), "DOCTYPE is not allowed")
			} else {
				r.problem(r.line(start), "not well-formed: unknown declaration")
			}
			return nil
		}
	}
	switch {
	case len(outside.texts) > 0:
		r.problem(outside.texts[0].line, "not well-formed: text outside the root element")
	case len(outside.children) == 0:
		r.problem(0, "not well-formed: there is no element")
	case len(outside.children) > 1:
		r.problem(outside.children[1].line, "not well-formed: a second root element")
	default:
		return outside.children[0]
	}
	return nil
}

// syntax reports an error of the decoder.
func (r *reader) syntax(err error, line int) {
	message := err.Error()
	if s, ok := errors.AsType[*xml.SyntaxError](err); ok {
		line, message = s.Line, s.Msg
	}
	r.problem(min(line, 1+len(r.newlines)), "not well-formed: %s", message)
}
