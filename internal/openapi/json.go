package openapi

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads JSON (RFC 8259) into nodes that know where they stood, which
// encoding/json cannot. The text it makes is part of the source where no escape
// stands in it.
type jsonReader struct {
	r     *reader
	src   string
	i     int
	line  int
	start int // where the line begins
	depth int
}

// parse reads one value and nothing else.
func (p *jsonReader) parse() *node {
	p.line = 1
	n := p.value()
	if n == nil {
		return nil
	}
	if p.space(); p.i < len(p.src) {
		return p.fail("something follows the end of the definition")
	}
	return n
}

// fail notes what is wrong here and returns nil.
func (p *jsonReader) fail(what string) *node {
	p.r.syntax(p.line, p.i-p.start+1, "The JSON is malformed: %s.", what)
	return nil
}

// space skips white space.
func (p *jsonReader) space() {
	for ; p.i < len(p.src); p.i++ {
		switch p.src[p.i] {
		case ' ', '\t', '\r':
		case '\n':
			p.line, p.start = p.line+1, p.i+1
		default:
			return
		}
	}
}

// next returns the next byte that is no white space; 0 at the end.
func (p *jsonReader) next() byte {
	p.space()
	if p.i >= len(p.src) {
		return 0
	}
	return p.src[p.i]
}

func (p *jsonReader) node(k kind, s string) *node {
	return &node{kind: k, text: s, line: uint32(p.line), at: uint32(p.i - p.start + 1)}
}

// value reads a value; nil: a problem was noted.
func (p *jsonReader) value() *node {
	c := p.next()
	if !p.r.count(p.line, p.i-p.start+1) {
		return nil
	}
	switch {
	case c == 0 && p.i >= len(p.src):
		return p.fail("it ends too early")
	case c == '"':
		return p.str()
	case c == '{' || c == '[':
		return p.container(c)
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for _, w := range []string{"true", "false", "null"} {
		if strings.HasPrefix(p.src[p.i:], w) {
			n := p.node(word, w)
			p.i += len(w)
			return n
		}
	}
	return p.fail("a value must stand here")
}

// container reads an object or a list.
func (p *jsonReader) container(open byte) *node {
	n, end := p.node(list, ""), byte(']')
	if open == '{' {
		n.kind, end = object, '}'
	}
	if p.depth++; p.depth > maxDepth {
		p.r.refuse(n, "The definition is nested deeper than %d levels.", maxDepth)
		return nil
	}
	defer func() { p.depth-- }()
	p.i++
	if p.next() == end {
		p.i++
		return n
	}
	for {
		if n.kind == object && !p.key(n) {
			return nil
		}
		v := p.value()
		if v == nil {
			return nil
		}
		n.kids = append(n.kids, v)
		switch p.next() {
		case ',':
			p.i++
		case end:
			p.i++
			p.r.unique(n)
			return n
		default:
			return p.fail("a comma or the end of the " + map[byte]string{'}': "object", ']': "list"}[end] + " must stand here")
		}
	}
}

// key reads a key and its colon.
func (p *jsonReader) key(n *node) bool {
	if p.next() != '"' {
		p.fail("a key in double quotes must stand here")
		return false
	}
	if !p.r.count(p.line, p.i-p.start+1) {
		return false
	}
	k := p.str()
	if k == nil {
		return false
	}
	if p.next() != ':' {
		p.fail("a colon must stand here")
		return false
	}
	p.i++
	n.kids = append(n.kids, k)
	return true
}

// number reads a number, which stays as it is written.
func (p *jsonReader) number() *node {
	n, s := p.node(number, ""), p.src[p.i:]
	end := 0
	digits := func() bool {
		from := end
		for end < len(s) && '0' <= s[end] && s[end] <= '9' {
			end++
		}
		return end > from
	}
	if s[0] == '-' {
		end++
	}
	first := end
	ok := digits() && (end == first+1 || s[first] != '0')
	if ok && end < len(s) && s[end] == '.' {
		end++
		ok = digits()
	}
	if ok && end < len(s) && s[end]|0x20 == 'e' {
		end++
		if end < len(s) && (s[end] == '+' || s[end] == '-') {
			end++
		}
		ok = digits()
	}
	if !ok {
		return p.fail("this is no number")
	}
	n.text = s[:end]
	p.i += end
	return n
}

// str reads a string.
func (p *jsonReader) str() *node {
	n := p.node(text, "")
	p.i++
	from, escaped := p.i, false
	for ; p.i < len(p.src); p.i++ {
		switch c := p.src[p.i]; {
		case c == '\\':
			escaped = true
			p.i++
		case c == '"':
			raw := p.src[from:p.i]
			p.i++
			if n.text = raw; escaped {
				var ok bool
				if n.text, ok = unescape(raw); !ok {
					p.r.syntax(int(n.line), int(n.at), "The JSON is malformed: a backslash in this string begins no escape that there is.")
					return nil
				}
			}
			return n
		case c < ' ':
			return p.fail("a control character stands in a string; write it as an escape")
		}
	}
	p.r.syntax(int(n.line), int(n.at), "The JSON is malformed: this string does not end.")
	return nil
}

// unescape returns what a JSON string says.
func unescape(raw string) (string, bool) {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			continue
		}
		i++
		if i >= len(raw) {
			return "", false
		}
		switch c := raw[i]; c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b', 'f', 'n', 'r', 't':
			b = append(b, "\b\f\n\r\t"[strings.IndexByte("bfnrt", c)])
		case 'u':
			r, ok := hex4(raw[i+1:])
			if !ok {
				return "", false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), strings.HasPrefix(raw[i+1:], `\u`)
				if ok {
					low, ok = hex4(raw[i+3:])
				}
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return "", false // half a character
				}
				i += 6
			}
			b = utf8.AppendRune(b, r)
		default:
			return "", false
		}
	}
	return string(b), true
}

func hex4(s string) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range []byte(s[:4]) {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if '0' <= c && c <= '9' {
			d = int(c - '0')
		}
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}
