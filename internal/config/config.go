// Package config is what a Sluice process is told when it starts: the typed
// Config, its defaults, and how it is read from sluice.yaml and checked.
//
// It is strict: an unknown key, a wrong type or an impossible value is a
// Problem with file and line, all problems of all files are reported in one
// run, and nothing is ignored without a word. Homes in the WSO2 layout are
// read by config/wso2, which returns the same Config.
//
// Config is plain data. Constructors of other packages do not take it; package
// server translates.
package config

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config is the configuration of one process, complete: every default is
// filled in and every port has its final value, offset included.
type Config struct {
	Home    string  // absolute path of the home folder
	Layout  Layout  // how the home's configuration was written
	Profile Profile // quickstart allows what only a loopback installation may
	Role    Role

	// RoleFrom says what decided the Role, as shown in the start-up summary:
	// "repository/conf/api-manager.xml:57" or "default".
	RoleFrom string

	Offset int // added to every port; already contained in the ports below
	Listen Listen

	Host           string // public host of gateway traffic
	ManagementHost string // public host of portals, REST and Key Manager; part of the issuer

	Database     string // "postgres://…"; empty: SQLite below Home
	DatabaseKey  string // file with the key that opens the secrets in it; empty: below Home, made at the first start
	Cluster      Cluster
	ControlPlane ControlPlane
	KeyManager   KeyManager
	Management   Management
	Import       Import
	Gateway      Gateway
	TLS          TLS
	Operations   Operations
	BackendJWT   BackendJWT
	CORS         CORS
	Tiers        Tiers
	Store        Store
	Publisher    Publisher

	// Environments are the gateway environments that the configuration fixes,
	// in the order of the file. Only a control plane uses them.
	Environments []Environment

	// Warnings are what the reader should know though it stops nothing, in the
	// form "FILE:LINE: text", or without a place where it concerns a whole file.
	Warnings []string
}

// Layout is the form in which a home holds its configuration.
type Layout string

// Layouts.
const (
	Native Layout = "native" // sluice.yaml
	WSO2   Layout = "wso2"   // repository/conf/carbon.xml and api-manager.xml
)

// Profile selects the defaults of a whole installation.
type Profile string

// Profiles.
const (
	Production Profile = "production"
	// Quickstart keeps every listener on loopback and allows the documented
	// default login there; it is never for more than one machine.
	Quickstart Profile = "quickstart"
)

// Role is what a process does.
type Role string

// Roles.
const (
	All              Role = "all"           // control plane, Key Manager and gateway
	ControlPlaneOnly Role = "control-plane" // control plane and Key Manager
	GatewayOnly      Role = "gateway"
)

// Listen holds the addresses to listen on, each "host:port" with a host that is
// an IP address or empty for all interfaces. In the quickstart profile an
// unset host is "localhost", which means 127.0.0.1 and ::1.
type Listen struct {
	Management string // 9443: portals, REST, Key Manager, enrolment, bus
	Operations string // 9763: health, metrics; loopback unless configured
	HTTP       string // 8280: gateway traffic
	HTTPS      string // 8243: gateway traffic
}

// ControlPlane tells a gateway where to enrol, and a process with all roles how
// to enrol its own gateway.
type ControlPlane struct {
	URL         string // "https://host:port", no path
	KeyManager  string // "https://host:port" of the Key Manager for /token …; normally URL
	Username    string // enrolment credential, used once
	Password    Secret
	CAFile      string // PEM; pins the control plane's CA
	Fingerprint string // SHA-256 of the CA certificate, hex; another way to pin it
	From        string // FILE:LINE that named URL
}

// Cluster says how several control planes over one database find each other.
type Cluster struct {
	Listen string   // "host:port" where others connect: 6222; empty: this is the only control plane
	Peers  []string // "host:port" of others
}

