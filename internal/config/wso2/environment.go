package wso2

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice/internal/config"
)

// environment takes one Environment element; what holds for environments of
// either layout is checked by config.
func (im *importer) environment(e *element) config.EnvironmentSettings {
	value := func(name string) config.Value { return im.value(apiManagerFile, e, name) }
	s := config.EnvironmentSettings{
		At:          at(e),
		Name:        value("Name"),
		Type:        attribute(e, "type"),
		Console:     attribute(e, "api-console"),
		Description: value("Description"),
		ServerURL:   im.address(apiManagerFile, e, "ServerURL"),
		Username:    value("Username"),
		Password:    im.password(apiManagerFile, e, "Password"),
	}
	if c := &s.Console; c.Set() && c.Text != "true" && c.Text != "false" {
		im.problem(*c, "api-console=%q must be true or false", c.Text)
		c.Reported = true
	}
	switch endpoint := im.address(apiManagerFile, e, "GatewayEndpoint"); {
	case endpoint.Usable():
		im.endpoint(&s, endpoint)
	case endpoint.Set(): // reported
	case s.Name.Set():
		im.problem(s.At, "environment %q has no GatewayEndpoint", s.Name.Text)
	default:
		im.problem(s.At, "Environment has no GatewayEndpoint")
	}
	return s
}

func attribute(e *element, name string) config.Value {
	text, ok := e.attr(name)
	if !ok {
		return config.Value{}
	}
	return config.Value{Text: text, Name: name, File: apiManagerFile, Line: e.line}
}

// endpoint reads GatewayEndpoint: one https URL and at most one http URL,
// separated by a comma, of one host.
func (im *importer) endpoint(s *config.EnvironmentSettings, v config.Value) {
	label := fmt.Sprintf("the environment in line %d", s.At.Line)
	if s.Name.Set() {
		label = strconv.Quote(s.Name.Text)
	}
	hosts, before := make(map[string]string), len(im.problems)
	fault := func(format string, args ...any) {
		im.problem(v, "GatewayEndpoint of %s: %s", label, fmt.Sprintf(format, args...))
	}
	for entry := range strings.SplitSeq(v.Text, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		scheme, host, port, wrong := endpointURL(entry)
		if _, again := hosts[scheme]; again && wrong == "" {
			wrong = fmt.Sprintf("two %s URLs", scheme)
		}
		if wrong != "" {
			fault("%s", wrong)
			continue
		}
		hosts[scheme] = host
		s.Host = config.Value{Text: host, Name: v.Name, File: v.File, Line: v.Line}
		number := s.Host
		number.Text = strconv.Itoa(port)
		if scheme == "https" {
			s.HTTPSPort = number
		} else {
			s.HTTPPort = number
		}
	}
	if len(im.problems) > before {
		return
	}
	host, ok := hosts["https"]
	switch plain, both := hosts["http"]; {
	case !ok:
		fault("no https URL")
		s.HTTPPort = config.Value{} // not to be reported again
	case both && plain != host:
		fault("http and https name different hosts")
	}
}

// endpointURL reads one URL of a GatewayEndpoint and says what is wrong with it.
func endpointURL(entry string) (scheme, host string, port int, wrong string) {
	u, err := url.Parse(entry)
	if err != nil || u.Host == "" {
		if err == nil && u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
			return "", "", 0, fmt.Sprintf("%q is neither http nor https", u.Scheme)
		}
		return "", "", 0, "an entry is not a URL like https://host:8243"
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "", 0, fmt.Sprintf("%q is neither http nor https", u.Scheme)
	case u.User != nil:
		return "", "", 0, fmt.Sprintf("%q is not allowed", u.User.Username()+"@")
	case u.Path != "" && u.Path != "/":
		return "", "", 0, fmt.Sprintf("%q is not allowed", u.Path)
	case u.RawQuery != "" || u.ForceQuery:
		return "", "", 0, fmt.Sprintf("%q is not allowed", "?"+u.RawQuery)
	case u.Fragment != "":
		return "", "", 0, fmt.Sprintf("%q is not allowed", "#"+u.Fragment)
	}
	host, port, ok := config.HostPort(u)
	switch {
	case ok:
		return u.Scheme, host, port, ""
	case u.Port() != "" && (port < 1 || port > 65535):
		return "", "", 0, fmt.Sprintf("port %s does not exist", u.Port())
	}
	return "", "", 0, fmt.Sprintf("%q is not a host", u.Host)
}
