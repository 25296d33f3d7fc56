package config

import (
	"fmt"
	"iter"
)

// Value is one setting as a file says it, with the place where it stands. The
// zero Value is a setting that nobody wrote.
type Value struct {
	Text string
	Name string // what the file calls it: "Offset", "listen.http"
	File string // relative to the home, or "command line"
	Line int

	// Reported says that the text is wrong and that a Problem says so. Nothing
	// more is said of it, and the default stands in.
	Reported bool
}

// Set reports whether somebody wrote the setting.
func (v Value) Set() bool { return v.Name != "" }

// Usable reports whether somebody wrote the setting and nothing is known to be
// wrong with it.
func (v Value) Usable() bool { return v.Set() && !v.Reported }

// From returns the place as "FILE:LINE", or "default" for a zero Value.
func (v Value) From() string {
	switch {
	case !v.Set():
		return "default"
	case v.Line == 0:
		return v.File
	}
	return fmt.Sprintf("%s:%d", v.File, v.Line)
}

// Problem returns a Problem at the place of v.
func (v Value) Problem(format string, args ...any) Problem {
	return Problem{File: v.File, Line: v.Line, Text: fmt.Sprintf(format, args...)}
}

// Settings is what the files of a home say, before defaults and checks. The
// reader of each layout fills it in; a Draft makes a Config of it.
type Settings struct {
	Profile, Role        Value
	Offset               Value
	Host, ManagementHost Value
	Database             Value
	DatabaseKey          Value

	Listen struct {
		Management, Operations, HTTP, HTTPS Value // "host:port", "host" or ":port", before the offset
	}
	Cluster struct {
		Listen Value
		Peers  []Value // nil: nobody wrote the list
	}
	ControlPlane struct {
		URL, KeyManager, Username, Password, PasswordFile, CAFile, Fingerprint Value
	}
	KeyManager struct {
		RevealSecrets, PasswordGrant, AccessTokenTTL, MaxAccessTokenTTL Value
		RefreshTokenTTL, IDTokenTTL                                     Value
		RevokeURL, ApplicationScope                                     Value
		ScopeWhitelist                                                  []Value // nil: nobody wrote the list
	}
	Management struct {
		LegacyLogin Value
	}
	Import struct {
		Allow []Value
	}
	Gateway struct {
		Name, ClockLeeway, RemoveAuthorization, AccessLog Value
		CAFiles                                           []Value // nil: nobody wrote the list
	}
	TLS struct {
		ManagementCertificate, ManagementKey, TrafficCertificate, TrafficKey Value
	}
	Operations struct {
		TokenFile Value
	}
	BackendJWT struct {
		Enabled, Header, Dialect, OmitUser Value
	}
	CORS struct {
		Enabled, Credentials      Value
		Origins, Methods, Headers []Value // nil: nobody wrote the list
	}
	Tiers struct {
		Unlimited Value
	}
	Store struct {
		URL, DisplayAllAPIs, DisplayMultipleVersions, DisplayComments, DisplayRatings, APIsPerPage Value
	}
	Publisher struct {
		URL, APIsPerPage Value
	}
	Environments []EnvironmentSettings
}

// EnvironmentSettings is one gateway environment as a file says it.
type EnvironmentSettings struct {
	At Value // where the environment begins

	Name, Type, Description, Console Value
	ServerURL, Username, Password    Value
	Host, HTTPPort, HTTPSPort        Value
	Context                          Value
}

// Values yields every setting that holds one value, with its path in
// sluice.yaml, such as "listen.http"; environments and lists are not among them.
func (s *Settings) Values() iter.Seq2[string, *Value] {
	return func(yield func(string, *Value) bool) {
		for _, f := range s.fields() {
			if f.value != nil && !yield(f.path, f.value) {
				return
			}
		}
	}
}

// Lists yields every setting that holds a list, with its path in sluice.yaml;
// environments are not among them.
func (s *Settings) Lists() iter.Seq2[string, *[]Value] {
	return func(yield func(string, *[]Value) bool) {
		for _, f := range s.fields() {
			if f.list != nil && !yield(f.path, f.list) {
				return
			}
		}
	}
}

// kind is the YAML form a setting must have.
type kind int

const (
	text kind = iota
	whole
	boolean
	duration
	portOrText // a port number alone, or text
	texts      // a list
)

// field binds a path in sluice.yaml to its place in Settings.
type field struct {
	path  string
	kind  kind
	value *Value
	list  *[]Value // for texts, instead of value
}