// KeyManager holds the settings of the OAuth 2.0 server.
type KeyManager struct {
	RevealSecrets     bool          // keep consumer secrets encrypted and show them again to their owner
	PasswordGrant     bool          // the grant may be ticked at all; quickstart also ticks it for new keys
	AccessTokenTTL    time.Duration // default validity of access tokens
	MaxAccessTokenTTL time.Duration // the most a consumer key may ask for
	RefreshTokenTTL   time.Duration // validity of each refresh token
	IDTokenTTL        time.Duration // validity of id_tokens
	RevokeURL         string        // address shown in the Store
	ApplicationScope  string        // scope added to client_credentials tokens
	ScopeWhitelist    []string      // regular expressions of scopes granted without a role check
}

// Management holds the settings of the management REST API.
type Management struct {
	LegacyLogin bool // password grant and basic-auth registration for management clients, as apictl uses
}

// Import holds the settings of API definitions that are fetched from an address.
type Import struct {
	Allow []string // hosts, IP addresses and networks that may be called though they are not public
}

// Gateway holds the settings of the data plane.
type Gateway struct {
	Name                string        // shown in lists; by default this machine's name and the HTTPS port
	ClockLeeway         time.Duration // allowed clock difference when token times are judged
	RemoveAuthorization bool          // drop Authorization before the backend
	CAFiles             []string      // PEM files whose CAs backends may have, beside the machine's
	AccessLog           string        // path of the access log, relative to Home; Stdout, or Off
}

// What Gateway.AccessLog may say instead of a path.
const (
	Off    = "off"
	Stdout = "stdout"
)

// BackendJWT says what gateways tell backends of the caller, in a signed token.
type BackendJWT struct {
	Enabled  bool
	Header   string // name of the field
	Dialect  string // URI before the names of claims
	OmitUser bool   // of client_credentials tokens
}

// CORS is what browsers may do with APIs that say nothing of it.
type CORS struct {
	Enabled     bool
	Origins     []string // "*": every one
	Methods     []string
	Headers     []string
	Credentials bool
}

// Tiers says which tiers are offered.
type Tiers struct {
	Unlimited bool // the tier without a limit
}

// Store holds the settings of the API Store.
type Store struct {
	URL                     string // "https://host:port/store"
	DisplayAllAPIs          bool   // list deprecated APIs beside published ones
	DisplayMultipleVersions bool   // list all versions of an API, not the newest alone
	DisplayComments         bool
	DisplayRatings          bool
	APIsPerPage             int
}

// Publisher holds the settings of the API Publisher.
type Publisher struct {
	URL         string // "https://host:port/publisher"
	APIsPerPage int
}

// TLS names certificates brought by the operator; empty: issued by Sluice's CA.
type TLS struct {
	ManagementCertificate, ManagementKey string // PEM files
	TrafficCertificate, TrafficKey       string // PEM files
}

// Operations says who may see more than health on an operations port that others
// reach.
type Operations struct {
	TokenFile string // file with the bearer token, for its owner alone; empty: nobody
	Token     Secret // what it holds
}

// Environment is one gateway environment as configured.
type Environment struct {
	Name        string
	Type        string // production, sandbox or hybrid
	Description string
	Console     bool   // shown in the API Console
	ServerURL   string // "https://host:port" of the gateway's management port; empty: gateways join by token
	Username    string
	Password    Secret
	Host        string // vhost
	HTTPPort    int    // 0: no HTTP address
	HTTPSPort   int
	Context     string // path prefix of the vhost, normally empty
	From        string // FILE:LINE
	Own         bool   // ServerURL is this process's own: its gateway serves the environment
}

// Secret is a string that prints as "[redacted]" wherever it is formatted.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret in %#v.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret in logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the secret in JSON, YAML and text.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Problem is one thing wrong with the configuration.
type Problem struct {
	File string // relative to the home
	Line int    // 0 where it concerns the whole file
	Text string
}

// Problems are all things wrong with a configuration.
type Problems []Problem

// Error returns one problem on each line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Error returns "FILE:LINE: text".
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}
