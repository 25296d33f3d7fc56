package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// oneOf hands the text of v on if it is among the choices.
func (d *Draft) oneOf(v Value, use func(string), choices ...string) {
	switch {
	case !v.Usable():
	case slices.Contains(choices, v.Text):
		use(v.Text)
	default:
		d.problem(v, "%s %s is not one of %s", v.Name, quote(v.Text), strings.Join(choices, ", "))
	}
}

func (d *Draft) bool(v Value, unset bool) bool {
	switch {
	case !v.Usable():
		return unset
	case v.Text == "true", v.Text == "false":
		return v.Text == "true"
	}
	d.problem(v, "%s %s must be true or false", v.Name, quote(v.Text))
	return unset
}

// duration reads a duration of whole seconds between least and most.
func (d *Draft) duration(v Value, unset, least, most time.Duration) time.Duration {
	if !v.Usable() {
		return unset
	}
	t, err := time.ParseDuration(v.Text)
	switch {
	case err != nil:
		d.problem(v, "%s %s is not a duration; write it with its unit, such as 60s or 1h", v.Name, quote(v.Text))
	case t < least:
		d.problem(v, "%s %s is below %s", v.Name, v.Text, shortDuration(least))
	case t > most:
		d.problem(v, "%s %s is above %s", v.Name, v.Text, shortDuration(most))
	case t%time.Second != 0:
		d.problem(v, "%s %s must be whole seconds", v.Name, v.Text)
	default:
		return t
	}
	return unset
}

// port reads a port number that others can call.
func (d *Draft) port(v Value, unset int) int {
	if !v.Usable() {
		return unset
	}
	n, err := strconv.Atoi(v.Text)
	if err != nil || n < 1 || n > highestPort {
		d.problem(v, "port %s does not exist", v.Text)
		return unset
	}
	return n
}

// host reads a host name or address.
func (d *Draft) host(v Value, unset string) string {
	if !v.Usable() || d.placeholder(v) {
		return unset
	}
	host := strings.TrimSpace(v.Text)
	if !validHost(host) {
		d.problem(v, "%s %s is not a host name or address", v.Name, quote(host))
		return unset
	}
	return strings.ToLower(host)
}

// file reads the name of a file, relative to the home, that must be there.
func (d *Draft) file(v Value) string {
	if !v.Usable() {
		return ""
	}
	name := v.Text
	if !filepath.IsAbs(name) {
		name = filepath.Join(d.Config.Home, name)
	}
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		d.problem(v, "%s names %s, which is not a file", v.Name, quote(v.Text))
	}
	return name
}

var inAngles = regexp.MustCompile(`<[^<>]+>`)

// placeholder reports a text that was to be replaced, as in
// "https://<IP of the first instance>:9443/services/".
func (d *Draft) placeholder(v Value) bool {
	found := inAngles.FindString(v.Text)
	if found == "" {
		return false
	}
	d.problem(v, "replace %s by an address", printable(found))
	return true
}

// nameFault says what keeps s from being a name, after it, or "".
func nameFault(s string) string {
	switch {
	case strings.ContainsFunc(s, unicode.IsControl):
		return "contains a control character"
	case strings.Contains(s, ","):
		return "contains a comma"
	case utf8.RuneCountInString(s) > 255:
		return "is longer than 255 characters"
	}
	return ""
}

// quote puts a text from a file into quotes, short and on one line.
func quote(s string) string {
	if utf8.RuneCountInString(s) > 200 {
		s = string([]rune(s)[:200]) + "…"
	}
	return strconv.Quote(s)
}

// printable returns s as it is where it can be read, else quoted.
func printable(s string) string {
	if q := quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// shortDuration formats without the zero units of time.Duration: 1h, not 1h0m0s.
func shortDuration(t time.Duration) string {
	switch {
	case t == 0:
		return "0s"
	case t%time.Hour == 0:
		return fmt.Sprintf("%dh", t/time.Hour)
	case t%time.Minute == 0:
		return fmt.Sprintf("%dm", t/time.Minute)
	}
	return t.String()
}
