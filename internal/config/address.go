package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	userInfo    = regexp.MustCompile(`//[^/?#]*@`)
	numberAtEnd = regexp.MustCompile(`(^|\.)[0-9]+\.?$`)
)

// Local reports whether host, a name or an IP address, is this machine: a
// loopback name or address, one of addresses, or one of names. It asks no name
// server.
func Local(host string, addresses []netip.Addr, names ...string) bool {
	host = canonical(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err == nil && (addr.IsLoopback() || addr.IsUnspecified() || slices.Contains(addresses, addr)) {
		return true
	}
	return host != "" && slices.ContainsFunc(names, func(n string) bool { return canonical(n) == host })
}

// canonical returns the one form of a host name or address that is compared.
func canonical(host string) string {
	host = strings.Trim(host, "[]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().WithZone("").String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// LocalAddresses returns the addresses of this machine's interfaces, loopback
// ones among them, in the form that Local expects.
func LocalAddresses() []netip.Addr {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addresses []netip.Addr
	for _, i := range interfaces {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			addresses = append(addresses, p.Addr().Unmap().WithZone(""))
		}
	}
	return addresses
}

// Address reads the URL of an instance's management port to "https://host:port".
// What is wrong with it becomes a Problem; path and final slash do not matter.
func (d *Draft) Address(v Value) (address string, ok bool) {
	if !v.Usable() || d.placeholder(v) {
		return "", false
	}
	raw := strings.TrimSpace(v.Text)
	if !hasScheme(raw, "https") {
		d.problem(v, "%s must begin with https:// (%s)", v.Name, quoteURL(raw))
		return "", false
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.ForceQuery || u.RawQuery != "" || u.Fragment != "" {
		d.problem(v, "%s %s is not an address like https://host:9443/services/", v.Name, quoteURL(raw))
		return "", false
	}
	host, port, ok := HostPort(u)
	if !ok {
		d.problem(v, "%s %s is not an address like https://host:9443/services/", v.Name, quoteURL(raw))
		return "", false
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(port)), true
}

// HostPort returns the host of u in lower case and its port, or the port that
// the scheme has. It is not ok without a valid host or with a port that does
// not exist.
func HostPort(u *url.URL) (host string, port int, ok bool) {
	host = strings.ToLower(u.Hostname())
	if u.Port() == "" {
		port = 443
		if strings.EqualFold(u.Scheme, "http") {
			port = 80
		}
		return host, port, validHost(host) && !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.Atoi(u.Port())
	return host, port, err == nil && port >= 1 && port <= highestPort && validHost(host)
}

// Self reports whether an Address is that of this process's management port.
func (d *Draft) Self(address string) bool {
	return Port(address) == Port(d.Config.Listen.Management) && d.local(address)
}

// local reports whether an Address is on this machine.
func (d *Draft) local(address string) bool {
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(address, "https://"))
	return Local(host, d.addresses, d.hostname, d.Config.Host, d.Config.ManagementHost)
}

func hasScheme(raw, scheme string) bool {
	prefix := scheme + "://"
	return len(raw) >= len(prefix) && strings.EqualFold(raw[:len(prefix)], prefix)
}

// quoteURL quotes a URL for a message, without the password it may hold.
func quoteURL(raw string) string {
	return quote(userInfo.ReplaceAllString(raw, "//[redacted]@"))
}

// validHost reports whether s can be a host: an IP address without zone, or a
// DNS name.
func validHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if len(label) == 0 || len(label) > 63 || strings.ContainsFunc(label, notInLabel) {
			return false
		}
	}
	return !numberAtEnd.MatchString(s) // 1.2.3 is meant as an address
}

func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