// fields is the list of all keys of sluice.yaml but environments, in the order
// in which they are documented.
func (s *Settings) fields() []field {
	l, c, k, t := &s.Listen, &s.ControlPlane, &s.KeyManager, &s.TLS
	return []field{
		{"profile", text, &s.Profile, nil},
		{"role", text, &s.Role, nil},
		{"offset", whole, &s.Offset, nil},
		{"host", text, &s.Host, nil},
		{"management_host", text, &s.ManagementHost, nil},
		{"listen.management", portOrText, &l.Management, nil},
		{"listen.operations", portOrText, &l.Operations, nil},
		{"listen.http", portOrText, &l.HTTP, nil},
		{"listen.https", portOrText, &l.HTTPS, nil},
		{"operations.token_file", text, &s.Operations.TokenFile, nil},
		{"database", text, &s.Database, nil},
		{"database_key_file", text, &s.DatabaseKey, nil},
		{"bus.cluster.listen", portOrText, &s.Cluster.Listen, nil},
		{"bus.cluster.peers", texts, nil, &s.Cluster.Peers},
		{"control_plane.url", text, &c.URL, nil},
		{"control_plane.key_manager", text, &c.KeyManager, nil},
		{"control_plane.username", text, &c.Username, nil},
		{"control_plane.password", text, &c.Password, nil},
		{"control_plane.password_file", text, &c.PasswordFile, nil},
		{"control_plane.ca_file", text, &c.CAFile, nil},
		{"control_plane.fingerprint", text, &c.Fingerprint, nil},
		{"key_manager.reveal_secrets", boolean, &k.RevealSecrets, nil},
		{"key_manager.password_grant", boolean, &k.PasswordGrant, nil},
		{"key_manager.access_token_ttl", duration, &k.AccessTokenTTL, nil},
		{"key_manager.max_access_token_ttl", duration, &k.MaxAccessTokenTTL, nil},
		{"key_manager.refresh_token_ttl", duration, &k.RefreshTokenTTL, nil},
		{"key_manager.id_token_ttl", duration, &k.IDTokenTTL, nil},
		{"key_manager.revoke_url", text, &k.RevokeURL, nil},
		{"key_manager.application_scope", text, &k.ApplicationScope, nil},
		{"key_manager.scope_whitelist", texts, nil, &k.ScopeWhitelist},
		{"management.legacy_login", boolean, &s.Management.LegacyLogin, nil},
		{"import.allow", texts, nil, &s.Import.Allow},
		{"gateway.name", text, &s.Gateway.Name, nil},
		{"gateway.clock_leeway", duration, &s.Gateway.ClockLeeway, nil},
		{"gateway.remove_authorization", boolean, &s.Gateway.RemoveAuthorization, nil},
		{"gateway.access_log", text, &s.Gateway.AccessLog, nil},
		{"gateway.ca_files", texts, nil, &s.Gateway.CAFiles},
		{"backend_jwt.enabled", boolean, &s.BackendJWT.Enabled, nil},
		{"backend_jwt.header", text, &s.BackendJWT.Header, nil},
		{"backend_jwt.dialect", text, &s.BackendJWT.Dialect, nil},
		{"backend_jwt.omit_user", boolean, &s.BackendJWT.OmitUser, nil},
		{"cors.enabled", boolean, &s.CORS.Enabled, nil},
		{"cors.origins", texts, nil, &s.CORS.Origins},
		{"cors.methods", texts, nil, &s.CORS.Methods},
		{"cors.headers", texts, nil, &s.CORS.Headers},
		{"cors.credentials", boolean, &s.CORS.Credentials, nil},
		{"tiers.unlimited", boolean, &s.Tiers.Unlimited, nil},
		{"store.url", text, &s.Store.URL, nil},
		{"store.display_all_apis", boolean, &s.Store.DisplayAllAPIs, nil},
		{"store.display_multiple_versions", boolean, &s.Store.DisplayMultipleVersions, nil},
		{"store.display_comments", boolean, &s.Store.DisplayComments, nil},
		{"store.display_ratings", boolean, &s.Store.DisplayRatings, nil},
		{"store.apis_per_page", whole, &s.Store.APIsPerPage, nil},
		{"publisher.url", text, &s.Publisher.URL, nil},
		{"publisher.apis_per_page", whole, &s.Publisher.APIsPerPage, nil},
		{"tls.management_certificate", text, &t.ManagementCertificate, nil},
		{"tls.management_key", text, &t.ManagementKey, nil},
		{"tls.traffic_certificate", text, &t.TrafficCertificate, nil},
		{"tls.traffic_key", text, &t.TrafficKey, nil},
	}
}

// fields is the list of all keys of an entry of environments.
func (e *EnvironmentSettings) fields() []field {
	return []field{
		{"name", text, &e.Name, nil},
		{"type", text, &e.Type, nil},
		{"description", text, &e.Description, nil},
		{"console", boolean, &e.Console, nil},
		{"server_url", text, &e.ServerURL, nil},
		{"username", text, &e.Username, nil},
		{"password", text, &e.Password, nil},
		{"host", text, &e.Host, nil},
		{"http_port", whole, &e.HTTPPort, nil},
		{"https_port", whole, &e.HTTPSPort, nil},
		{"context", text, &e.Context, nil},
	}
}
