package openapi

import (
	"iter"
	"strings"
)

// kind is what a node is.
type kind uint8

const (
	text kind = iota
	number
	word // true, false or null
	list
	object
)

// String names a kind as a reader knows it.
func (k kind) String() string {
	return [...]string{"text", "a number", "true, false or null", "a list", "an object"}[k]
}

// node is one value of a document: what JSON can hold, and where it stood.
type node struct {
	text string  // of text; a number as JSON writes it; the word
	kids []*node // of a list its values; of an object key and value in turn
	line uint32  // from 1; 0: made by this package
	at   uint32  // column, from 1
	kind kind
}

func newText(s string) *node { return &node{text: s} }

// newObject returns an object of keys and values in turn: a key is a string, a
// value a string or a node.
func newObject(pairs ...any) *node {
	n := &node{kind: object}
	for i := 0; i < len(pairs); i += 2 {
		value, ok := pairs[i+1].(*node)
		if !ok {
			value = newText(pairs[i+1].(string))
		}
		n.set(pairs[i].(string), value)
	}
	return n
}

func newList(values ...*node) *node { return &node{kind: list, kids: values} }

// members yields an object's keys and values; of anything else nothing.
func (n *node) members() iter.Seq2[*node, *node] {
	return func(yield func(*node, *node) bool) {
		if n == nil || n.kind != object {
			return
		}
		for i := 0; i < len(n.kids); i += 2 {
			if !yield(n.kids[i], n.kids[i+1]) {
				return
			}
		}
	}
}

// values yields a list's values; of anything else nothing.
func (n *node) values() []*node {
	if n == nil || n.kind != list {
		return nil
	}
	return n.kids
}

// get returns a member of an object; nil where there is none.
func (n *node) get(key string) *node {
	for k, v := range n.members() {
		if k.text == key {
			return v
		}
	}
	return nil
}

// at returns the node that a path of keys leads to; nil where there is none.
func (n *node) find(keys ...string) *node {
	for _, k := range keys {
		n = n.get(k)
	}
	return n
}

// set gives an object a member, in the place of the one of that name.
func (n *node) set(key string, value *node) {
	for i := 0; i < len(n.kids); i += 2 {
		if n.kids[i].text == key {
			n.kids[i+1] = value
			return
		}
	}
	n.kids = append(n.kids, newText(key), value)
}

// sub returns the object that is a member of n, made where it is missing.
func (n *node) sub(key string) *node {
	v := n.get(key)
	if v == nil || v.kind != object {
		v = newObject()
		n.set(key, v)
	}
	return v
}

// remove takes the members away for which drop says so.
func (n *node) remove(drop func(key string, value *node) bool) {
	kept := n.kids[:0:0]
	for k, v := range n.members() {
		if !drop(k.text, v) {
			kept = append(kept, k, v)
		}
	}
	n.kids = kept
}

// str returns the text of a node, "" where it is none.
func (n *node) str() string {
	if n == nil || n.kind != text {
		return ""
	}
	return n.text
}

// scalar returns the text of a node that is no object and no list: a version
// that somebody wrote as a number is one as well.
func (n *node) scalar() string {
	if n == nil || n.kind >= list {
		return ""
	}
	return n.text
}

// clone returns a copy that shares nothing that set and remove change.
func (n *node) clone() *node {
	if n == nil {
		return nil
	}
	c := *n
	c.kids = make([]*node, len(n.kids))
	for i, k := range n.kids {
		c.kids[i] = k.clone()
	}
	return &c
}

// json returns n as JSON, its members in their order.
func (n *node) json() []byte {
	return n.appendJSON(make([]byte, 0, 4096))
}

func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case text:
		return appendString(b, n.text)
	case number, word:
		return append(b, n.text...)
	case list:
		b = append(b, '[')
		for i, v := range n.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.appendJSON(b)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i, v := range n.kids {
		switch {
		case i%2 == 1:
			b = v.appendJSON(append(b, ':'))
			continue
		case i > 0:
			b = append(b, ',')
		}
		b = appendString(b, v.text)
	}
	return append(b, '}')
}

// appendString appends a JSON string. What is not ASCII stays as it is, and so
// do < > &: who puts a definition into a page escapes it there.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for from := 0; ; {
		i := strings.IndexFunc(s[from:], func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
		if i < 0 {
			return append(append(b, s[from:]...), '"')
		}
		b = append(b, s[from:from+i]...)
		switch c := s[from+i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		from += i + 1
	}
}
