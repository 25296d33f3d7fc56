package openapi

import (
	"strings"
	"unicode"

	"github.com/sluice-api/sluice/internal/policy"
)

// canonical returns a form in which paths that stand for the same requests are
// equal: names of variables make no difference, nor do percent-encodings that a
// gateway reads as the same. problem says what keeps gateways from serving it,
// after the path.
func canonical(path string) (form, problem string) {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "", "does not begin with a slash"
	case len(path) > maxPath:
		return "", "is longer than 8000 bytes"
	case strings.ContainsAny(path, "?#"):
		return "", "has a query or a fragment; a path ends before them"
	case strings.ContainsFunc(path, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }):
		return "", "has a blank or a control character in it"
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		if s == "" && i < len(segments)-1 {
			return "", "has an empty segment"
		}
		if s == "*" && i == len(segments)-1 {
			continue
		}
		if segments[i], problem = segment(s); problem != "" {
			return "", problem
		}
	}
	return "/" + strings.Join(segments, "/"), ""
}

// segment returns the form of one segment, in which {} stands for a variable.
func segment(s string) (form, problem string) {
	var b strings.Builder
	variable := false // the last piece was one
	plain := !strings.ContainsAny(s, "{}*")
	for s != "" {
		i := strings.IndexAny(s, "{}*")
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			text, ok := literal(s[:i], plain)
			if !ok {
				return "", "can be read in more than one way"
			}
			b.WriteString(text)
			s, variable = s[i:], false
			continue
		}
		end := 1
		if s[0] != '*' {
			if end = strings.IndexByte(s, '}') + 1; end < 3 || strings.IndexByte(s[1:end], '{') >= 0 {
				return "", "has braces that do not hold a name"
			}
		}
		if variable {
			return "", "has two variables with nothing between them"
		}
		b.WriteString("{}")
		s, variable = s[end:], true
	}
	return b.String(), ""
}

// literal returns the canonical form of what stands in a path beside variables.
// Characters that a request must encode may stand there as they are.
func literal(s string, whole bool) (string, bool) {
	const upper = "0123456789ABCDEF"
	raw := []byte("/")
	if !whole {
		raw = []byte("/x") // a dot beside a variable is no dot segment
	}
	lead := len(raw)
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`|[]", c) >= 0 {
			raw = append(raw, '%', upper[c>>4], upper[c&15])
		} else {
			raw = append(raw, c)
		}
	}
	path, ok := policy.CanonicalPath(nil, raw)
	if !ok {
		return "", false
	}
	return string(path[lead:]), true
}
