package policy_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluice-api/sluice/internal/policy"
)

func TestAccepted(t *testing.T) {
	const json, xml, text = policy.JSON, policy.ApplicationXML, policy.TextXML
	for accept, want := range map[string]policy.Format{
		"":                                   json,
		"*/*":                                json,
		"application/json":                   json,
		"application/xml":                    xml,
		"Application/XML":                    xml,
		"text/xml":                           text,
		"text/*":                             text,
		"application/*":                      json,
		"text/html":                          json,
		"application/xml, application/json":  json,
		"application/json, application/xml":  json,
		"application/xml, text/xml":          xml,
		"text/xml, application/xml;q=0.9":    text,
		"application/json;q=0.9, text/xml":   text,
		"application/xml;q=0.5, */*;q=0.4":   xml,
		"application/xml;q=0.5, */*;q=0.5":   json,
		"application/xml;q=0.5, */*":         json,
		"application/json;q=0, */*":          xml,
		"application/xml;q=0, */*;q=0.1":     json,
		"application/*;q=0.2, text/*;q=0.3":  text,
		"application/xml;q=0":                json,
		"application/xml ; q=0.001":          xml,
		"application/xml;Q=0.7,\t*/*;q=0.69": xml,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": xml, // browsers
		`application/json;a="x,application/xml";q=0.2`:                    json,
		`application/xml;a="\",;q=0";q=0.2, application/json;q=0.1`:       xml,
		"application/xml;charset=utf-8":                                   xml,
		"application/xml;q=2":                                             json,
		"application/xml;q=":                                              json,
		"application/xml;q=0.1234":                                        json,
		"application/xml;q=1.001":                                         json,
		"application/xml;q=-1":                                            json,
		"application/xml/x":                                               json,
		"application":                                                     json,
		"*/xml":                                                           json,
		",,application/xml,,":                                             xml,
		"application/xml\napplication/json;q=0":                           xml, // two fields
		"application/xml;q=0.1\napplication/json":                         json,
	} {
		var f policy.Fields
		f.Add("User-Agent", "application/xml")
		for value := range strings.Lines(accept) {
			f.Add("Accept", strings.TrimSuffix(value, "\n"))
		}
		if got := policy.Accepted(f); got != want {
			t.Errorf("Accepted(%q) = %v, want %v", accept, got, want)
		}
	}
	if got := policy.Accepted(nil); got != json {
		t.Errorf("without Accept: %v, want JSON", got)
	}
}

// FuzzAccepted checks that a list means the same as its elements in fields of
// their own, and that XML is never the answer to one that does not name it or a
// range around it.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{
		"*/*", "application/xml;q=0.9, */*;q=0.8", `a/b;c="\\\"",text/xml`, "text/*;q=0.001", `text/xml;"`, "application/json;q=0,*/*", ";=,/",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		fields := policy.Fields{{Name: []byte("Accept"), Value: value}}
		got := policy.Accepted(fields)
		lower := bytes.ToLower(value)
		if got != policy.JSON && !bytes.Contains(lower, []byte("xml")) && !bytes.Contains(lower, []byte("/*")) {
			t.Fatalf("%q is answered with %s", value, got.ContentType())
		}
		fields = append(fields, policy.Field{Name: []byte("accept"), Value: value})
		if again := policy.Accepted(fields); again != got {
			t.Fatalf("%q is answered with %v, sent twice with %v", value, got, again)
		}
		if bytes.IndexByte(value, '"') >= 0 {
			return
		}
		var split policy.Fields
		for element := range bytes.SplitSeq(value, []byte{','}) {
			split = append(split, policy.Field{Name: []byte("Accept"), Value: element})
		}
		if apart := policy.Accepted(split); apart != got {
			t.Fatalf("%q is answered with %v, in fields of their own with %v", value, got, apart)
		}
	})
}
