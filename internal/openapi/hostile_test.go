package openapi

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/sluice-api/sluice"
)

const (
	head = "openapi: 3.0.3\ninfo: {title: A, version: '1'}\n"
	ok   = "{responses: {'200': {description: ok}}}"
)

// aliases is a document whose aliases multiply.
func aliases() string {
	var doc strings.Builder
	doc.WriteString(head + "paths: {}\nx-0: &a0 [a,a,a,a,a,a,a,a,a]\n")
	for i := 1; i < 10; i++ {
		doc.WriteString(fmt.Sprintf("x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ",")))
	}
	return doc.String()
}

// manyPaths is a document with n operations.
func manyPaths(n int) string {
	var b strings.Builder
	b.WriteString(head + "paths:\n")
	for i := range n {
		fmt.Fprintf(&b, "  /p%d: {get: %s}\n", i, ok)
	}
	return b.String()
}

// schemas is a document with n schemas, each of which f writes.
func schemas(n int, f func(i int) string) string {
	var b strings.Builder
	b.WriteString(head + "paths: {}\ncomponents:\n  schemas:\n")
	for i := range n {
		fmt.Fprintf(&b, "    S%d: %s\n", i, f(i))
	}
	return b.String()
}

// inJSON is a document with members of the root.
func inJSON(members string) string {
	return `{"openapi":"3.0.3","info":{"title":"A","version":"1"},` + members + `}`
}

func utf16Of(s string, order binary.AppendByteOrder, bom bool) string {
	var b []byte
	if bom {
		b = order.AppendUint16(b, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// hostile holds documents by the case they belong to; at and want are where and
// what the first problem is, "" for a document that is accepted. more are
// further problems that must be there.
var hostile = map[string]struct {
	document string
	at, want string
	more     []string
}{
	"A1 O1 billion laughs":       {aliases(), "line 9, column 39", "too many aliases", nil},
	"A1 O1 an alias of itself":   {head + "x-a: &a [*a]\npaths: {}\n", "line 3, column 10", "stands inside of what it names", nil},
	"A1 O1 an alias of nothing":  {head + "x-a: *b\npaths: {}\n", "line 1, column 1", "unknown anchor", nil},
	"A1 a few aliases":           {head + "x-a: &a [1]\nx-b: [*a, *a]\npaths: {}\n", "", "", nil},
	"A1 long texts by aliases":   {head + "paths: {}\nx-a: &a " + strings.Repeat("a", 1<<20) + "\nx-b: [" + strings.Repeat("*a,", 100) + "]\n", "line 1, column 1", "too many aliases, or is too large", nil},
	"A2 O1 JSON 200,000 deep":    {inJSON(`"paths":{},"x-a":` + strings.Repeat("[", 200000) + strings.Repeat("]", 200000)), "line 1, column 1071", "deeper than 1000", nil},
	"A2 O1 YAML 50,000 deep":     {head + "paths: {}\nx-a: " + strings.Repeat("[", 50000) + strings.Repeat("]", 50000), "line 4, column 1", "depth", nil},
	"A2 O1 YAML in blocks":       {head + "paths: {}\nx-a:\n  " + strings.Repeat("- ", 50000) + "1", "", "depth", nil},
	"A2 a little too deep":       {head + "paths: {}\nx-a: " + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), "line 4, column 1006", "deeper than 1000", nil},
	"A3 O2 a file":               {head + "paths: {/a: {$ref: 'file:///etc/passwd'}}", "line 3, column 20", `"file:///etc/passwd" leads out`, nil},
	"A3 O2 a file above":         {head + "paths: {/a: {get: {parameters: [{$ref: '../../p.yaml'}], responses: {}}}}", "line 3, column 40", `"../../p.yaml" leads out`, nil},
	"A3 O2 a file among schemas": {head + "paths: {}\ncomponents: {schemas: {A: {$ref: 'schemas.json#/A'}}}", "line 4, column 34", "schemas.json", nil},
	"A3 O2 percent-encoded":      {head + "paths: {}\ncomponents: {schemas: {A: {$ref: 'file%3A%2F%2F/etc/passwd'}}}", "line 4, column 34", "leads out", nil},
	"A3 O2 in an example":        {head + "paths: {}\nx-a: {example: {$ref: /etc/passwd}}", "line 4, column 23", "leads out", nil},
	"A3 O2 two of them":          {head + "paths: {}\ncomponents: {schemas: {A: {$ref: a.json}, B: {$ref: '//b/c'}}}", "line 4, column 34", "a.json", []string{`line 4, column 53: The reference "//b/c" leads out`}},
	"A3 a property named $ref":   {head + "paths: {}\ncomponents: {schemas: {A: {properties: {$ref: {type: string}}}}}", "", "", nil},
	"A4 O2 addresses":            {head + "paths: {}\ncomponents: {schemas: {A: {$ref: 'http://[::1]/a'}, B: {$ref: 'http://2130706433/'}}}", "line 4, column 34", "[::1]", []string{"2130706433"}},
	"A7 O3 a schema of itself":   {schemas(1, func(int) string { return "{$ref: '#/components/schemas/S0'}" }), "", "", nil},
	"A7 O3 schemas of each other": {schemas(2, func(i int) string {
		return fmt.Sprintf("{required: [a], properties: {a: {$ref: '#/components/schemas/S%d'}}}", 1-i)
	}), "", "", nil},
	"A7 O3 doubling to 2^40": {schemas(41, func(i int) string {
		return fmt.Sprintf("{properties: {a: {$ref: '#/components/schemas/S%d'}, b: {$ref: '#/components/schemas/S%[1]d'}}}", min(i+1, 40))
	}), "", "", nil},
	"A7 O3 a chain of 50,000": {schemas(50000, func(i int) string {
		return fmt.Sprintf("{properties: {a: {$ref: '#/components/schemas/S%d'}}}", (i+1)%50000)
	}), "", "", nil},
	"A7 O3 each of 100 of all": {schemas(100, func(int) string {
		return "{oneOf: [" + strings.Repeat("{$ref: '#/components/schemas/S7'},", 100) + "]}"
	}), "", "", nil},
	"A7 O3 a path of itself":         {head + "paths: {/a: {$ref: '#/paths/~1a'}}", "line 3, column 20", "refers to itself", nil},
	"A7 O3 paths of each other":      {head + "paths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}}", "line 3, column 20", "refers to itself", nil},
	"A7 a reference to nothing":      {head + "paths: {}\ncomponents: {schemas: {A: {$ref: '#/components/schemas/B'}}}", "line 4, column 34", "leads nowhere", nil},
	"A10 O11 nothing":                {"", "line 1, column 1", "is empty", nil},
	"A10 O11 blanks":                 {" \r\n\t\n", "line 1, column 1", "is empty", nil},
	"A10 O11 only a comment":         {"# nothing\n", "line 1, column 1", "is empty", nil},
	"A10 O11 a BOM alone":            {"\ufeff", "line 1, column 1", "is empty", nil},
	"A10 binary":                     {"\x7fELF\x02\x01\x01\x00\x00", "line 1, column 1", "control character", nil},
	"A10 a ZIP archive":              {"PK\x03\x04\x14\x00", "line 1, column 1", "a ZIP archive", nil},
	"A10 gzip":                       {"\x1f\x8b\x08\x00", "line 1, column 1", "a gzip file", nil},
	"A10 XML":                        {"<?xml version='1.0'?><definitions/>", "line 1, column 1", "XML or HTML", nil},
	"A10 not UTF-8":                  {head + "paths: {}\nx-a: \xe9t\xe9\n", "line 4, column 6", "not UTF-8", nil},
	"A10 prose":                      {"Dear Sir or Madam,", "line 1, column 1", "is text, not an OpenAPI document", nil},
	"A10 O11 a list":                 {"[]", "line 1, column 1", "is a list, not an OpenAPI document", nil},
	"A10 O11 a list in YAML":         {"- a\n", "line 1, column 1", "is a list, not an OpenAPI document", nil},
	"A10 null":                       {"null", "line 1, column 1", "is true, false or null", nil},
	"A10 a number":                   {"5", "line 1, column 1", "is a number", nil},
	"A10 an object":                  {`{"a":1}`, "line 1, column 1", "no key openapi", nil},
	"A10 O11 AsyncAPI":               {"asyncapi: 2.6.0\ninfo: {title: A, version: '1'}\n", "line 1, column 11", "AsyncAPI 2.6.0", nil},
	"A10 O11 Swagger 1.2":            {`{"swaggerVersion":"1.2","apis":[]}`, "line 1, column 19", "Swagger 1.2", nil},
	"A10 O11 another Swagger":        {"swagger: 3\n", "line 1, column 10", "Swagger \"3\" is not taken", nil},
	"A10 O11 OpenAPI 3.2":            {strings.Replace(head, "3.0.3", "3.2.0", 1) + "paths: {}", "line 1, column 10", `OpenAPI "3.2.0" is not taken; 2.0, 3.0 and 3.1 are`, nil},
	"A10 O11 OpenAPI 2.0":            {"swagger: '2.0'\ninfo: {title: A, version: '1'}\npaths: {}\n", "", "", nil},
	"A10 no paths":                   {head, "line 1, column 1", "has no paths", nil},
	"A10 paths in a list":            {head + "paths: []", "line 3, column 8", "has no paths", nil},
	"A10 no info":                    {"openapi: 3.0.0\npaths: {}", "line 1, column 1", "no object info", nil},
	"A10 two documents":              {head + "paths: {}\n---\na: b\n", "line 5, column 1", "more than one document", nil},
	"A10 a tab that indents":         {head + "paths:\n\t/a: {}\n  \t/b: {}\n", "line 4, column 1", "A tab indents", []string{"line 5, column 3: A tab indents"}},
	"A10 malformed YAML":             {head + "paths: {\n", "line 3, column 1", "YAML is malformed", nil},
	"A10 malformed JSON":             {"{\"openapi\": \"3.0.3\",\n \"é\": 1,, \"paths\": {}}", "line 2, column 9", "a key in double quotes", nil},
	"A10 JSON cut short":             {`{"openapi": "3.0.3", "paths": {`, "line 1, column 32", "a key in double quotes", nil},
	"A10 JSON and more":              {inJSON(`"paths":{}`) + " {}", "line 1, column 67", "something follows", nil},
	"A10 half a character":           {inJSON(`"paths":{},"x-a":"\ud800"`), "line 1, column 72", "no escape that there is", nil},
	"A10 flow style with 8 blanks":   {"{openapi: 3.0.3, info: {title: A, version: '1'},\n        paths: {}}", "", "", nil},
	"A10 everything at once":         {"openapi: 3.0.3\ninfo: {title: [], version: ''}\npaths:\n  a: {}\n  /b: {GET: {}, trace: {}, get: 5}\n", "line 2, column 15", "The title", []string{"line 2, column 28: The version", "line 4, column 3: The path \"a\" does not begin", "line 5, column 8: Verbs are written in lower case", "line 5, column 17: The verb TRACE", "line 5, column 33: GET"}},
	"A11 O5 5,000 operations":        {manyPaths(5000), "", "", nil},
	"A11 O5 10,000 operations":       {manyPaths(10000), "", "", nil},
	"A11 O5 10,001 operations":       {manyPaths(10001), "line 10004, column 13", "more than 10000 operations", nil},
	"A11 O5 1,000 path parameters":   {inJSON(`"paths":{"` + strings.Repeat("/{a}", 1000) + `":{"get":{"responses":{}}}}`), "", "", nil},
	"A11 O5 1,000 parameters":        {head + "paths: {/a: {get: {parameters: [" + strings.Repeat("{name: a, in: query},", 1000) + "], responses: {}}}}", "", "", nil},
	"A11 O5 a path of 64 KB":         {inJSON(`"paths":{"/` + strings.Repeat("a", 64<<10) + `":{"get":{"responses":{}}}}`), "line 1, column 64", "longer than 8000 bytes", nil},
	"A11 O5 1 MB of description":     {strings.Replace(head, "}", ", description: '"+strings.Repeat("d", 1<<20)+"'}", 1) + "paths: {}", "", "", nil},
	"A11 O5 9 MB of example":         {inJSON(`"paths":{},"x-e":"` + strings.Repeat("e", 9<<20) + `"`), "", "", nil},
	"A6 O5 more than 10 MB":          {inJSON(`"paths":{},"x-e":"` + strings.Repeat("e", 10<<20) + `"`), "line 1, column 1", "more than 10 MB", nil},
	"A11 2,000,001 values":           {inJSON(`"paths":{},"x":[` + strings.TrimSuffix(strings.Repeat("1,", 2_000_000), ",") + `]`), "line 1, column 4000045", "more than 2000000 values", nil},
	"A11 YAML with 4,000,000 values": {head + "paths: {}\nx: [" + strings.Repeat("1,", 4_000_000) + "]", "line 1, column 1", "more than 600000 values", nil},
	"A11 1,001 scopes":               {head + "paths: {}\ncomponents: {securitySchemes: {a: {type: oauth2, flows: {implicit: {scopes: {" + manyKeys(1001) + "}}}}}}", "line 1, column 1", "more than 1000 scopes", nil},
	"O4 a key twice in YAML":         {head + "paths:\n  /a: {get: " + ok + "}\n  /b: {}\n  /a: {put: " + ok + "}\n", "line 6, column 3", `The key "/a" stands here again; it is in line 4`, nil},
	"O4 a key twice in JSON":         {inJSON("\"paths\":{},\n\"x-a\":1,\n \"x-a\":2"), "line 3, column 2", `"x-a" stands here again; it is in line 2`, nil},
	"O4 a key twice by escapes":      {inJSON(`"paths":{"/a":{"get":{},"g\u0065t":{}}}`), "line 1, column 79", `"get" stands here again`, nil},
	"O4 many keys, one twice":        {inJSON(`"paths":{},"x":{` + jsonKeys(100) + `,"s5":1}`), "line 1, column 1261", `"s5" stands here again`, nil},
	"O4 a NUL in a name":             {inJSON(`"paths":{"/a":{"get":{"operationId":"a\u0000b","responses":{}}}}`), "line 1, column 91", "control character", []string{"NUL"}},
	"O4 a NUL in a key":              {inJSON(`"paths":{},"a\u0000":1`), "line 1, column 66", "control character", nil},
	"O4 a control character itself":  {head + "paths: {}\nx-a: \x07\n", "line 4, column 6", "control character U+0007", nil},
	"O4 a line break in a path":      {inJSON(`"paths":{"/a\nb":{}}`), "line 1, column 64", "control character", nil},
	"O6 a pattern that explodes":     {head + "paths: {}\ncomponents: {schemas: {A: {type: string, pattern: '^(a+)+$'}}}", "", "", nil},
	"O6 a pattern that looks ahead":  {head + "paths: {}\ncomponents: {schemas: {A: {type: string, pattern: '^(?!a)'}}}", "line 4, column 51", "cannot be tested: invalid or unsupported Perl syntax", nil},
	"O6 a pattern that is large":     {head + "paths: {}\ncomponents: {schemas: {A: {pattern: '" + strings.Repeat("a", 5000) + "'}}}", "line 4, column 37", "more than 4096 bytes", nil},
	"O6 a pattern that repeats":      {head + "paths: {}\ncomponents: {schemas: {A: {pattern: '((a{1000}){1000}){1000}'}}}", "line 4, column 37", "cannot be tested", nil},
	"O6 patterns of properties":      {head + "paths: {}\ncomponents: {schemas: {A: {patternProperties: {'(': {}}}}}", "line 4, column 48", "cannot be tested", nil},
	"O6 a property named pattern":    {head + "paths: {}\ncomponents: {schemas: {A: {properties: {pattern: {type: string}}, example: {pattern: '('}}}}", "", "", nil},
	"O7 merge keys":                  {head + "x-a: &a {b: 1}\nx-b: {<<: *a}\npaths: {}\n", "line 4, column 7", "Merge keys", nil},
	"O7 UTF-16, little end first":    {utf16Of(head, binary.LittleEndian, true), "line 1, column 1", "UTF-16", nil},
	"O7 UTF-16, big end first":       {utf16Of(head, binary.BigEndian, true), "line 1, column 1", "UTF-16", nil},
	"O7 UTF-16 without a mark":       {utf16Of(head, binary.LittleEndian, false), "line 1, column 1", "UTF-16", nil},
	"O7 !!binary":                    {head + "x-a: !!binary aGVsbG8=\npaths: {}\n", "line 3, column 6", "The tag \"!!binary\"", nil},
	"O7 !!python":                    {head + "x-a: !!python/object/apply:os.system [ls]\npaths: {}\n", "line 3, column 6", "The tag", nil},
	"O7 a tag of a key":              {head + "!!binary eA==: 1\npaths: {}\n", "line 3, column 1", "The tag", nil},
	"O7 a list for a key":            {head + "? [a]\n: 1\npaths: {}\n", "line 3, column 3", "A key must be a plain text", nil},
	"O8 names of variables":          {head + "paths: {'/{a}': {}, '/{b}': {}}", "line 3, column 21", `"/{b}" stands for the same requests as "/{a}" in line 3`, nil},
	"O8 percent-encoding":            {head + "paths:\n  /a: {}\n  /%61: {}\n", "line 5, column 3", `"/%61" stands for the same requests as "/a" in line 4`, nil},
	"O8 what must be encoded":        {head + "paths:\n  /é: {}\n  /%c3%A9: {}\n", "line 5, column 3", `stands for the same requests as "/é" in line 4`, nil},
	"O8 dot segments":                {head + "paths: {/a/../b: {}, /%2e%2E: {}, '/a/./b': {}}", "line 3, column 9", "more than one way", []string{"line 3, column 22", "line 3, column 35"}},
	"O8 a query":                     {head + "paths: {'/a?b=c': {}, '/a#b': {}}", "line 3, column 9", "a query or a fragment", []string{"line 3, column 23"}},
	"O8 empty segments":              {head + "paths: {//a: {}}", "line 3, column 9", "an empty segment", nil},
	"O8 variables side by side":      {head + "paths: {'/{a}{b}': {}, '/{a': {}, '/{}': {}, '/a}': {}}", "line 3, column 9", "nothing between them", []string{"line 3, column 24", "line 3, column 35", "line 3, column 46"}},
	"O8 paths that only look alike":  {head + "paths: {'/{a}': {}, /a: {}, /a/: {}, '/a%2Fb': {}, '/a/{b}.{c}': {}, '/a/*': {}, /A: {}}", "", "", nil},
	"O9 servers":                     {head + "servers: [{url: 'http://127.0.0.1'}, {url: 'javascript:alert(1)'}, {url: 'http://u:p@h/{v}', variables: {v: {default: '../..'}}}]\npaths: {}\n", "", "", nil},
	"O10 Markdown":                   {strings.Replace(head, "}", ", description: '<script>![](http://t.example.com/i.png)'}", 1) + "paths: {}", "", "", nil},
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "s%d: '',", i)
	}
	return b.String()
}

func jsonKeys(n int) string {
	var b []string
	for i := range n {
		b = append(b, fmt.Sprintf(`"s%d":"abc"`, i))
	}
	return strings.Join(b, ",")
}

// listed returns the problems of an error, with their places.
func listed(err error) (list []string) {
	e, is := err.(*sluice.Error)
	if !is {
		return nil
	}
	if len(e.Problems) == 0 {
		return []string{e.Field + ": " + e.Message}
	}
	for _, p := range e.Problems {
		list = append(list, p.Field+": "+p.Message)
	}
	return list
}

// cpu is the processor time that this process has taken. Other work on the
// machine does not count.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestHostileDocuments(t *testing.T) {
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			start := cpu(t)
			_, err := Read(t.Context(), []byte(c.document))
			if took := cpu(t) - start; took > 2*time.Second && !raceEnabled {
				t.Errorf("it took %s of processor time", took)
			}
			if c.want == "" {
				if err != nil {
					t.Errorf("refused: %q", listed(err))
				}
				return
			}
			got := listed(err)
			if len(got) == 0 || sluice.KindOf(err) != sluice.Invalid {
				t.Fatalf("error = %v, want one of kind invalid", err)
			}
			if c.at != "" && !strings.HasPrefix(got[0], c.at+": ") || !strings.Contains(got[0], c.want) {
				t.Errorf("first problem = %q, want %q at %s", got[0], c.want, c.at)
			}
			if len(got) < 1+len(c.more) || len(got) > maxProblems {
				t.Fatalf("%d problems: %q", len(got), got)
			}
			for i, more := range c.more {
				if !strings.Contains(got[1+i], more) {
					t.Errorf("problem %d = %q, want %q", 2+i, got[1+i], more)
				}
			}
			for _, p := range got {
				if strings.Contains(p, "\n") || !strings.HasPrefix(p, "line ") {
					t.Errorf("problem %q", p)
				}
			}
		})
	}
}

