package config

import (
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// settleControlPlane decides where the control plane is, and with it the role:
// a process whose control plane is another instance is a gateway.
func (d *Draft) settleControlPlane() {
	s, c := &d.Settings.ControlPlane, &d.Config.ControlPlane
	address, given := d.Address(s.URL)
	keyManager, keyManagerGiven := d.Address(s.KeyManager)

	role, from := All, s.URL
	if given && !d.Self(address) {
		role = GatewayOnly
	}
	if asked, ok := d.askedRole(); ok {
		if given && (asked.Role == GatewayOnly) != (role == GatewayOnly) {
			d.problem(asked.Value, "role %s contradicts %s in %s, which is %s", asked.Role, s.URL.Name, s.URL.From(), d.whose(address))
		}
		role, from = asked.Role, asked.Value
	}
	d.Config.Role, d.Config.RoleFrom = role, from.From()

	if role != GatewayOnly && !given {
		address = d.ownAddress()
	}
	c.URL = address
	if given {
		c.From = s.URL.From()
		d.noteDistance(s.URL, address)
	}
	c.KeyManager = c.URL
	if keyManagerGiven {
		if d.Self(keyManager) == (role == GatewayOnly) {
			d.problem(s.KeyManager, "%s is %s, but the role is %s", s.KeyManager.Name, d.whose(keyManager), role)
		}
		c.KeyManager = keyManager
	}
	password, at := d.password()
	c.Username, c.Password = s.Username.Text, password
	d.checkCredential(s.Username, at, password)
	c.CAFile = d.file(s.CAFile)
	c.Fingerprint = d.fingerprint(s.Fingerprint)
}

// askedRole is a role that was written, with its place.
type askedRole struct {
	Value
	Role Role
}

func (d *Draft) askedRole() (a askedRole, ok bool) {
	a.Value = d.Settings.Role
	if d.overrides.Role != "" {
		a.Value = Value{Text: string(d.overrides.Role), Name: "role", File: commandLine}
	}
	d.oneOf(a.Value, func(s string) { a.Role, ok = Role(s), true }, string(All), string(ControlPlaneOnly), string(GatewayOnly))
	return a, ok
}

func (d *Draft) whose(address string) string {
	if d.Self(address) {
		return "this instance"
	}
	return "another instance"
}

// ownAddress is where this process's own gateway finds its control plane.
func (d *Draft) ownAddress() string {
	host, port, _ := net.SplitHostPort(d.Config.Listen.Management)
	if unspecified(host) || loopback(host) {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(host, port)
}

// noteDistance warns where a quickstart installation speaks of another machine.
func (d *Draft) noteDistance(v Value, address string) {
	if d.quickstart() && !d.local(address) {
		d.Warn(v, "%s is another machine, and the quickstart profile, with its default password, is for one machine only", address)
	}
}

// password is the enrolment password, which may stand in a file of its own,
// and the setting that gave it.
func (d *Draft) password() (Secret, Value) {
	s := d.Settings.ControlPlane
	if !s.PasswordFile.Set() {
		return Secret(s.Password.Text), s.Password
	}
	if s.Password.Set() {
		d.problem(s.PasswordFile, "%s is given, and so is %s in %s; keep one", s.PasswordFile.Name, s.Password.Name, s.Password.From())
		return "", s.PasswordFile
	}
	name := s.PasswordFile.Text
	if !filepath.IsAbs(name) {
		name = filepath.Join(d.Config.Home, name)
	}
	data, err := readLimited(name)
	password := Secret(strings.TrimRight(string(data), "\r\n"))
	if err != nil {
		d.problem(s.PasswordFile, "%s cannot be read: %v", s.PasswordFile.Name, err)
	} else if password == "" {
		d.problem(s.PasswordFile, "%s names an empty file", s.PasswordFile.Name)
	}
	return password, s.PasswordFile
}

// checkCredential refuses half a credential, and the default password where
// others could use it. A gateway that others reach does not take the default
// password; it is one that has joined by token, or still has to.
func (d *Draft) checkCredential(username, at Value, password Secret) {
	if username.Set() && !at.Set() {
		d.problem(username, "%s is given without a password", username.Name)
	}
	if at.Set() && !username.Set() {
		d.problem(at, "%s is given without a user name", at.Name)
	}
	host, port, _ := net.SplitHostPort(d.Config.Listen.Management)
	if password.Reveal() != "admin" || d.quickstart() || loopback(host) {
		return
	}
	if unspecified(host) {
		host = "all addresses"
	}
	if d.Config.Role == GatewayOnly {
		d.Warn(at, "the default password is not taken outside the quickstart profile; the gateway joins by token")
		d.Config.ControlPlane.Username, d.Config.ControlPlane.Password = "", ""
		return
	}
	d.problem(at, "user %s has the default password and port %s listens on %s; set a password or listen on loopback",
		quote(username.Text), port, host)
}

// fingerprint reads a SHA-256 in hexadecimal, with or without colons.
func (d *Draft) fingerprint(v Value) string {
	if !v.Usable() {
		return ""
	}
	digits := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(v.Text), ":", ""))
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != 32 {
		d.problem(v, "%s must be a SHA-256 in 64 hexadecimal digits, as sluice shows it", v.Name)
		return ""
	}
	return digits
}

