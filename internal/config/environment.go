package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// settleEnvironments checks the gateway environments, each by itself and
// against those before it.
func (d *Draft) settleEnvironments() {
	names, servers, vhosts := make(map[string]Value), make(map[string]firstUse), make(map[string]firstUse)
	for i := range d.Settings.Environments {
		s := &d.Settings.Environments[i]
		e := Environment{
			Name:        norm.NFC.String(strings.TrimSpace(s.Name.Text)),
			Description: strings.TrimSpace(s.Description.Text),
			Console:     d.bool(s.Console, true),
			Username:    s.Username.Text,
			Password:    Secret(s.Password.Text),
			From:        s.At.From(),
		}
		d.environmentName(s, e.Name, names)
		d.environmentType(s, &e)
		if address, ok := d.environmentServer(s, e.Name); ok {
			e.ServerURL, e.Own = address, d.Self(address)
			if first, again := servers[address]; again {
				d.problem(s.ServerURL, "%s is already that of environment %s in line %d", s.ServerURL.Name, quote(first.name), first.line)
			} else {
				servers[address] = firstUse{e.Name, s.ServerURL.Line}
			}
			d.noteDistance(s.ServerURL, address)
		}
		d.checkCredential(s.Username, s.Password, e.Password)
		d.vhost(s, &e)
		vhost := net.JoinHostPort(e.Host, strconv.Itoa(e.HTTPSPort)) + e.Context
		if first, again := vhosts[vhost]; again {
			d.Warn(s.At, "environment %s has the same public address as environment %s in line %d", quote(e.Name), quote(first.name), first.line)
		} else {
			vhosts[vhost] = firstUse{e.Name, s.At.Line}
		}
		d.Config.Environments = append(d.Config.Environments, e)
	}
	if d.Config.Role == GatewayOnly && len(d.Config.Environments) > 0 {
		d.Warn(d.Settings.Environments[0].At, "environments are not used here: this instance is a gateway, because of %s", d.Config.RoleFrom)
	}
}

// firstUse is where something that must be unique was used first.
type firstUse struct {
	name string
	line int
}

// word returns the name of a setting in the files of this layout.
func (d *Draft) word(native, wso2 string) string {
	if d.Config.Layout == WSO2 {
		return wso2
	}
	return native
}

func (d *Draft) environmentName(s *EnvironmentSettings, name string, seen map[string]Value) {
	if s.Name.Reported {
		return
	}
	if name == "" {
		d.problem(s.At, "%s has no %s", d.word("environment", "Environment"), d.word("name", "Name"))
		return
	}
	if fault := nameFault(name); fault != "" {
		d.problem(s.Name, "environment name %s %s", quote(name), fault)
		return
	}
	key := fold(name)
	if first, again := seen[key]; again {
		d.problem(s.Name, "environment %s is already defined in line %d; names must be unique", quote(name), first.Line)
		return
	}
	seen[key] = s.Name
}

// fold maps names to one text that differ only in case or Unicode form.
func fold(name string) string {
	lowest := func(r rune) rune {
		low := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			low = min(low, next)
		}
		return low
	}
	return norm.NFC.String(strings.Map(lowest, norm.NFC.String(name)))
}

func (d *Draft) environmentType(s *EnvironmentSettings, e *Environment) {
	switch t := s.Type.Text; {
	case !s.Type.Set():
		d.problem(s.At, "%s has no type; write %s", label(s, e.Name),
			d.word("type: production, sandbox or hybrid", `type="production", "sandbox" or "hybrid"`))
	case t == "production", t == "sandbox", t == "hybrid":
		e.Type = t
	default:
		d.problem(s.Type, "%s%s is not one of production, sandbox, hybrid", d.word("type ", "type="), quote(t))
	}
}

// label names an environment in a message.
func label(s *EnvironmentSettings, name string) string {
	if name == "" {
		return fmt.Sprintf("environment in line %d", s.At.Line)
	}
	return "environment " + quote(name)
}

// environmentServer reads where the environment's gateway is called to enrol
// it. Files in the WSO2 layout must say it; otherwise gateways join by token.
func (d *Draft) environmentServer(s *EnvironmentSettings, name string) (string, bool) {
	if !s.ServerURL.Set() && d.Config.Layout == WSO2 {
		d.problem(s.At, "%s has no ServerURL", label(s, name))
	}
	return d.Address(s.ServerURL)
}

// vhost reads the public address. With no port given, it is this instance's own.
func (d *Draft) vhost(s *EnvironmentSettings, e *Environment) {
	e.Host = d.host(s.Host, d.Config.Host)
	ownHTTP, ownHTTPS := Port(d.Config.Listen.HTTP), Port(d.Config.Listen.HTTPS)
	if s.HTTPPort.Set() || s.HTTPSPort.Set() {
		ownHTTP = 0
	}
	e.HTTPPort = d.port(s.HTTPPort, ownHTTP)
	e.HTTPSPort = d.port(s.HTTPSPort, ownHTTPS)
	if s.HTTPPort.Set() && !s.HTTPSPort.Set() {
		d.problem(s.At, "%s has an http_port but no https_port", label(s, e.Name))
	}
	if e.HTTPPort == e.HTTPSPort && s.HTTPSPort.Set() {
		d.problem(s.HTTPSPort, "%s has one port for http and https", label(s, e.Name))
	}
	e.Context = strings.TrimSuffix(strings.TrimSpace(s.Context.Text), "/")
	if e.Context != "" && !validContext(e.Context) {
		d.problem(s.Context, "context %s must be a path such as /apis", quote(e.Context))
	}
}

// validContext reports whether s is a path of plain segments.
func validContext(s string) bool {
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		plain := !strings.ContainsFunc(segment, func(r rune) bool { return notInLabel(r) && r != '.' && r != '~' })
		if !plain || strings.Trim(segment, ".") == "" {
			return false
		}
	}
	return true
}
