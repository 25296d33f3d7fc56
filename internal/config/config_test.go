package config_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-api/sluice/internal/config"
)

// load loads a home with that sluice.yaml.
func load(t testing.TB, yaml string, o config.Overrides) (*config.Config, []config.Problem) {
	t.Helper()
	return config.Load(writeHome(t, map[string]string{"sluice.yaml": yaml}), o)
}

func TestProblems(t *testing.T) {
	environment := "environments:\n- {name: A, type: hybrid, https_port: 1, "
	for name, test := range map[string]struct{ yaml, want string }{
		"offset below 0":               {"offset: -1", "sluice.yaml:1: offset -1 is below 0"},
		"offset not a number":          {"offset: abc", `sluice.yaml:1: offset "abc" is not a whole number`},
		"offset with a point":          {"offset: 1.5", `sluice.yaml:1: offset "1.5" is not a whole number`},
		"offset too high":              {"offset: 60000", "sluice.yaml:1: offset 60000 moves port 9443 to 69443; the highest port is 65535"},
		"offset just too high":         {"offset: 56000", "sluice.yaml:1: offset 56000 moves port 9763 to 65763; the highest port is 65535"},
		"offset beyond numbers":        {"offset: 99999999999999999999", "sluice.yaml:1: offset 99999999999999999999 is too high; the highest port is 65535"},
		"offset at the end of numbers": {"offset: 9223372036854775807", "sluice.yaml:1: offset 9223372036854775807 is too high; the highest port is 65535"},
		"offset and own port": {
			"offset: 10\nlisten: {http: 65530}",
			"sluice.yaml:1: offset 10 moves port 65530 to 65540; the highest port is 65535",
		},
		"two own ports equal": {"listen:\n  https: 9443", "sluice.yaml:2: listen.management and listen.https are both port 9443; give each its own"},
		"own port beyond loopback": {
			"listen:\n  operations: 127.0.0.1:9000\n  http: 0.0.0.0:9000",
			"sluice.yaml:3: listen.operations and listen.http are both port 9000; give each its own",
		},
		"listen on a name": {
			"listen: {http: example.com:80}",
			`sluice.yaml:1: listen.http "example.com:80" is not an address to listen on; write an IP address, a port, or both, as in "127.0.0.1:8280"`,
		},
		"quickstart beyond loopback": {
			"profile: quickstart\nlisten:\n  management: 192.0.2.7:9443",
			"sluice.yaml:3: default password on a non-loopback address (port 9443 on 192.0.2.7); run sluice init or set a password",
		},
		"quickstart on all addresses": {
			"profile: quickstart\noffset: 1\nlisten:\n  https: 0.0.0.0",
			"sluice.yaml:4: default password on a non-loopback address (port 8244 on 0.0.0.0); run sluice init or set a password",
		},
		"default password": {
			"control_plane:\n  username: admin\n  password: admin",
			`sluice.yaml:3: user "admin" has the default password and port 9443 listens on all addresses; set a password or listen on loopback`,
		},
		"default password of an environment": {
			"listen: {management: 192.0.2.7}\n" + environment + "username: admin, password: admin}",
			`sluice.yaml:3: user "admin" has the default password and port 9443 listens on 192.0.2.7; set a password or listen on loopback`,
		},
		"half a credential": {"control_plane: {username: admin}", "sluice.yaml:1: control_plane.username is given without a password"},
		"two passwords": {
			"control_plane:\n  username: a\n  password: b\n  password_file: c",
			"sluice.yaml:4: control_plane.password_file is given, and so is control_plane.password in sluice.yaml:3; keep one",
		},
		"password file missing": {
			"control_plane: {username: a, password_file: none}",
			"sluice.yaml:1: control_plane.password_file cannot be read: stat HOME/none: no such file or directory",
		},
		"fingerprint": {
			`control_plane: {fingerprint: "12:34"}`,
			"sluice.yaml:1: control_plane.fingerprint must be a SHA-256 in 64 hexadecimal digits, as sluice shows it",
		},
		"control plane by http": {
			"control_plane: {url: http://localhost:9443}",
			`sluice.yaml:1: control_plane.url must begin with https:// ("http://localhost:9443")`,
		},
		"control plane with password in its URL": {
			"control_plane: {url: https://admin:hidden@control:9443}",
			`sluice.yaml:1: control_plane.url "https://[redacted]@control:9443" is not an address like https://host:9443/services/`,
		},
		"control plane on no port": {
			"control_plane: {url: https://control:99999}",
			`sluice.yaml:1: control_plane.url "https://control:99999" is not an address like https://host:9443/services/`,
		},
		"placeholder": {"control_plane: {url: https://<the host>:9443}", "sluice.yaml:1: replace <the host> by an address"},
		"role against URL": {
			"role: all\ncontrol_plane: {url: https://control:9443}",
			"sluice.yaml:1: role all contradicts control_plane.url in sluice.yaml:2, which is another instance",
		},
		"gateway of itself": {
			"role: gateway\ncontrol_plane: {url: https://localhost:9443}",
			"sluice.yaml:1: role gateway contradicts control_plane.url in sluice.yaml:2, which is this instance",
		},
		"key manager elsewhere": {
			"control_plane: {key_manager: https://keys:9443}",
			"sluice.yaml:1: control_plane.key_manager is another instance, but the role is all",
		},
		"token longer than allowed": {
			"key_manager: {access_token_ttl: 25h}",
			"sluice.yaml:1: key_manager.access_token_ttl 25h is above max_access_token_ttl, which is 24h",
		},
		"no token":         {"key_manager: {access_token_ttl: 0s}", "sluice.yaml:1: key_manager.access_token_ttl 0s is below 1s"},
		"host with scheme": {"host: https://example.com", `sluice.yaml:1: host "https://example.com" is not a host name or address`},
		"half an address":  {"host: 1.2.3", `sluice.yaml:1: host "1.2.3" is not a host name or address`},

		"second environment": {
			"environments:\n- {name: Production Gateway, type: production}\n- {name: ' PRODUCTION gateway', type: sandbox, host: b}",
			`sluice.yaml:3: environment "PRODUCTION gateway" is already defined in line 2; names must be unique`,
		},
		"second environment in another Unicode form": {
			"environments:\n- {name: \u00c4pfel, type: production}\n- {name: \u0061\u0308PFEL, type: sandbox, host: b}",
			`sluice.yaml:3: environment "äPFEL" is already defined in line 2; names must be unique`,
		},
		"environment without type": {"environments:\n- name: X", `sluice.yaml:2: environment "X" has no type; write type: production, sandbox or hybrid`},
		"environment without name": {"environments:\n- type: hybrid", "sluice.yaml:2: environment has no name"},
		"environment with a long name": {
			"environments:\n- {type: hybrid, name: " + strings.Repeat("x", 256) + "}",
			`sluice.yaml:2: environment name "` + strings.Repeat("x", 200) + `…" is longer than 255 characters`,
		},
		"environment with a control character": {
			"environments:\n- {type: hybrid, name: \"a\\tb\"}",
			`sluice.yaml:2: environment name "a\tb" contains a control character`,
		},
		"environment with another's server": {
			"environments:\n- {name: X, type: hybrid, server_url: https://GW:9444/services}\n- {name: Y, type: hybrid, host: b, server_url: https://gw:9444}",
			`sluice.yaml:3: server_url is already that of environment "X" in line 2`,
		},
		"environment on no port":      {environment + "http_port: 70000}", "sluice.yaml:2: port 70000 does not exist"},
		"environment on one port":     {environment + "http_port: 1}", `sluice.yaml:2: environment "A" has one port for http and https`},
		"environment with dots":       {environment + "context: /a/../b}", `sluice.yaml:2: context "/a/../b" must be a path such as /apis`},
		"environment with bad server": {environment + "server_url: https://:9444}", `sluice.yaml:2: server_url "https://:9444" is not an address like https://host:9443/services/`},

		"aliases":         {"host: &h a\n", "sluice.yaml:1: anchors (&h) are not allowed"},
		"not UTF-8":       {"# \xff", "sluice.yaml:1: not well-formed: not text in UTF-8"},
		"two documents":   {"offset: 1\n---\noffset: 2\n", "sluice.yaml:2: a second document begins here; the file holds one"},
		"a list":          {"- offset", "sluice.yaml:1: the file must consist of keys and values, such as profile: production"},
		"not well-formed": {"host: a: b", "sluice.yaml:1: not well-formed: mapping values are not allowed in this context"},
		"number as text":  {"host: 5", "sluice.yaml:1: host must be text; put it in quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			c, problems := load(t, test.yaml, machine())
			got := strings.ReplaceAll(strings.TrimSpace(problemLines(problems)), c.Home, "HOME")
			if got != test.want {
				t.Errorf("problems of %q:\ngot  %s\nwant %s", test.yaml, got, test.want)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	for name, yaml := range map[string]string{
		"nothing":                            "",
		"groups whose keys are commented":    "listen:\nenvironments:\ntls:\n",
		"empty texts":                        `database: ""`,
		"byte order mark":                    "\ufeffprofile: quickstart",
		"one port on two loopback addresses": "listen: {http: '127.0.0.1:9000', https: '127.0.0.2:9000'}",
		"any free port":                      "listen: {http: 0, https: ':0'}",
		"default password on loopback":       "listen: {management: 127.0.0.1}\ncontrol_plane: {username: admin, password: admin}",
		"quickstart on loopback addresses":   "profile: quickstart\nlisten: {management: '[::1]:9443', http: 127.0.0.1, https: localhost}",
		"offset at its limit":                "offset: 55772",
		"PostgreSQL":                         "database: postgresql://db/sluice",
	} {
		t.Run(name, func(t *testing.T) {
			if _, problems := load(t, yaml, machine()); len(problems) > 0 {
				t.Errorf("problems of %q: %v", yaml, problems)
			}
		})
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	home := t.TempDir()
	for name, test := range map[string]struct {
		make func(file string) error
		want string
	}{
		"folder": {func(file string) error { return os.Mkdir(file, 0o700) }, "cannot be read: it is not a regular file"},
		"too large": {
			func(file string) error { return os.WriteFile(file, bytes.Repeat([]byte("#"), 1<<20+1), 0o600) },
			"cannot be read: it is larger than 1048576 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(home, "sluice.yaml")
			if err := test.make(file); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(file)
			_, problems := config.Load(home, machine())
			if got, want := problemLines(problems), "sluice.yaml: "+test.want+"\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	if _, problems := config.Load(filepath.Join(home, "none"), machine()); len(problems) != 1 {
		t.Errorf("a home that does not exist: %v, want one problem", problems)
	}
}

func TestRole(t *testing.T) {
	const url = "control_plane:\n  url: https://%s:9443/services/\n"
	for name, test := range map[string]struct {
		yaml string
		want config.Role
		from string
	}{
		"nothing said":                {"", config.All, "default"},
		"localhost":                   {fmt.Sprintf(url, "localhost"), config.All, "sluice.yaml:2"},
		"a loopback address":          {fmt.Sprintf(url, "127.0.0.53"), config.All, "sluice.yaml:2"},
		"an address of this machine":  {fmt.Sprintf(url, "192.0.2.7"), config.All, "sluice.yaml:2"},
		"an IPv6 one":                 {fmt.Sprintf(url, "[2001:db8:0::7]"), config.All, "sluice.yaml:2"},
		"this machine's name":         {fmt.Sprintf(url, "HOST-A"), config.All, "sluice.yaml:2"},
		"its public name":             {"management_host: apis.example.com\n" + fmt.Sprintf(url, "apis.example.com"), config.All, "sluice.yaml:3"},
		"another machine":             {fmt.Sprintf(url, "192.0.2.8"), config.GatewayOnly, "sluice.yaml:2"},
		"another port of this one":    {"offset: 1\n" + fmt.Sprintf(url, "localhost"), config.GatewayOnly, "sluice.yaml:3"},
		"control plane alone":         {"role: control-plane", config.ControlPlaneOnly, "sluice.yaml:1"},
		"gateway that joins by token": {"role: gateway", config.GatewayOnly, "sluice.yaml:1"},
	} {
		t.Run(name, func(t *testing.T) {
			c, problems := load(t, test.yaml, machine())
			if c.Role != test.want || c.RoleFrom != test.from || len(problems) > 0 {
				t.Errorf("role %s from %s, %v; want %s from %s", c.Role, c.RoleFrom, problems, test.want, test.from)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	o := machine()
	offset := 2
	o.Offset, o.Profile, o.Role = &offset, config.Quickstart, config.ControlPlaneOnly
	c, problems := load(t, "offset: nonsense is not looked at\nprofile: production", o)
	if len(problems) != 1 { // its type is still wrong
		t.Errorf("problems %v, want one", problems)
	}
	want := config.Listen{Management: "localhost:9445", Operations: "127.0.0.1:9765", HTTP: "localhost:8282", HTTPS: "localhost:8245"}
	if c.Listen != want || c.Profile != config.Quickstart || c.Role != config.ControlPlaneOnly || c.RoleFrom != "command line" {
		t.Errorf("got %v, %s, %s from %s", c.Listen, c.Profile, c.Role, c.RoleFrom)
	}
	offset = -1
	_, problems = load(t, "", o)
	if got, want := problemLines(problems), "command line: Offset -1 is below 0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWarnings(t *testing.T) {
	c, problems := load(t, `profile: quickstart
control_plane: {url: https://192.0.2.8:9443}
environments:
- {name: A, type: production, host: gw, https_port: 443}
- {name: B, type: sandbox, host: gw, https_port: 443}
`, machine())
	want := []string{
		"sluice.yaml:2: https://192.0.2.8:9443 is another machine, and the quickstart profile, with its default password, is for one machine only",
		`sluice.yaml:5: environment "B" has the same public address as environment "A" in line 4`,
		"sluice.yaml:4: environments are not used here: this instance is a gateway, because of sluice.yaml:2",
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" || len(problems) > 0 {
		t.Errorf("problems %v, warnings (-want +got):\n%s", problems, diff)
	}
}

func TestOwnEnvironment(t *testing.T) {
	c, _ := load(t, `environments:
- {name: A, type: hybrid, server_url: "https://192.0.2.7:9443"}
- {name: B, type: hybrid, server_url: "https://192.0.2.7:9444", host: b}
- {name: C, type: hybrid, host: c}
`, machine())
	for i, want := range []bool{true, false, false} {
		if c.Environments[i].Own != want {
			t.Errorf("environment %s: Own = %v, want %v", c.Environments[i].Name, !want, want)
		}
	}
}

func TestLocal(t *testing.T) {
	addresses := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "a.localhost": true, "127.1.2.3": true, "::1": true, "[::1]": true, "0.0.0.0": true,
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "2001:DB8::0:7": true, "apis.example.com": true, "APIS.example.com.": true,
		"203.0.113.1": true, // named, though no interface has it
		"":            false, "192.0.2.8": false, "example.com": false, "localhost.example.com": false, "2001:db8::8": false,
	} {
		if got := config.Local(host, addresses, "apis.example.com", "203.0.113.1", ""); got != want {
			t.Errorf("Local(%q) = %v, want %v", host, got, want)
		}
	}
}

func TestTemplate(t *testing.T) {
	for _, profile := range []config.Profile{config.Quickstart, config.Production} {
		for _, offset := range []int{0, 2} {
			c, problems := load(t, string(config.Template(profile, offset)), machine())
			if len(problems) > 0 || len(c.Warnings) > 0 || c.Profile != profile || c.Offset != offset || c.Role != config.All {
				t.Errorf("%s, offset %d: %s, offset %d, role %s, %v %v", profile, offset, c.Profile, c.Offset, c.Role, problems, c.Warnings)
			}
			if len(c.Environments) != 1 || !c.Environments[0].Own {
				t.Errorf("%s, offset %d: environments %+v, want its own", profile, offset, c.Environments)
			}
		}
	}
}

// TestExport reads every golden configuration, exported, again.
func TestExport(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		_, files := readArchive(t, name)
		want, problems := config.Load(writeHome(t, files), machine())
		if len(problems) > 0 {
			continue
		}
		var exported bytes.Buffer
		if err := want.Export(&exported); err != nil {
			t.Fatal(err)
		}
		got, problems := load(t, exported.String(), machine())
		if len(problems) > 0 {
			t.Errorf("%s: exported configuration:\n%s%v", name, exported.String(), problems)
		}
		places := cmp.Options{
			cmpopts.IgnoreFields(config.Config{}, "Home", "Offset", "RoleFrom", "Warnings"),
			cmpopts.IgnoreFields(config.ControlPlane{}, "From"), cmpopts.IgnoreFields(config.Environment{}, "From"),
			cmpopts.EquateEmpty(), cmp.Comparer(func(a, b config.Secret) bool { return a.Reveal() == b.Reveal() }),
		}
		if diff := cmp.Diff(want, got, places); diff != "" {
			t.Errorf("%s: exported and read again (-want +got):\n%s", name, diff)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	_, files := readArchive(t, "testdata/full.txtar")
	c, _ := config.Load(writeHome(t, files), machine())
	if c.ControlPlane.Password.Reveal() != "hidden" {
		t.Fatalf("password %q, want that of the file", c.ControlPlane.Password.Reveal())
	}
	if text := show(t, c); strings.Contains(text, "hidden") {
		t.Errorf("Show shows a secret:\n%s", text)
	}
	if text := fmt.Sprintf("%+v %#v", c.ControlPlane, c.Environments); strings.Contains(text, "hidden") {
		t.Errorf("formatting shows a secret: %s", text)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"Environment", "Name", "ServerURL"}
	for name, want := range map[string]string{
		"Enviroment": "Environment", "name": "Name", "Nmae": "Name", "ServerUrl": "ServerURL", "SeverURL": "ServerURL",
		"Gateway": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got := config.Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		_, files := readArchive(f, name)
		f.Add([]byte(files["sluice.yaml"]))
	}
	home := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(home, "sluice.yaml"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, problems := config.Load(home, machine())
		lines := 1
		for _, lineBreak := range []string{"\n", "\r", "\u2028", "\u2029"} { // as YAML counts
			lines += bytes.Count(data, []byte(lineBreak))
		}
		for _, p := range problems {
			if p.File != "sluice.yaml" || p.Text == "" || p.Line < 0 || p.Line > lines {
				t.Errorf("problem %+v in a file of %d lines", p, lines)
			}
		}
		if strings.Contains(show(t, c), "\x00") {
			t.Error("Show writes a zero byte")
		}
	})
}
