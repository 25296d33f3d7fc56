package policy_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-api/sluice/internal/policy"
)

func TestCanonicalPath(t *testing.T) { // CONTRACT 10-5
	for raw, want := range map[string]string{
		"/":                            "/",
		"/weather/1.0/today":           "/weather/1.0/today",
		"/weather/1.0/":                "/weather/1.0/",
		"/a%62c/%7euser/%2D%2e%5F":     "/abc/~user/-._",
		"/a%2fb":                       "/a%2Fb",
		"/proxy/https%3a%2f%2fx%2fy":   "/proxy/https%3A%2F%2Fx%2Fy",
		"/caf%c3%a9":                   "/caf%C3%A9",
		"/%e2%82%ac/%F0%9F%98%80":      "/%E2%82%AC/%F0%9F%98%80",
		"/%e2%82%ac%41":                "/%E2%82%ACA",
		"/a;v=1/b":                     "/a;v=1/b",
		"/a%3bv":                       "/a%3Bv",
		"/.../..a/a../.a":              "/.../..a/a../.a",
		"/a%20b":                       "/a%20b",
		"/q/%2520":                     "/q/%2520",
		"/50%25":                       "/50%25",
		"/50%25x":                      "/50%25x",
		"/!$&'()*+,=:@":                "/!$&'()*+,=:@",
		"/admin.":                      "/admin.",
		"/ADMIN":                       "/ADMIN",
		"/" + strings.Repeat("a", 500): "/" + strings.Repeat("a", 500),
	} {
		got, ok := policy.CanonicalPath(nil, []byte(raw))
		if !ok || string(got) != want {
			t.Errorf("CanonicalPath(%q) = %q, %v, want %q", raw, got, ok, want)
		}
		in := []byte(raw)
		if got, ok = policy.CanonicalPath(in[:0], in); !ok || string(got) != want {
			t.Errorf("CanonicalPath(%q) in place = %q, %v, want %q", raw, got, ok, want)
		}
	}
}

func TestAmbiguousPath(t *testing.T) { // CONTRACT 10-5
	for _, raw := range []string{
		"", "*", "a", "%2Fa", "http://a/b",
		"//", "//a", "/a//b", "/a//",
		"/.", "/..", "/./a", "/a/..", "/a/../b", "/a/%2e", "/a/%2E%2e/b", "/a/.%2e",
		"/a%2F..", "/a%2F%2e%2e", "/..%2fadmin", "/a%2f.%2Fb", "/%2e%2e%2f",
		"/..;/a", "/..;a=b/c", "/.;", "/%2e%2e;x", "/..%3b/a", "/a%2F..;x", "/;a", "/a/;/b",
		`/a\b`, `/..\a`, "/a%5cb", "/a%5C..",
		"/%00", "/a%00.html", "/%0d%0a", "/a%1f", "/%7f", "/a\x00", "/a\r", "/a b", "/\x7f", "/%C2%85",
		"/%", "/%2", "/%zz", "/a%4", "/%%32%65",
		"/%252e", "/%252E%252e/", "/%252f", "/%255c", "/%2500", "/%25252e", "/%252e%252e%252fetc", "/%25%32%65",
		"/%c0%ae", "/%c0%af", "/%e0%80%af", "/%f0%80%80%af", "/%ff", "/%c3", "/%c3/a", "/%ed%a0%80", "/%80",
		"/caf\xc3\xa9", "/a#b", "/a?b", `/"`, "/<", "/>", "/^", "/`", "/{a}", "/a|b", "/[a]",
	} {
		if got, ok := policy.CanonicalPath(nil, []byte(raw)); ok {
			t.Errorf("CanonicalPath(%q) = %q, want it refused", raw, got)
		}
	}
}

func TestWithoutParameters(t *testing.T) {
	for path, want := range map[string]string{"/a/b": "/a/b", "/a;x=1/b;y": "/a/b", "/a;": "/a", "/;a/b": "//b"} {
		if got := policy.WithoutParameters(nil, []byte(path)); string(got) != want {
			t.Errorf("WithoutParameters(%q) = %q, want %q", path, got, want)
		}
	}
}

// FuzzCanonicalPath checks that a canonical path is its own canonical form, says
// the same as the raw one, and that no further decoding, nor the dropping of
// path parameters, makes a dot segment or a slash appear in it.
func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{
		"/weather/1.0/today", "/a%2Fb", "/%252e", "/..;/a", "/caf%c3%a9", "/%25%32%65", "/a%2f%2e%2e", "/a;b/c", "/%2525", "/%c0%ae", "/a//b",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		path, ok := policy.CanonicalPath(nil, raw)
		if !ok {
			return
		}
		if len(path) > len(raw) || path[0] != '/' {
			t.Fatalf("%q became %q", raw, path)
		}
		again, ok := policy.CanonicalPath(nil, path)
		if !ok || !bytes.Equal(again, path) {
			t.Fatalf("%q became %q, and that %q, %v", raw, path, again, ok)
		}
		first, err1 := url.PathUnescape(string(raw))
		decoded, err2 := url.PathUnescape(string(path))
		if err1 != nil || err2 != nil || first != decoded {
			t.Fatalf("%q says %q, %v; its form %q says %q, %v", raw, first, err1, path, decoded, err2)
		}
		if !utf8.ValidString(decoded) {
			t.Fatalf("%q decodes to text that is not UTF-8", path)
		}
		safe(t, path, string(path), true)
		safe(t, path, decoded, false) // slashes inside segments may stand beside others
		safe(t, path, string(policy.WithoutParameters(nil, path)), true)
		safe(t, path, string(policy.WithoutParameters(nil, []byte(decoded))), false)
		if twice, err := url.PathUnescape(decoded); err == nil {
			for _, s := range []string{".", "/", `\`, "\x00"} {
				if strings.Count(twice, s) > strings.Count(decoded, s) {
					t.Fatalf("%q, decoded twice, has another %q", path, s)
				}
			}
		}
	})
}

func safe(t *testing.T, path []byte, reading string, filled bool) {
	segments := strings.Split(reading[1:], "/")
	for i, s := range segments {
		if s == "." || s == ".." || strings.ContainsAny(s, "\\\x00\r\n") || filled && s == "" && i < len(segments)-1 {
			t.Fatalf("%q can be read as %q", path, reading)
		}
	}
}
