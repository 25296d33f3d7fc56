package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

func TestReadJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, c := range map[string]struct {
		contentType, encoding, body string
		known                       bool // by ReadKnownJSON
		status                      int  // 0: taken
		code, words                 string
	}{
		"an object":             {body: `{"name":"a","n":1}`},
		"with a charset":        {contentType: "application/json; charset=utf-8", body: `{}`},
		"an unknown member":     {body: `{"other":1}`},
		"unknown, where known":  {body: `{"other":1}`, known: true, status: 400, code: "body.unknown", words: `"other"`},
		"known, where known":    {body: `{"name":"a"}`, known: true},
		"no media type":         {contentType: "-", body: `{}`, status: 415, code: "body.type"},
		"text":                  {contentType: "text/plain", body: `{}`, status: 415, code: "body.type"},
		"a form":                {contentType: "application/x-www-form-urlencoded", body: `a=b`, status: 415, code: "body.type"},
		"compressed":            {encoding: "gzip", body: `{}`, status: 415, code: "body.encoding"},
		"nothing":               {body: ``, status: 400, code: "body.empty"},
		"blanks":                {body: " \n", status: 400, code: "body.empty"},
		"cut short":             {body: "{\"name\":\n\"a\"", status: 400, code: "body.json", words: "line 2"},
		"malformed":             {body: "{\n \"name\" 1}", status: 400, code: "body.json", words: "line 2, column 9"},
		"a second value":        {body: `{} {}`, status: 400, code: "body.json"},
		"trailing text":         {body: `{} x`, status: 400, code: "body.json"},
		"a member twice":        {body: `{"name":"a","name":"b"}`, status: 400, code: "body.json", words: `"name" twice`},
		"twice by an escape":    {body: `{"name":"a","na\u006de":"b"}`, status: 400, code: "body.json"},
		"twice below":           {body: `{"a":[{"b":{"c":1,"c":2}}]}`, status: 400, code: "body.json"},
		"twice, but elsewhere":  {body: `{"a":[{"b":1},{"b":2}],"b":{"a":1}}`},
		"a value like a member": {body: `{"name":"name","a":["name","name"]}`},
		"a NUL":                 {body: `{"name":"a\u0000"}`, status: 400, code: "body.json", words: "NUL"},
		"a NUL in a name":       {body: `{"a\u0000":1}`, status: 400, code: "body.json", words: "NUL"},
		"not UTF-8":             {body: "{\"name\":\"\xff\"}", status: 400, code: "body.json", words: "UTF-8"},
		"deep enough":           {body: `{"a":` + deep(maxDepth-1) + `}`},
		"too deep":              {body: `{"a":` + deep(maxDepth) + `}`, status: 400, code: "body.json", words: "deeper"},
		"far too deep":          {body: deep(50000), status: 400, code: "body.json"},
		"another type":          {body: `{"name":{"a":1}}`, status: 400, code: "body.field", words: "a string"},
		"too large":             {body: `{"name":"` + strings.Repeat("a", 200000) + `"}`, status: 413, code: "body.too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/x", io.NopCloser(strings.NewReader(c.body)))
			switch c.contentType {
			case "":
				r.Header.Set("Content-Type", JSON)
			case "-":
			default:
				r.Header.Set("Content-Type", c.contentType)
			}
			if c.encoding != "" {
				r.Header.Set("Content-Encoding", c.encoding)
			}
			var v struct {
				Name string          `json:"name"`
				N    int             `json:"n"`
				A    json.RawMessage `json:"a"`
				B    json.RawMessage `json:"b"`
			}
			read := ReadJSON
			if c.known {
				read = ReadKnownJSON
			}
			err := read(r, 100<<10, &v)
			if c.status == 0 {
				if err != nil {
					t.Fatalf("error %v, want none", err)
				}
				return
			}
			e, ok := errors.AsType[*sluice.Error](err)
			if !ok || StatusOf(err) != c.status || e.Code != c.code || !strings.Contains(e.Message, c.words) {
				t.Errorf("error = %v, want %d %q with %q", err, c.status, c.code, c.words)
			}
		})
	}
}

// A declared length over the limit is refused without a byte read.
func TestReadBodyLooksAtTheLengthFirst(t *testing.T) {
	r := httptest.NewRequest("POST", "/x", io.NopCloser(unreadable{t}))
	r.ContentLength = 1 << 30
	if _, err := ReadBody(r, 1<<10); StatusOf(err) != 413 {
		t.Errorf("error = %v, want 413", err)
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// What CheckJSON accepts, encoding/json accepts and writes back with the same
// meaning.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[null,true,"x",{"c":{}}]}`, `{"a":1,"a":2}`, `[[[]]]`, `"\u0000"`, `{"a"`, ` 1 `, `1 2`, `nul`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if CheckJSON(data) != nil {
			return
		}
		var v any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckJSON(again); err != nil {
			t.Fatalf("accepted %q, but not its own form %q: %v", data, again, err)
		}
	})
}
