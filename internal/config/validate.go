package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	highestPort = 65535   // the last port number there is
	farTooHigh  = 1 << 30 // an offset that is not worth adding to a port
)

// Draft makes a Config of Settings in two steps, because a file may speak of
// what others decide: NewDraft settles profile, offset, ports and hosts; then
// the reader of a layout may use them, and add to Settings; Finish settles the
// rest. Problems are collected, and each setting in error gets its default, so
// that one run finds them all. It is used by one goroutine.
type Draft struct {
	Config   *Config
	Settings *Settings
	Problems []Problem

	overrides Overrides
	addresses []netip.Addr
	hostname  string
}

// NewDraft begins the Config of a home from what its files say so far.
func NewDraft(home string, layout Layout, s *Settings, o Overrides) *Draft {
	if abs, err := filepath.Abs(home); err == nil {
		home = abs
	}
	d := &Draft{Config: &Config{Home: home, Layout: layout}, Settings: s, overrides: o}
	if o.LocalAddresses != nil {
		d.addresses = o.LocalAddresses()
	} else {
		d.addresses = LocalAddresses()
	}
	if o.Hostname != nil {
		d.hostname = o.Hostname()
	} else {
		d.hostname, _ = os.Hostname() // without a name, the address is used
	}
	d.settleProfile()
	d.settleOffset()
	d.settleListeners()
	d.settleHosts()
	return d
}

// Finish settles the rest and returns the Config with everything that is wrong,
// in the order of files and lines.
func (d *Draft) Finish() (*Config, []Problem) {
	d.settleControlPlane()
	d.settleKeyManager()
	d.settleImport()
	d.settleGateway()
	d.settleAPIs()
	d.settlePortals()
	d.settleTLS()
	d.settleOperations()
	d.settleDatabase()
	d.settleCluster()
	d.settleEnvironments()
	slices.SortStableFunc(d.Problems, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return d.Config, d.Problems
}

// Warn adds a warning at the place of v, or about the whole home where v is zero.
func (d *Draft) Warn(v Value, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if v.Set() {
		text = v.From() + ": " + text
	}
	d.Config.Warnings = append(d.Config.Warnings, text)
}

func (d *Draft) problem(v Value, format string, args ...any) {
	d.Problems = append(d.Problems, v.Problem(format, args...))
}

func (d *Draft) quickstart() bool { return d.Config.Profile == Quickstart }

func (d *Draft) settleProfile() {
	d.Config.Profile = Production
	if d.overrides.Profile != "" {
		d.Settings.Profile = Value{Text: string(d.overrides.Profile), Name: "profile", File: commandLine}
	}
	d.oneOf(d.Settings.Profile, func(s string) { d.Config.Profile = Profile(s) }, string(Production), string(Quickstart))
}

const commandLine = "command line" // the File of a Value that came from there

func (d *Draft) settleOffset() {
	v := &d.Settings.Offset
	if d.overrides.Offset != nil {
		*v = Value{Text: strconv.Itoa(*d.overrides.Offset), Name: "Offset", File: commandLine}
	}
	if !v.Usable() {
		return
	}
	n, err := strconv.Atoi(v.Text)
	switch {
	case n > farTooHigh: // Atoi returns the largest int for what is beyond it
		d.problem(*v, "%s %s is too high; the highest port is %d", v.Name, v.Text, highestPort)
	case err != nil && !errors.Is(err, strconv.ErrRange):
		d.problem(*v, "%s %s is not a whole number", v.Name, quote(v.Text))
	case n < 0:
		d.problem(*v, "%s %s is below 0", v.Name, v.Text)
	default:
		d.Config.Offset = n
	}
}

// listener is one address a process listens on, while it is being settled.
type listener struct {
	name  string
	value Value
	base  int     // port before the offset
	into  *string // the result
	host  string
	port  int // with the offset; 0: any free port
}

func (d *Draft) settleListeners() {
	s, c := d.Settings.Listen, &d.Config.Listen
	all := []*listener{
		{name: "listen.management", value: s.Management, base: 9443, into: &c.Management},
		{name: "listen.operations", value: s.Operations, base: 9763, into: &c.Operations, host: "127.0.0.1"},
		{name: "listen.http", value: s.HTTP, base: 8280, into: &c.HTTP},
		{name: "listen.https", value: s.HTTPS, base: 8243, into: &c.HTTPS},
	}
	if d.clustered() {
		all = append(all, &listener{name: "bus.cluster.listen", value: d.Settings.Cluster.Listen, base: 6222, into: &d.Config.Cluster.Listen})
	}
	tooHigh := false
	for _, l := range all {
		if l.host == "" && d.quickstart() {
			l.host = "localhost"
		}
		if l.value.Set() {
			d.readListener(l)
		}
		l.port = l.base
		switch moved := l.base + d.Config.Offset; {
		case l.base == 0: // any free port stays that
		case moved <= highestPort:
			l.port = moved
		case !tooHigh: // said once, for the first port
			tooHigh = true
			d.problem(d.Settings.Offset, "%s %d moves port %d to %d; the highest port is %d",
				d.Settings.Offset.Name, d.Config.Offset, l.base, moved, highestPort)
		}
		*l.into = net.JoinHostPort(l.host, strconv.Itoa(l.port))
	}
	for i, l := range all {
		for _, first := range all[:i] {
			if l.port != 0 && l.port == first.port && overlap(l.host, first.host) {
				at := l.value
				if !at.Set() {
					at = first.value
				}
				d.problem(at, "%s and %s are both port %d; give each its own", first.name, l.name, l.port)
			}
		}
	}
}

// readListener takes host and port from what was written for l.
func (d *Draft) readListener(l *listener) {
	host, port, ok := splitListen(l.value.Text)
	if !ok {
		d.problem(l.value, "%s %s is not an address to listen on; write an IP address, a port, or both, as in \"127.0.0.1:%d\"",
			l.value.Name, quote(l.value.Text), l.base)
		return
	}
	if port > highestPort {
		d.problem(l.value, "port %d does not exist", port)
	} else if port >= 0 {
		l.base = port
	}
	if host == "" {
		return
	}
	l.host = host
	if d.quickstart() && !loopback(host) {
		d.problem(l.value, "default password on a non-loopback address (port %d on %s); run sluice init or set a password",
			l.base+d.Config.Offset, host)
	}
}

// splitListen reads "host:port", ":port", "port" or "host"; the host is
// "localhost" or an IP address. The port is -1 where there is none.
func splitListen(s string) (host string, port int, ok bool) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return "", int(n), true
	}
	host, port = s, -1
	if _, err := netip.ParseAddr(s); err != nil && s != "localhost" {
		h, p, err := net.SplitHostPort(s)
		n, errPort := strconv.ParseUint(p, 10, 31)
		if err != nil || errPort != nil {
			return "", 0, false
		}
		host, port = h, int(n)
	}
	if host == "" || host == "localhost" {
		return host, port, true
	}
	addr, err := netip.ParseAddr(host)
	return addr.Unmap().String(), port, err == nil && addr.Zone() == ""
}