// Of very many problems the first fifty are said.
func TestManyProblems(t *testing.T) {
	_, err := Read(t.Context(), []byte(head+"paths: {"+manyKeys(100_000)+"}"))
	if got := listed(err); len(got) != maxProblems {
		t.Errorf("%d problems", len(got))
	}
}

// A3, A4, O2: nothing that a document names is opened or called. The pipe would
// keep whoever opens it.
func TestReadTouchesNothing(t *testing.T) {
	var calls atomic.Int32
	trap := httptest.NewUnstartedServer(http.NotFoundHandler())
	trap.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			calls.Add(1)
		}
	}
	trap.Start()
	defer trap.Close()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	for _, place := range []string{trap.URL + "/a.yaml", pipe, "file://" + pipe, "../" + filepath.Base(pipe)} {
		for _, document := range []string{
			head + "paths: {/a: {$ref: '" + place + "'}}",
			head + "paths: {}\ncomponents: {schemas: {A: {$ref: '" + place + "#/A'}}}",
			"swagger: '2.0'\ninfo: {title: A, version: '1'}\npaths: {/a: {get: {parameters: [{$ref: '" + place + "'}], responses: {}}}}",
		} {
			if _, err := Read(ctx, []byte(document)); err == nil || !strings.Contains(err.Error(), "leads out") {
				t.Errorf("%s: %v", document, err)
			}
		}
		text := head + "servers: [{url: '" + place + "'}]\nexternalDocs: {url: '" + place + "'}\npaths: {/a: {get: {responses: {'200': {description: ok, " +
			"content: {a/b: {examples: {x: {externalValue: '" + place + "'}}}}}}}}}\ncomponents: {securitySchemes: {a: {type: oauth2, flows: " +
			"{implicit: {authorizationUrl: '" + place + "', tokenUrl: '" + place + "', scopes: {}}}}, b: {type: openIdConnect, openIdConnectUrl: '" + place + "'}}}"
		if _, err := Read(ctx, []byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if n := calls.Load(); n != 0 || ctx.Err() != nil {
		t.Errorf("%d connections were made, %v", n, ctx.Err())
	}
}

// What takes longer than its caller has is given up.
func TestReadEndsInTime(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, document := range []string{bicycles, manyPaths(10000), inJSON(`"paths":{}`)} {
		if _, err := Read(ctx, []byte(document)); err == nil || !strings.Contains(err.Error(), "takes too long") {
			t.Errorf("%.20s: %v", document, err)
		}
	}
}