const (
	defaultTokenTTL    = time.Hour
	defaultMaxTokenTTL = 24 * time.Hour
	defaultRefreshTTL  = 24 * time.Hour
	longestTokenTTL    = 365 * 24 * time.Hour
)

func (d *Draft) settleKeyManager() {
	s, c := &d.Settings.KeyManager, &d.Config.KeyManager
	c.RevealSecrets = d.bool(s.RevealSecrets, d.quickstart())
	c.PasswordGrant = d.bool(s.PasswordGrant, d.quickstart())
	c.MaxAccessTokenTTL = d.duration(s.MaxAccessTokenTTL, defaultMaxTokenTTL, time.Second, longestTokenTTL)
	c.AccessTokenTTL = d.duration(s.AccessTokenTTL, min(defaultTokenTTL, c.MaxAccessTokenTTL), time.Second, longestTokenTTL)
	if c.AccessTokenTTL > c.MaxAccessTokenTTL {
		d.problem(s.AccessTokenTTL, "%s %s is above max_access_token_ttl, which is %s",
			s.AccessTokenTTL.Name, s.AccessTokenTTL.Text, shortDuration(c.MaxAccessTokenTTL))
	}
	c.RefreshTokenTTL = d.duration(s.RefreshTokenTTL, defaultRefreshTTL, time.Second, longestTokenTTL)
	c.IDTokenTTL = d.duration(s.IDTokenTTL, defaultTokenTTL, time.Second, longestTokenTTL)
	c.RevokeURL = d.revokeURL(s.RevokeURL)
	c.ApplicationScope = "am_application_scope"
	if v := s.ApplicationScope; v.Usable() {
		c.ApplicationScope = strings.TrimSpace(v.Text)
		if !scopeToken.MatchString(c.ApplicationScope) {
			d.problem(v, "%s %s is not a scope", v.Name, quote(c.ApplicationScope))
		}
	}
	c.ScopeWhitelist = []string{"^device_.*", "openid"}
	if s.ScopeWhitelist != nil {
		c.ScopeWhitelist = []string{}
	}
	for _, v := range s.ScopeWhitelist {
		if !v.Usable() {
			continue
		}
		if _, err := regexp.Compile(v.Text); err != nil {
			why := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
			d.problem(v, "%s %s is not a regular expression: %s", v.Name, quote(v.Text), why)
			continue
		}
		c.ScopeWhitelist = append(c.ScopeWhitelist, v.Text)
	}
	d.Config.Management.LegacyLogin = d.bool(d.Settings.Management.LegacyLogin, d.quickstart())
}

// settleImport reads what definitions may be fetched from.
func (d *Draft) settleImport() {
	for _, v := range d.Settings.Import.Allow {
		if !v.Usable() {
			continue
		}
		entry := strings.ToLower(strings.TrimSpace(v.Text))
		if network, err := netip.ParsePrefix(entry); (err != nil || network != network.Masked()) && !validHost(entry) {
			d.problem(v, "%s %s is not a host, an address or a network like 10.0.0.0/8", v.Name, quote(v.Text))
			continue
		}
		d.Config.Import.Allow = append(d.Config.Import.Allow, entry)
	}
}

// scopeToken is the syntax of RFC 6749 section 3.3.
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)

// revokeURL reads the address of the revocation endpoint; unset, it is this
// instance's own gateway.
func (d *Draft) revokeURL(v Value) string {
	own := "https://" + net.JoinHostPort(d.Config.Host, strconv.Itoa(Port(d.Config.Listen.HTTPS))) + "/revoke"
	if !v.Usable() || d.placeholder(v) {
		return own
	}
	raw := strings.TrimSpace(v.Text)
	if !hasScheme(raw, "https") {
		d.problem(v, "%s must begin with https:// (%s)", v.Name, quoteURL(raw))
		return own
	}
	u, err := url.Parse(raw)
	if err == nil && u.User == nil && !u.ForceQuery && u.RawQuery == "" && u.Fragment == "" {
		if _, _, ok := HostPort(u); ok {
			return raw
		}
	}
	d.problem(v, "%s %s is not an address like https://host:8243/revoke", v.Name, quoteURL(raw))
	return own
}
