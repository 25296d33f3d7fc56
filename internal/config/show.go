package config

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Show writes the resulting configuration for a person: every setting in the
// form of sluice.yaml, defaults included, without secrets, then the warnings.
func (c *Config) Show(w io.Writer) error {
	p := &printer{secret: Secret.String, database: redactDatabase}
	p.comment("Configuration of %s, read from its %s files.", c.Home, c.Layout)
	p.config(c)
	for _, warning := range c.Warnings {
		p.comment("warning: %s", warning)
	}
	_, err := w.Write(p.out.Bytes())
	return err
}

// Export writes the configuration as a sluice.yaml that means the same, with
// its secrets: whoever calls it must create the file for the owner alone.
func (c *Config) Export(w io.Writer) error {
	p := &printer{secret: Secret.Reveal, database: func(s string) string { return s }}
	p.config(c)
	_, err := w.Write(p.out.Bytes())
	return err
}

var databasePassword = regexp.MustCompile(`(://[^/@]*:)[^/?#]*@|((?i:password)=)[^&]*`)

// redactDatabase hides the password in a PostgreSQL URL.
func redactDatabase(url string) string {
	return databasePassword.ReplaceAllStringFunc(url, func(found string) string {
		m := databasePassword.FindStringSubmatch(found)
		if m[1] != "" {
			return m[1] + "[redacted]@"
		}
		return m[2] + "[redacted]"
	})
}

// printer writes YAML. Settings with their zero value are left out where that
// means the same.
type printer struct {
	out      bytes.Buffer
	indent   string
	secret   func(Secret) string
	database func(string) string
}

func (p *printer) comment(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(&p.out, "# %s\n", strings.Join(strings.Fields(text), " "))
}

func (p *printer) group(name string, body func()) {
	fmt.Fprintf(&p.out, "%s%s:\n", p.indent, name)
	p.indent += "  "
	before := p.out.Len()
	body()
	p.indent = strings.TrimSuffix(p.indent, "  ")
	if p.out.Len() == before {
		p.out.Truncate(before - len(p.indent+name+":\n"))
	}
}

// put writes a key; text is quoted.
func (p *printer) put(key string, value any) {
	switch v := value.(type) {
	case string:
		value = strconv.Quote(v)
	case time.Duration:
		value = shortDuration(v)
	}
	fmt.Fprintf(&p.out, "%s%s: %v\n", p.indent, key, value)
}

func (p *printer) optional(key, value string) {
	if value != "" {
		p.put(key, value)
	}
}

func (p *printer) config(c *Config) {
	p.put("profile", string(c.Profile))
	p.put("role", string(c.Role))
	p.comment("decided by: %s", c.RoleFrom)
	if c.Offset != 0 {
		p.comment("The offset %d is contained in the ports below.", c.Offset)
	}
	p.put("host", c.Host)
	p.put("management_host", c.ManagementHost)
	p.group("listen", func() {
		p.put("management", c.Listen.Management)
		p.put("operations", c.Listen.Operations)
		p.put("http", c.Listen.HTTP)
		p.put("https", c.Listen.HTTPS)
	})
	p.group("operations", func() { p.optional("token_file", c.Operations.TokenFile) })
	p.optional("database", p.database(c.Database))
	p.optional("database_key_file", c.DatabaseKey)
	if c.Cluster.Listen != "" {
		p.cluster(c.Cluster)
	}
	p.group("control_plane", func() {
		p.optional("url", c.ControlPlane.URL)
		if c.ControlPlane.KeyManager != c.ControlPlane.URL {
			p.optional("key_manager", c.ControlPlane.KeyManager)
		}
		p.credential(c.ControlPlane.Username, c.ControlPlane.Password)
		p.optional("ca_file", c.ControlPlane.CAFile)
		p.optional("fingerprint", c.ControlPlane.Fingerprint)
	})
	p.group("key_manager", func() { p.keyManager(c.KeyManager) })
	p.group("management", func() { p.put("legacy_login", c.Management.LegacyLogin) })
	if len(c.Import.Allow) > 0 {
		p.group("import", func() { p.list("allow", c.Import.Allow) })
	}
	p.group("gateway", func() {
		p.optional("name", c.Gateway.Name)
		p.put("clock_leeway", c.Gateway.ClockLeeway)
		p.put("remove_authorization", c.Gateway.RemoveAuthorization)
		p.put("access_log", c.Gateway.AccessLog)
		if len(c.Gateway.CAFiles) > 0 {
			p.list("ca_files", c.Gateway.CAFiles)
		}
	})
	p.group("backend_jwt", func() {
		p.put("enabled", c.BackendJWT.Enabled)
		p.put("header", c.BackendJWT.Header)
		p.put("dialect", c.BackendJWT.Dialect)
		p.put("omit_user", c.BackendJWT.OmitUser)
	})
	p.group("cors", func() {
		p.put("enabled", c.CORS.Enabled)
		p.list("origins", c.CORS.Origins)
		p.list("methods", c.CORS.Methods)
		p.list("headers", c.CORS.Headers)
		p.put("credentials", c.CORS.Credentials)
	})
	p.group("tiers", func() { p.put("unlimited", c.Tiers.Unlimited) })
	p.portals(c)
	p.group("tls", func() {
		p.optional("management_certificate", c.TLS.ManagementCertificate)
		p.optional("management_key", c.TLS.ManagementKey)
		p.optional("traffic_certificate", c.TLS.TrafficCertificate)
		p.optional("traffic_key", c.TLS.TrafficKey)
	})
	p.group("environments", func() {
		for _, e := range c.Environments {
			p.environment(e)
		}
	})
}

