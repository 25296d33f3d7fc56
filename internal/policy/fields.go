package policy

// Fields is a list of header or trailer fields in the order they were sent. A
// name may stand in it more than once. Names compare without regard to case.
type Fields []Field

// Field is one field line.
type Field struct{ Name, Value []byte }

// Value returns the value of the first field with the name.
func (f Fields) Value(name string) ([]byte, bool) {
	for i := range f {
		if EqualFold(f[i].Name, name) {
			return f[i].Value, true
		}
	}
	return nil, false
}

// Add appends a field.
func (f *Fields) Add(name, value string) {
	*f = append(*f, Field{[]byte(name), []byte(value)})
}

// Set removes all fields with the name and appends one.
func (f *Fields) Set(name, value string) {
	f.Remove(name)
	f.Add(name, value)
}

// Remove removes all fields with the name.
func (f *Fields) Remove(name string) {
	kept := (*f)[:0]
	for _, x := range *f {
		if !EqualFold(x.Name, name) {
			kept = append(kept, x)
		}
	}
	*f = kept
}

// EqualFold compares a with the ASCII text b without regard to the case of
// ASCII letters. Other bytes must be the same.
func EqualFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// HasPrefixFold reports whether a begins with the ASCII text prefix, without
// regard to the case of ASCII letters.
func HasPrefixFold(a []byte, prefix string) bool {
	return len(a) >= len(prefix) && EqualFold(a[:len(prefix)], prefix)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// NextElement returns the first element of a comma-separated list value (RFC
// 9110 §5.6.1) without the white space around it, and what follows the comma.
// Empty elements are returned as such.
func NextElement(list []byte) (element, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}

// trim removes optional white space (RFC 9110 §5.6.3) at both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
