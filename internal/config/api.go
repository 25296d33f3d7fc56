package config

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// fieldName is the syntax of the name of an HTTP field (RFC 9110 section 5.1),
// and of a method.
func fieldName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// settleAPIs settles what holds for every API: backend tokens, CORS, tiers.
func (d *Draft) settleAPIs() {
	j, into := d.Settings.BackendJWT, &d.Config.BackendJWT
	into.Enabled = d.bool(j.Enabled, false)
	into.OmitUser = d.bool(j.OmitUser, false)
	into.Header = "X-JWT-Assertion"
	if v := j.Header; v.Usable() {
		if into.Header = v.Text; !fieldName(v.Text) {
			d.problem(v, "%s %s is not the name of a header", v.Name, quote(v.Text))
		}
	}
	into.Dialect = "http://wso2.org/claims"
	if v := j.Dialect; v.Usable() {
		into.Dialect = v.Text
		if u, err := url.Parse(v.Text); err != nil || u.Scheme == "" {
			d.problem(v, "%s %s is not a URI", v.Name, quote(v.Text))
		}
	}
	d.Config.Tiers.Unlimited = d.bool(d.Settings.Tiers.Unlimited, true)
	d.settleCORS()
}

func (d *Draft) settleCORS() {
	s, c := &d.Settings.CORS, &d.Config.CORS
	c.Enabled = d.bool(s.Enabled, true)
	c.Credentials = d.bool(s.Credentials, false)
	c.Origins = d.texts(s.Origins, validOrigin, "an origin such as https://apps.example.com, or *", "*")
	c.Methods = d.texts(s.Methods, fieldName, "a method", "GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
	c.Headers = d.texts(s.Headers, fieldName, "the name of a header", "authorization", "Access-Control-Allow-Origin", "Content-Type", "SOAPAction")
	if c.Credentials && slices.Contains(c.Origins, "*") {
		d.Warn(s.Credentials, "credentials are not allowed to pages of every origin; name the origins")
	}
}

// validOrigin reports whether s is an origin as browsers write it, or "*".
func validOrigin(s string) bool {
	if s == "*" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && s == u.Scheme+"://"+u.Host
}

// texts reads a list, each item of which must be valid; nil has the default.
func (d *Draft) texts(list []Value, valid func(string) bool, what string, unset ...string) []string {
	if list == nil {
		return unset
	}
	items := []string{}
	for _, v := range list {
		switch {
		case !v.Usable():
		case !valid(v.Text):
			d.problem(v, "%s: %s is not %s", v.Name, quote(v.Text), what)
		default:
			items = append(items, v.Text)
		}
	}
	return items
}

// settlePortals settles what concerns the pages of API Store and API Publisher.
func (d *Draft) settlePortals() {
	s, c := &d.Settings.Store, &d.Config.Store
	own := "https://" + net.JoinHostPort(d.Config.ManagementHost, strconv.Itoa(Port(d.Config.Listen.Management)))
	c.URL = d.pageURL(s.URL, own+"/store")
	c.DisplayAllAPIs = d.bool(s.DisplayAllAPIs, false)
	c.DisplayMultipleVersions = d.bool(s.DisplayMultipleVersions, false)
	c.DisplayComments = d.bool(s.DisplayComments, true)
	c.DisplayRatings = d.bool(s.DisplayRatings, true)
	c.APIsPerPage = d.pageSize(s.APIsPerPage, 5)
	d.Config.Publisher.URL = d.pageURL(d.Settings.Publisher.URL, own+"/publisher")
	d.Config.Publisher.APIsPerPage = d.pageSize(d.Settings.Publisher.APIsPerPage, 30)
}

// pageURL reads the address of a portal.
func (d *Draft) pageURL(v Value, own string) string {
	if !v.Usable() || d.placeholder(v) {
		return own
	}
	raw := strings.TrimSpace(v.Text)
	if u, err := url.Parse(raw); err == nil && u.Scheme == "https" && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		if _, _, ok := HostPort(u); ok {
			return raw
		}
	}
	d.problem(v, "%s %s is not an address like %s", v.Name, quoteURL(raw), own)
	return own
}

// largestPage is the most that a list shows on one page.
const largestPage = 1000

func (d *Draft) pageSize(v Value, unset int) int {
	if !v.Usable() {
		return unset
	}
	n, err := strconv.Atoi(v.Text)
	if err != nil || n < 1 || n > largestPage {
		d.problem(v, "%s %s is not a whole number from 1 to %d", v.Name, quote(v.Text), largestPage)
		return unset
	}
	return n
}
