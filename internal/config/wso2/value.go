package wso2

import (
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice/internal/config"
)

// secretAlias is the attribute by which the original says that a password is in
// its secure vault.
const secretAlias = "secretAlias"

var (
	property = regexp.MustCompile(`\$\{([^{}]*)\}`)
	inAngles = regexp.MustCompile(`<[^<>]+>`)
)

// value returns the text of the child of that name, with its properties
// replaced. An empty element is as good as none.
func (im *importer) value(file string, in *element, name string) config.Value {
	e := in.find(name)
	if e == nil {
		return config.Value{}
	}
	return im.valueOf(file, e)
}

func (im *importer) valueOf(file string, e *element) config.Value {
	v := config.Value{Name: e.name, File: file, Line: e.line}
	v.Text = property.ReplaceAllStringFunc(e.text(), func(found string) string {
		if im.draft == nil {
			im.problem(v, "%s cannot be used in %s, which decides ports and hosts", found, v.Name)
			v.Reported = true
			return found
		}
		replacement, known := im.property(found[len("${") : len(found)-len("}")])
		if !known {
			im.problem(v, "%s is not a known property", found)
			v.Reported = true
		}
		return replacement
	})
	if v.Text == "" && !v.Reported {
		return config.Value{}
	}
	v.Reported = v.Reported || strings.Contains(v.Text, filled)
	return v
}

// address is value for a URL or host, in which placeholders are looked for.
func (im *importer) address(file string, in *element, name string) config.Value {
	v := im.value(file, in, name)
	if found := inAngles.FindString(v.Text); found != "" && !v.Reported {
		im.problem(v, "replace %s by an address", strings.Join(strings.Fields(found), " "))
		v.Reported = true
	}
	return v
}

// password is value for a password, which may not be an alias.
func (im *importer) password(file string, in *element, name string) config.Value {
	v := im.value(file, in, name)
	e := in.find(name)
	if e == nil {
		return v
	}
	_, alias := e.attr(secretAlias)
	if alias || strings.HasPrefix(v.Text, "secretAlias:") || strings.HasPrefix(v.Text, "$secret{") {
		v = config.Value{Name: name, File: file, Line: e.line, Reported: true}
		im.problem(v, vaultMessage)
	}
	return v
}

const vaultMessage = "the password is a secure vault alias, which Sluice cannot open; name a file instead"

// property returns the value of ${name}. Ports include the offset.
func (im *importer) property(name string) (value string, known bool) {
	c := im.draft.Config
	quickstart := c.Profile == config.Quickstart
	port := func(address string) string { return strconv.Itoa(config.Port(address)) }
	moved := func(base int) string { return strconv.Itoa(base + c.Offset) }
	switch name {
	case "carbon.local.ip":
		return im.draft.LocalIP(), true
	case "carbon.context":
		return "/", true
	case "mgt.transport.https.port":
		return port(c.Listen.Management), true
	case "https.nio.port":
		return port(c.Listen.HTTPS), true
	case "http.nio.port":
		return port(c.Listen.HTTP), true
	case "receiver.url.port":
		return moved(9611), true
	case "auth.url.port":
		return moved(9711), true
	case "jms.port":
		return moved(5672), true
	case "jms.url":
		return "tcp://" + net.JoinHostPort(im.draft.LocalIP(), moved(5672)), true
	case "admin.username", "admin.password":
		// The documented login is for the quickstart profile; elsewhere no
		// account has a password that is known beforehand.
		if quickstart {
			return "admin", true
		}
		return "", true
	}
	return "", false
}