func (p *printer) credential(username string, password Secret) {
	p.optional("username", username)
	if password != "" {
		p.put("password", p.secret(password))
	}
}

func (p *printer) cluster(c Cluster) {
	p.group("bus", func() {
		p.group("cluster", func() {
			p.put("listen", c.Listen)
			var peers []string
			for _, s := range c.Peers {
				peers = append(peers, strconv.Quote(s))
			}
			fmt.Fprintf(&p.out, "%speers: [%s]\n", p.indent, strings.Join(peers, ", "))
		})
	})
}

func (p *printer) keyManager(k KeyManager) {
	p.put("reveal_secrets", k.RevealSecrets)
	p.put("password_grant", k.PasswordGrant)
	p.put("access_token_ttl", k.AccessTokenTTL)
	p.put("max_access_token_ttl", k.MaxAccessTokenTTL)
	p.put("refresh_token_ttl", k.RefreshTokenTTL)
	p.put("id_token_ttl", k.IDTokenTTL)
	p.put("revoke_url", k.RevokeURL)
	p.put("application_scope", k.ApplicationScope)
	p.list("scope_whitelist", k.ScopeWhitelist)
}

func (p *printer) list(key string, items []string) {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = strconv.Quote(s)
	}
	fmt.Fprintf(&p.out, "%s%s: [%s]\n", p.indent, key, strings.Join(quoted, ", "))
}

func (p *printer) portals(c *Config) {
	p.group("store", func() {
		p.put("url", c.Store.URL)
		p.put("display_all_apis", c.Store.DisplayAllAPIs)
		p.put("display_multiple_versions", c.Store.DisplayMultipleVersions)
		p.put("display_comments", c.Store.DisplayComments)
		p.put("display_ratings", c.Store.DisplayRatings)
		p.put("apis_per_page", c.Store.APIsPerPage)
	})
	p.group("publisher", func() {
		p.put("url", c.Publisher.URL)
		p.put("apis_per_page", c.Publisher.APIsPerPage)
	})
}

func (p *printer) environment(e Environment) {
	fmt.Fprintf(&p.out, "%s- name: %s\n", p.indent, strconv.Quote(e.Name))
	outer := p.indent
	p.indent += "  "
	p.put("type", e.Type)
	p.optional("description", e.Description)
	p.put("console", e.Console)
	p.optional("server_url", e.ServerURL)
	p.credential(e.Username, e.Password)
	p.put("host", e.Host)
	if e.HTTPPort != 0 {
		p.put("http_port", e.HTTPPort)
	}
	p.put("https_port", e.HTTPSPort)
	p.optional("context", e.Context)
	p.indent = outer
}
