package policy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a JSON object of a token, with every name once. Names compare
// exactly. Its methods note in bad that a member was not there in the form it
// must have, so that many can be read and judged together.
type object struct {
	members map[string]json.RawMessage
	bad     bool
}

// decodeObject decodes a segment that holds one JSON object. It refuses a name
// that is there twice, text that is not UTF-8, and anything after the object.
func decodeObject(segment []byte) (*object, error) {
	b, err := decodeSegment(segment)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') || !utf8.Valid(b) {
		return nil, errToken
	}
	o := &object{members: make(map[string]json.RawMessage)}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errToken
		}
		name, _ := t.(string) // never anything else here
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || o.has(name) {
			return nil, errToken
		}
		o.members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errToken
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errToken
	}
	return o, nil
}

// decodeSegment decodes base64url without padding, line breaks or bits left
// over.
func decodeSegment(b []byte) ([]byte, error) {
	if len(b) == 0 || bytes.ContainsAny(b, "\r\n") { // the decoder would skip line breaks
		return nil, errToken
	}
	return base64.RawURLEncoding.Strict().AppendDecode(nil, b)
}

func (o *object) has(name string) bool {
	_, there := o.members[name]
	return there
}

// text returns a member that must be a text and not empty.
func (o *object) text(name string) string {
	var s *string
	if err := json.Unmarshal(o.members[name], &s); err != nil || s == nil || *s == "" {
		o.bad = true
		return ""
	}
	return *s
}

// words returns the words of a member that must be a text.
func (o *object) words(name string) []string {
	var s *string
	if err := json.Unmarshal(o.members[name], &s); err != nil || s == nil {
		o.bad = true
		return nil
	}
	return strings.Fields(*s)
}

// seconds returns a member that must be a time: a positive integer of at most
// eleven digits, without sign, fraction and exponent.
func (o *object) seconds(name string) int64 {
	raw := string(o.members[name])
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil || n <= 0 || len(raw) > 11 || raw[0] == '+' {
		o.bad = true
		return 0
	}
	return n
}

// audience reports whether the token is for APIs: its aud is that name, or a
// list that has it.
func (o *object) audience() bool {
	var one string
	if json.Unmarshal(o.members["aud"], &one) == nil {
		return one == audience
	}
	var list []string
	return json.Unmarshal(o.members["aud"], &list) == nil && slices.Contains(list, audience)
}
