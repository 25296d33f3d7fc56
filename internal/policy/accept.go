package policy

import "bytes"

// Format is the form of a fault's body.
type Format int

// Formats.
const (
	JSON           Format = iota
	ApplicationXML        // XML as application/xml
	TextXML               // the same as text/xml
)

// ContentType returns the value of Content-Type that belongs to the format.
func (f Format) ContentType() string {
	switch f {
	case ApplicationXML:
		return "application/xml; charset=utf-8"
	case TextXML:
		return "text/xml; charset=utf-8"
	}
	return "application/json; charset=utf-8"
}

// mediaTypes are the types that faults can have, by Format.
var mediaTypes = [...]struct{ kind, subtype string }{
	JSON: {"application", "json"}, ApplicationXML: {"application", "xml"}, TextXML: {"text", "xml"},
}

// Accepted returns the form that the Accept fields of a request ask for (RFC
// 9110 §12.5.1): XML where it is preferred over JSON, else JSON, also where
// neither is wanted. Of several ranges that a type falls into the most specific
// gives its weight. Media ranges that are malformed are passed over; parameters
// but the weight make no difference.
func Accepted(fields Fields) Format {
	var best [len(mediaTypes)]struct{ specific, weight int }
	for _, f := range fields {
		if !EqualFold(f.Name, "accept") {
			continue
		}
		for rest := f.Value; rest != nil; {
			var element []byte
			element, rest = cutQuoted(rest, ',')
			kind, subtype, weight, ok := parseRange(element)
			if !ok {
				continue
			}
			for i, t := range mediaTypes {
				specific := 0 // 1: */*, 2: application/*, 3: the type itself
				switch {
				case string(kind) == "*" && string(subtype) == "*":
					specific = 1
				case EqualFold(kind, t.kind) && string(subtype) == "*":
					specific = 2
				case EqualFold(kind, t.kind) && EqualFold(subtype, t.subtype):
					specific = 3
				}
				if b := &best[i]; specific > b.specific || specific > 0 && specific == b.specific && weight > b.weight {
					b.specific, b.weight = specific, weight
				}
			}
		}
	}
	format := JSON
	for _, f := range [...]Format{ApplicationXML, TextXML} {
		if best[f].weight > best[format].weight {
			format = f
		}
	}
	return format
}

// parseRange returns what a media range with parameters says. The weight is in
// thousandths.
func parseRange(element []byte) (kind, subtype []byte, weight int, ok bool) {
	name, parameters := cutQuoted(element, ';')
	kind, subtype, ok = bytes.Cut(trim(name), []byte{'/'})
	if !ok || !isToken(kind) || !isToken(subtype) {
		return nil, nil, 0, false
	}
	weight = 1000
	for parameters != nil {
		var p []byte
		p, parameters = cutQuoted(parameters, ';')
		if p = trim(p); HasPrefixFold(p, "q=") {
			if weight, ok = parseWeight(p[len("q="):]); !ok {
				return nil, nil, 0, false
			}
		}
	}
	return kind, subtype, weight, true
}

// parseWeight returns a qvalue (RFC 9110 §12.4.2) in thousandths.
func parseWeight(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > len("0.000") || b[0] != '0' && b[0] != '1' || len(b) > 1 && b[1] != '.' {
		return 0, false
	}
	weight := int(b[0]-'0') * 1000
	for i, unit := 2, 100; i < len(b); i, unit = i+1, unit/10 {
		if b[i] < '0' || b[i] > '9' {
			return 0, false
		}
		weight += int(b[i]-'0') * unit
	}
	return weight, weight <= 1000
}

// cutQuoted returns what stands before the first sep outside a quoted string
// (RFC 9110 §5.6.4), and what follows it; nil where there is no sep.
func cutQuoted(b []byte, sep byte) (before, after []byte) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && c == sep:
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// isToken reports whether b is a token (RFC 9110 §5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