// overlap reports whether two hosts to listen on share an address.
func overlap(a, b string) bool {
	return a == b || unspecified(a) || unspecified(b) || (loopback(a) && loopback(b) && (a == "localhost" || b == "localhost"))
}

func unspecified(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// Port returns the port of an address in Listen or of an "https://host:port".
func Port(address string) int {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(address, "https://"))
	n, _ := strconv.Atoi(port)
	return n
}

func (d *Draft) settleHosts() {
	own := "localhost"
	if !d.quickstart() {
		own = d.hostname
		if !validHost(own) {
			own = d.LocalIP()
		}
	}
	d.Config.Host = d.host(d.Settings.Host, own)
	d.Config.ManagementHost = d.host(d.Settings.ManagementHost, own)
}

// LocalIP is the address that stands for this machine in files: "localhost" in
// the quickstart profile, else the first IPv4 address that others can reach.
func (d *Draft) LocalIP() string {
	if !d.quickstart() {
		for _, a := range d.addresses {
			if a.Is4() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() {
				return a.String()
			}
		}
	}
	return "localhost"
}

func (d *Draft) settleGateway() {
	s, c := d.Settings.Gateway, &d.Config.Gateway
	_, port, _ := net.SplitHostPort(d.Config.Listen.HTTPS)
	c.Name = d.hostname + ":" + port
	if s.Name.Set() {
		c.Name = strings.TrimSpace(s.Name.Text)
		if fault := nameFault(c.Name); fault != "" {
			d.problem(s.Name, "%s %s %s", s.Name.Name, quote(c.Name), fault)
		}
	}
	c.ClockLeeway = d.duration(s.ClockLeeway, 60*time.Second, 0, time.Minute) // revocations are kept as long beyond a token's end
	c.RemoveAuthorization = d.bool(s.RemoveAuthorization, true)
	c.AccessLog = strings.TrimSpace(s.AccessLog.Text)
	if c.AccessLog == "" {
		c.AccessLog = "logs/access.log"
	}
	for _, v := range s.CAFiles {
		d.certificates(v)
	}
}

