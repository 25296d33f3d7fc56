package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 100

// ReadJSON reads a JSON body of at most limit bytes into v. Members that v does
// not have are ignored.
func ReadJSON(r *http.Request, limit int64, v any) error {
	body, err := readJSON(r, limit)
	if err != nil {
		return err
	}
	return DecodeJSON(body, v)
}

// ReadKnownJSON is ReadJSON for interfaces where a member that v does not have
// is a mistake.
func ReadKnownJSON(r *http.Request, limit int64, v any) error {
	body, err := readJSON(r, limit)
	if err != nil {
		return err
	}
	if err := CheckJSON(body); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return decodeError(d.Decode(v))
}

func readJSON(r *http.Request, limit int64) ([]byte, error) {
	if _, _, err := MediaType(r, JSON); err != nil {
		return nil, err
	}
	return ReadBody(r, limit)
}

// DecodeJSON decodes one JSON value that CheckJSON accepts into v.
func DecodeJSON(data []byte, v any) error {
	if err := CheckJSON(data); err != nil {
		return err
	}
	return decodeError(json.Unmarshal(data, v))
}

// CheckJSON refuses what can be read in two ways, or should not be stored:
// anything but one JSON value in UTF-8, an object with a member twice, a NUL,
// nesting deeper than 100.
func CheckJSON(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return sluice.Errorf(sluice.Invalid, "body.empty", "A JSON body is needed.")
	}
	if !utf8.Valid(data) {
		return sluice.Errorf(sluice.Invalid, "body.json", "The JSON is not UTF-8.")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		line, column := position(data, err)
		return sluice.Errorf(sluice.Invalid, "body.json", "The JSON is malformed at line %d, column %d.", line, column)
	}
	return checkMembers(data)
}

// position returns where a syntax error is, both counted from 1.
func position(data []byte, err error) (line, column int) {
	offset := len(data)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = min(max(int(e.Offset)-1, 0), len(data))
	}
	before := data[:offset]
	return 1 + bytes.Count(before, []byte("\n")), offset - bytes.LastIndexByte(before, '\n')
}

// checkMembers walks through well-formed JSON.
func checkMembers(data []byte) error {
	type frame struct {
		members map[string]bool // nil in an array
		name    bool            // the next token is the name of a member
	}
	var stack []frame
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return nil // the end: the whole was well-formed
		}
		if s, ok := token.(string); ok && strings.ContainsRune(s, 0) {
			return sluice.Errorf(sluice.Invalid, "body.json", "The JSON contains a NUL.")
		}
		switch token {
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].members != nil {
			f := &stack[n-1]
			if f.name {
				name, _ := token.(string)
				if f.members[name] {
					return sluice.Errorf(sluice.Invalid, "body.json", "The JSON has the member %q twice in one object.", name)
				}
				f.members[name] = true
			}
			f.name = !f.name
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, frame{members: map[string]bool{}, name: true})
		case json.Delim('['):
			stack = append(stack, frame{})
		}
		if len(stack) > maxDepth {
			return sluice.Errorf(sluice.Invalid, "body.json", "The JSON is nested deeper than %d.", maxDepth)
		}
	}
}

// decodeError says what a reader can do about an error of encoding/json.
func decodeError(err error) error {
	if err == nil {
		return nil
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return sluice.Errorf(sluice.Invalid, "body.field", "The JSON has a %s where %s is expected.", t.Value, kindName(t)).At(t.Field)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return sluice.Errorf(sluice.Invalid, "body.unknown", "There is no member %s here.", name).At(strings.Trim(name, `"`))
	}
	if e, ok := errors.AsType[*sluice.Error](err); ok {
		return e
	}
	return sluice.Errorf(sluice.Invalid, "body.json", "The JSON could not be understood.")
}

// kindName names the JSON type that a Go type is decoded from.
func kindName(t *json.UnmarshalTypeError) string {
	switch k := t.Type.Kind().String(); {
	case k == "string", k == "bool":
		return "a " + k
	case k == "slice", k == "array":
		return "an array"
	case k == "struct", k == "map":
		return "an object"
	case strings.HasPrefix(k, "int"), strings.HasPrefix(k, "uint"):
		return "a whole number"
	}
	return "another type"
}
