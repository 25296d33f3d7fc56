package policy

import (
	"bytes"
	"unicode/utf8"
)

// CanonicalPath appends to dst the one form of a raw request path that is
// matched, checked by policies and sent on. dst may be raw[:0]: the form is
// never longer.
//
// Percent-encoded unreserved characters (RFC 3986 §2.3) are decoded, other
// encodings get capital digits; nothing else changes, so that %2F stays inside
// its segment. The form of a canonical path is itself.
//
// It returns false for what the gateway and some backend could read in two
// ways: dot segments however they are written, also before a path parameter
// ("..;a") or an encoded slash; empty segments but the last; backslashes and
// control characters, raw or encoded; an encoding that is malformed, not UTF-8,
// or, decoded twice, a dot, slash, backslash, percent sign or control
// character; octets that no path may have (RFC 3986 §3.3).
func CanonicalPath(dst, raw []byte) (path []byte, ok bool) {
	if len(raw) == 0 || raw[0] != '/' {
		return dst, false
	}
	begin := len(dst)
	plain := true // nothing that needs a second look
	last := byte(0)
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '%':
			n, ok := 0, false
			if dst, n, ok = appendEncoded(dst, raw[i:]); !ok {
				return dst, false
			}
			plain, last = false, c
			i += n
			continue
		case c == '/' && last == '/', !isPathByte(c):
			return dst, false
		case c == ';', c == '.' && last == '/':
			plain = false
		}
		dst = append(dst, c)
		last = c
		i++
	}
	return dst, plain || unambiguous(dst[begin:])
}

// appendEncoded appends the canonical form of the character that b begins with
// percent-encoded, and returns how much of b that was.
func appendEncoded(dst, b []byte) (_ []byte, n int, ok bool) {
	c, ok := unhex(b)
	switch {
	case !ok, isControl(c), c == '\\':
		return dst, 0, false
	case isUnreserved(c):
		return append(dst, c), 3, true
	case c < utf8.RuneSelf:
		return appendHex(dst, c), 3, true
	}
	var encoded [utf8.UTFMax]byte
	length := 0
	for length < len(encoded) {
		if encoded[length], ok = unhex(b[3*length:]); !ok {
			break
		}
		length++
	}
	r, size := utf8.DecodeRune(encoded[:length])
	if r == utf8.RuneError && size <= 1 || r < 0xa0 { // not UTF-8; a C1 control
		return dst, 0, false
	}
	for _, c := range encoded[:size] {
		dst = appendHex(dst, c)
	}
	return dst, 3 * size, true
}

// unambiguous looks for dot segments and double encodings in a path whose
// encodings are in canonical form.
func unambiguous(path []byte) bool {
	for rest := path[1:]; rest != nil; {
		var segment []byte
		segment, rest = cut(rest, "/")
		if name, parameters := cut(segment, ";"); parameters != nil && len(name) == 0 {
			return false // empty for a backend that drops the parameters
		}
		for segment != nil {
			var piece []byte
			piece, segment = cut(segment, "%2F")
			piece, _ = cut(piece, ";")
			piece, _ = cut(piece, "%3B")
			if string(piece) == "." || string(piece) == ".." {
				return false
			}
		}
	}
	for {
		i := bytes.Index(path, []byte("%25"))
		if i < 0 {
			return true
		}
		path = path[i+3:]
		if len(path) < 2 {
			return true
		}
		switch c, ok := unhexDigits(path[0], path[1]); {
		case ok && (isControl(c) || c == '.' || c == '/' || c == '\\' || c == '%'):
			return false
		}
	}
}

// WithoutParameters appends path to dst without the parameters of its segments
// (";a=b"), as backends read it that know them.
func WithoutParameters(dst, path []byte) []byte {
	parameter := false
	for _, c := range path {
		switch c {
		case ';':
			parameter = true
		case '/':
			parameter = false
		}
		if !parameter {
			dst = append(dst, c)
		}
	}
	return dst
}

// cut returns what stands before sep, and what follows it; nil where there is
// no sep.
func cut(b []byte, sep string) (before, after []byte) {
	if i := bytes.Index(b, []byte(sep)); i >= 0 {
		return b[:i], b[i+len(sep):]
	}
	return b, nil
}

// isPathByte reports whether c may stand in a path as it is: a slash or what
// RFC 3986 §3.3 calls pchar.
func isPathByte(c byte) bool {
	switch c {
	case '/', ':', '@', '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '=':
		return true
	}
	return isUnreserved(c)
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func isControl(c byte) bool { return c < 0x20 || c == 0x7f }

// unhex returns the octet that b begins with percent-encoded.
func unhex(b []byte) (byte, bool) {
	if len(b) < 3 || b[0] != '%' {
		return 0, false
	}
	return unhexDigits(b[1], b[2])
}

func unhexDigits(high, low byte) (byte, bool) {
	h, ok1 := hexDigit(high)
	l, ok2 := hexDigit(low)
	return h<<4 | l, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func appendHex(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}