// certificates takes a file of CAs that backends may have.
func (d *Draft) certificates(v Value) {
	before := len(d.Problems)
	name := d.file(v)
	if name == "" || len(d.Problems) > before {
		return
	}
	data, err := os.ReadFile(name)
	switch {
	case err != nil:
		d.problem(v, "%s: %s cannot be read: %v", v.Name, quote(v.Text), err)
	case !x509.NewCertPool().AppendCertsFromPEM(data):
		d.problem(v, "%s: %s holds no certificate in PEM form", v.Name, quote(v.Text))
	default:
		d.Config.Gateway.CAFiles = append(d.Config.Gateway.CAFiles, name)
	}
}

func (d *Draft) settleTLS() {
	s, c := d.Settings.TLS, &d.Config.TLS
	for _, pair := range []struct {
		cert, key         Value
		intoCert, intoKey *string
	}{
		{s.ManagementCertificate, s.ManagementKey, &c.ManagementCertificate, &c.ManagementKey},
		{s.TrafficCertificate, s.TrafficKey, &c.TrafficCertificate, &c.TrafficKey},
	} {
		*pair.intoCert, *pair.intoKey = d.file(pair.cert), d.file(pair.key)
		if pair.cert.Set() && !pair.key.Set() {
			d.problem(pair.cert, "%s is given without its key", pair.cert.Name)
		}
		if pair.key.Set() && !pair.cert.Set() {
			d.problem(pair.key, "%s is given without its certificate", pair.key.Name)
		}
	}
}

// leastToken is the least length of the token of the operations port, in bytes.
const leastToken = 16

// settleOperations reads the token of the operations port. Its file must be the
// owner's alone.
func (d *Draft) settleOperations() {
	v, c := d.Settings.Operations.TokenFile, &d.Config.Operations
	if c.TokenFile = d.file(v); c.TokenFile == "" {
		return
	}
	info, err := os.Stat(c.TokenFile)
	if err != nil || !info.Mode().IsRegular() {
		return // reported
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		d.problem(v, "others can read the file of %s (mode %04o); run chmod 600", v.Name, mode)
		return
	}
	data, err := readLimited(c.TokenFile)
	c.Token = Secret(strings.TrimSpace(string(data)))
	switch {
	case err != nil:
		d.problem(v, "%s cannot be read: %v", v.Name, err)
	case len(c.Token) < leastToken:
		d.problem(v, "%s names a file with less than %d characters", v.Name, leastToken)
	}
}

func (d *Draft) settleDatabase() {
	v := d.Settings.Database
	if v.Set() && !strings.HasPrefix(v.Text, "postgres://") && !strings.HasPrefix(v.Text, "postgresql://") {
		d.problem(v, "%s must begin with postgres://; without it, SQLite is used below the home", v.Name)
		return
	}
	d.Config.Database = v.Text
	d.Config.DatabaseKey = d.file(d.Settings.DatabaseKey)
}

// clustered reports whether this is one of several control planes.
func (d *Draft) clustered() bool {
	return d.Settings.Cluster.Listen.Set() || d.Settings.Cluster.Peers != nil
}

// settleCluster takes the addresses of the other control planes, whose ports are
// written as they are: their offsets are not known here.
func (d *Draft) settleCluster() {
	if !d.clustered() {
		return
	}
	at := d.Settings.Cluster.Listen
	if !at.Set() && len(d.Settings.Cluster.Peers) > 0 {
		at = d.Settings.Cluster.Peers[0]
	}
	switch {
	case d.Config.Role == GatewayOnly:
		d.problem(at, "bus.cluster is for control planes, and the role is %s", d.Config.Role)
	case d.Config.Database == "" && !d.Settings.Database.Set():
		d.problem(at, "bus.cluster needs a PostgreSQL database that the control planes share; set database to a postgres:// URL")
	}
	for _, v := range d.Settings.Cluster.Peers {
		u, err := url.Parse("nats-route://" + strings.TrimPrefix(v.Text, "nats-route://"))
		if err == nil && u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.Port() != "" {
			if host, port, ok := HostPort(u); ok {
				d.Config.Cluster.Peers = append(d.Config.Cluster.Peers, net.JoinHostPort(host, strconv.Itoa(port)))
				continue
			}
		}
		d.problem(v, "%s %s is not an address like other.example.com:6222", v.Name, quoteURL(v.Text))
	}
}
