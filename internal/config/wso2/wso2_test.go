package wso2_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/config/wso2"
)

const (
	carbon     = "repository/conf/carbon.xml"
	apiManager = "repository/conf/api-manager.xml"
)

// edit replaces texts in a shipped file, in pairs of old and new.
func edit(t testing.TB, file string, pairs ...string) map[string]string {
	t.Helper()
	text := shippedUnless(t, nil)[file]
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s has no %q", file, pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return map[string]string{file: text}
}

// load loads a new home with some of its files replaced.
func load(t testing.TB, o config.Overrides, files ...map[string]string) (*config.Config, []config.Problem) {
	t.Helper()
	all := make(map[string]string)
	for _, f := range files {
		maps.Copy(all, f)
	}
	return wso2.Load(writeHome(t, shippedUnless(t, all)), o)
}

// The page's step for instance 1: the shipped Environment deleted, two others.
const pageEnvironments = `<Environments>
            ...
            <Environment type="production">
                <Name>Production Gateway</Name>
                <ServerURL>https://localhost:9444/services/</ServerURL>
                <Username>admin</Username>
                <Password>admin</Password>
                <GatewayEndpoint>http://localhost:8281,https://localhost:8244</GatewayEndpoint>
            </Environment>
            <Environment type="sandbox" api-console="false">
                <Name>Sandbox Gateway</Name>
                <ServerURL>https://localhost:9445//services/</ServerURL>
                <Username>admin</Username>
                <Password>admin</Password>
                <GatewayEndpoint>http://localhost:8282,https://localhost:8245</GatewayEndpoint>
            </Environment>
            ...
        </Environments>`

func TestPageInstance1(t *testing.T) {
	shipped := shippedUnless(t, nil)[apiManager]
	before, rest, _ := strings.Cut(shipped, "<Environments>")
	_, after, _ := strings.Cut(rest, "</Environments>")
	c, problems := load(t, machine(), map[string]string{apiManager: before + pageEnvironments + after})
	if len(problems) > 0 || c.Role != config.All || c.Profile != config.Quickstart {
		t.Fatalf("role %s, profile %s, %v", c.Role, c.Profile, problems)
	}
	want := []config.Environment{
		{
			Name: "Production Gateway", Type: "production", Console: true, ServerURL: "https://localhost:9444", Username: "admin", Password: "admin",
			Host: "localhost", HTTPPort: 8281, HTTPSPort: 8244, From: apiManager + ":23",
		},
		{
			Name: "Sandbox Gateway", Type: "sandbox", Console: false, ServerURL: "https://localhost:9445", Username: "admin", Password: "admin",
			Host: "localhost", HTTPPort: 8282, HTTPSPort: 8245, From: apiManager + ":30",
		},
	}
	if diff := cmp.Diff(want, c.Environments); diff != "" {
		t.Errorf("environments (-want +got):\n%s", diff)
	}
}

// TestPageGateways plays the page's steps for instances 2 and 3, whatever the
// page's user takes as the address of the first instance.
func TestPageGateways(t *testing.T) {
	for _, host := range []string{"localhost", "127.0.0.1", "192.0.2.7", "host-a"} {
		for offset, ports := range map[int]config.Listen{
			1: {Management: "localhost:9444", Operations: "127.0.0.1:9764", HTTP: "localhost:8281", HTTPS: "localhost:8244"},
			2: {Management: "localhost:9445", Operations: "127.0.0.1:9765", HTTP: "localhost:8282", HTTPS: "localhost:8245"},
		} {
			const own = "https://localhost:${mgt.transport.https.port}${carbon.context}services/"
			first := "https://" + host + ":9443/services/"
			shipped := shippedUnless(t, nil)[apiManager]
			edited := strings.NewReplacer("${admin.username}", "admin", "${admin.password}", "admin",
				"<EnableThriftServer>true", "<EnableThriftServer>false",
				"https://localhost:${https.nio.port}/revoke", "https://"+host+":8243/revoke").Replace(shipped)
			for _, section := range []string{"<AuthManager>", "<APIKeyValidator>"} {
				at := strings.Index(edited, section)
				edited = edited[:at] + strings.Replace(edited[at:], own, first, 1)
			}
			c, problems := load(t, machine(), map[string]string{apiManager: edited},
				edit(t, carbon, "<Offset>0</Offset>", fmt.Sprintf("<Offset>%d</Offset>", offset)))
			if len(problems) > 0 || c.Role != config.GatewayOnly || c.RoleFrom != apiManager+":13" || c.Listen != ports {
				t.Errorf("instance %d, first instance %s: role %s from %s, listen %v, %v", offset+1, host, c.Role, c.RoleFrom, c.Listen, problems)
			}
			want := config.ControlPlane{
				URL: "https://" + host + ":9443", KeyManager: "https://" + host + ":9443",
				Username: "admin", Password: "admin", From: apiManager + ":13",
			}
			if diff := cmp.Diff(want, c.ControlPlane); diff != "" {
				t.Errorf("instance %d, first instance %s: control plane (-want +got):\n%s", offset+1, host, diff)
			}
			if want := "https://" + host + ":8243/revoke"; c.KeyManager.RevokeURL != want {
				t.Errorf("revoke URL %s, want %s", c.KeyManager.RevokeURL, want)
			}
			thrift := apiManager + ":44: EnableThriftServer has no effect: no Thrift: gateways verify tokens themselves"
			unused := apiManager + ":25: environments are not used here: this instance is a gateway, because of " + apiManager + ":13"
			if diff := cmp.Diff([]string{thrift, unused}, c.Warnings); diff != "" {
				t.Errorf("instance %d: warnings (-want +got):\n%s", offset+1, diff)
			}
		}
	}
}

// TestOnePlaceForgotten: one ServerURL that names another instance is enough,
// and the other's is said to be left.
func TestOnePlaceForgotten(t *testing.T) {
	const own = "https://localhost:${mgt.transport.https.port}${carbon.context}services/"
	const other = "https://control.example.com:9443/"
	offset := 1
	o := machine()
	o.Offset = &offset
	for section, test := range map[string]struct{ line, warning string }{
		"<AuthManager>":     {":13", apiManager + ":40: APIKeyValidator still names this instance; https://control.example.com:9443 of AuthManager in line 13 is used"},
		"<APIKeyValidator>": {":40", apiManager + ":13: AuthManager still names this instance; https://control.example.com:9443 of APIKeyValidator in line 40 is used"},
	} {
		shipped := shippedUnless(t, nil)[apiManager]
		at := strings.Index(shipped, section)
		c, problems := load(t, o, map[string]string{apiManager: shipped[:at] + strings.Replace(shipped[at:], own, other, 1)})
		if len(problems) > 0 || c.Role != config.GatewayOnly || c.RoleFrom != apiManager+test.line {
			t.Errorf("%s: role %s from %s, %v", section, c.Role, c.RoleFrom, problems)
		}
		if c.ControlPlane.URL != "https://control.example.com:9443" || c.ControlPlane.KeyManager != c.ControlPlane.URL {
			t.Errorf("%s: control plane %+v", section, c.ControlPlane)
		}
		if !strings.Contains(strings.Join(c.Warnings, "\n"), test.warning) {
			t.Errorf("%s: warnings %q, want %q", section, c.Warnings, test.warning)
		}
	}
}

// The rows of the contract's refusals; A21 and, of the fault list, G2, G4, G5 and
// G8 are among them.
func TestRefused(t *testing.T) {
	environment := func(text string) []string { return []string{"</Environments>", text + "\n</Environments>"} }
	second := func(inner string) []string {
		return environment(`<Environment type="sandbox"><Name>B</Name><ServerURL>https://b:9444/</ServerURL><GatewayEndpoint>https://b</GatewayEndpoint>` + inner + "</Environment>")
	}
	endpoint := func(text string) []string {
		return environment(`<Environment type="sandbox"><Name>B</Name><ServerURL>https://b:9444/</ServerURL><GatewayEndpoint>` + text + "</GatewayEndpoint></Environment>")
	}
	server := func(text string) []string {
		return environment(`<Environment type="sandbox"><Name>B</Name><ServerURL>` + text + "</ServerURL><GatewayEndpoint>https://b</GatewayEndpoint></Environment>")
	}
	section := func(text string) []string { return []string{"</APIManager>", text + "</APIManager>"} }
	const shippedName = "<Name>Production and Sandbox</Name>"

	for name, test := range map[string]struct {
		file  string // api-manager.xml where empty
		edits []string
		want  string // after the file's name
	}{
		"G2 offset not a number": {carbon, []string{">0<", ">abc<"}, `19: Offset "abc" is not a whole number`},
		"G2 offset below 0":      {carbon, []string{">0<", ">-1<"}, "19: Offset -1 is below 0"},
		"G2 offset too high":     {carbon, []string{">0<", ">60000<"}, "19: Offset 60000 moves port 9443 to 69443; the highest port is 65535"},

		"name twice": {
			"", environment("<Environment type=\"production\"><Name>  PRODUCTION and sandbox </Name><ServerURL>https://b:9444/</ServerURL><GatewayEndpoint>https://b</GatewayEndpoint></Environment>"),
			`35: environment "PRODUCTION and sandbox" is already defined in line 26; names must be unique`,
		},
		"A21 type missing":  {"", []string{` type="hybrid"`, ""}, `25: environment "Production and Sandbox" has no type; write type="production", "sandbox" or "hybrid"`},
		"A21 type other":    {"", []string{`"hybrid"`, `"prod"`}, `25: type="prod" is not one of production, sandbox, hybrid`},
		"type in case":      {"", []string{`"hybrid"`, `"Hybrid"`}, `25: type="Hybrid" is not one of production, sandbox, hybrid`},
		"A21 console other": {"", []string{`api-console="true"`, `api-console="maybe"`}, `25: api-console="maybe" must be true or false`},
		"no name":           {"", []string{shippedName, ""}, "25: Environment has no Name"},
		"empty name":        {"", []string{shippedName, "<Name> </Name>"}, "25: Environment has no Name"},
		"no ServerURL": {
			"", environment(`<Environment type="sandbox"><Name>B</Name><GatewayEndpoint>https://b</GatewayEndpoint></Environment>`),
			`35: environment "B" has no ServerURL`,
		},
		"no GatewayEndpoint": {
			"", environment(`<Environment type="sandbox"><Name>B</Name><ServerURL>https://b:9444/</ServerURL></Environment>`),
			`35: environment "B" has no GatewayEndpoint`,
		},
		"comma in name":   {"", []string{shippedName, "<Name>A,B</Name>"}, `26: environment name "A,B" contains a comma`},
		"name too long":   {"", []string{shippedName, "<Name>" + strings.Repeat("x", 256) + "</Name>"}, `26: environment name "` + strings.Repeat("x", 200) + `…" is longer than 255 characters`},
		"control in name": {"", []string{shippedName, "<Name>A&#9;B</Name>"}, `26: environment name "A\tB" contains a control character`},

		"G5 server by http":  {"", server("http://localhost:9444/services/"), `35: ServerURL must begin with https:// ("http://localhost:9444/services/")`},
		"server on no port":  {"", server("https://b:99999/services/"), `35: ServerURL "https://b:99999/services/" is not an address like https://host:9443/services/`},
		"server with query":  {"", server("https://b:9444/?x=1"), `35: ServerURL "https://b:9444/?x=1" is not an address like https://host:9443/services/`},
		"server with user":   {"", server("https://u:p@b:9444/"), `35: ServerURL "https://[redacted]@b:9444/" is not an address like https://host:9443/services/`},
		"server is nowhere":  {"", server("https://:9444/"), `35: ServerURL "https://:9444/" is not an address like https://host:9443/services/`},
		"server used twice":  {"", server("https://LOCALHOST:9443"), `35: ServerURL is already that of environment "Production and Sandbox" in line 29`},
		"placeholder":        {"", server("https://<IP of the first instance>:9443/services/"), "35: replace <IP of the first instance> by an address"},
		"placeholder, quote": {"", server("https://&lt;IP of the first instance&gt;:9443/services/"), "35: replace <IP of the first instance> by an address"},
		"placeholder alone":  {"", server("<IP of the first instance>"), "35: replace <IP of the first instance> by an address"},

		"G8 endpoint without https": {"", endpoint("http://b:8281"), `35: GatewayEndpoint of "B": no https URL`},
		"endpoint twice http":       {"", endpoint("http://b:1,http://b:2,https://b"), `35: GatewayEndpoint of "B": two http URLs`},
		"G8 endpoint twice https":   {"", endpoint("https://b:1,https://b:2"), `35: GatewayEndpoint of "B": two https URLs`},
		"endpoint with path":        {"", endpoint("https://b/path"), `35: GatewayEndpoint of "B": "/path" is not allowed`},
		"endpoint with query":       {"", endpoint("https://b?q"), `35: GatewayEndpoint of "B": "?q" is not allowed`},
		"endpoint with user":        {"", endpoint("https://u:p@b"), `35: GatewayEndpoint of "B": "u@" is not allowed`},
		"G8 endpoint on no port":    {"", endpoint("https://b:99999"), `35: GatewayEndpoint of "B": port 99999 does not exist`},
		"G8 endpoint of two hosts":  {"", endpoint("http://a:8281,https://b:8244"), `35: GatewayEndpoint of "B": http and https name different hosts`},
		"G8 endpoint of ftp":        {"", endpoint("ftp://b,https://b"), `35: GatewayEndpoint of "B": "ftp" is neither http nor https`},
		"endpoint not a URL":        {"", endpoint("b:8244"), `35: GatewayEndpoint of "B": "b" is neither http nor https`},
		"endpoint of no host":       {"", endpoint("https://a b"), `35: GatewayEndpoint of "B": an entry is not a URL like https://host:8243`},
		"endpoint placeholder":      {"", endpoint("https://&lt;your host&gt;:8244"), "35: replace <your host> by an address"},
		"G4 not well-formed":        {"", []string{"</AuthManager>", "</AuthManger>"}, "16: not well-formed: element <AuthManager> closed by </AuthManger>"},
		"text after the end":        {"", []string{"</APIManager>", "</APIManager>more"}, "49: not well-formed: text outside the root element"},
		"two roots":                 {"", []string{"</APIManager>", "</APIManager>\n<APIManager/>"}, "50: not well-formed: a second root element"},
		"G4 DOCTYPE":                {"", []string{"<APIManager>", "<!DOCTYPE x [<!ENTITY a 'b'>]>\n<APIManager>"}, "6: DOCTYPE is not allowed"},
		"unknown entity":            {"", []string{shippedName, "<Name>&a;</Name>"}, "26: not well-formed: invalid character entity &a;"},
		"G4 element twice":          {"", []string{shippedName, shippedName + shippedName}, "26: Name is given twice"},
		"section twice":             {"", section("<AuthManager/>"), "49: AuthManager is given twice"},
		"attribute twice":           {"", []string{`type="hybrid"`, `type="hybrid" type="sandbox"`}, "25: type is given twice"},
		"G4 unknown element":        {"", environment("<Enviroment/>"), "35: unknown element Enviroment in Environments; did you mean Environment?"},
		"element in another case":   {"", second("<username>x</username>"), "35: unknown element username in Environment; did you mean Username?"},
		"element elsewhere":         {"", second("<RevokeAPIURL>x</RevokeAPIURL>"), "35: unknown element RevokeAPIURL in Environment; it belongs in APIKeyValidator or OAuthConfigurations"},
		"element below a value":     {"", second("<Description><b>x</b></Description>"), "35: unknown element b in Description"},
		"unknown attribute":         {"", []string{"api-console=", "apiconsole="}, "25: unknown attribute apiconsole in Environment; did you mean api-console?"},
		"unknown property":          {"", []string{"${carbon.context}", "${foo.bar}"}, "13: ${foo.bar} is not a known property"},
		"another root":              {"", []string{"<APIManager>", "<Server>", "</APIManager>", "</Server>"}, "6: the file must begin with the element APIManager, not Server"},
		"unknown encoding":          {"", []string{"UTF-8", "UTF-16"}, `1: not well-formed: encoding "UTF-16" is not known; save the file in UTF-8`},

		"vault alias":          {"", []string{"<Password>", `<Password svns:secretAlias="a.b">`}, "15: the password is a secure vault alias, which Sluice cannot open; name a file instead"},
		"vault alias in text":  {"", []string{"<Password>${admin.password}", `<Password>$secret{a}`}, "15: the password is a secure vault alias, which Sluice cannot open; name a file instead"},
		"secure vault":         {"", section("<EnableSecureVault>true</EnableSecureVault>"), "49: the password is a secure vault alias, which Sluice cannot open; name a file instead"},
		"validation handler":   {"", []string{"</APIKeyValidator>", "<KeyValidationHandlerClassName>org.example.X</KeyValidationHandlerClassName></APIKeyValidator>"}, `47: "org.example.X" is a Java class; Sluice cannot run it`},
		"JWT generator":        {"", section("<JWTConfiguration><JWTGeneratorImpl>org.example.X</JWTGeneratorImpl></JWTConfiguration>"), `49: "org.example.X" is a Java class; Sluice cannot run it`},
		"token generator, 1.9": {"", section("<APIConsumerAuthentication><TokenGeneratorImpl>org.example.X</TokenGeneratorImpl></APIConsumerAuthentication>"), `49: "org.example.X" is a Java class; Sluice cannot run it`},
		"claims retriever":     {"", section("<JWTConfiguration><ClaimsRetrieverImplClass>org.example.X</ClaimsRetrieverImplClass></JWTConfiguration>"), `49: "org.example.X" is a Java class; Sluice cannot run it`},
		"external Key Manager": {"", section("<APIKeyManager><KeyManagerClientImpl>org.example.X</KeyManagerClientImpl></APIKeyManager>"), `49: "org.example.X" is a Java class; Sluice cannot run it; add the external Key Manager in the Admin portal`},
		"approvals":            {"", section("<WorkflowConfigurations><Enabled>true</Enabled></WorkflowConfigurations>"), "49: approvals cannot be taken over from this file"},
		"start-up publishing":  {"", section("<StartupAPIPublisher><Enabled>true</Enabled></StartupAPIPublisher>"), "49: start-up publishing cannot be taken over from this file"},
		"gateway type":         {"", section("<GatewayType>None</GatewayType>"), `49: GatewayType "None" cannot be taken over from this file`},
		"unsigned JWTs":        {"", section("<JWTConfiguration><SignatureAlgorithm>NONE</SignatureAlgorithm></JWTConfiguration>"), "49: unsigned backend JWTs cannot be taken over from this file"},
		"another JWT signature": {
			"", section("<JWTConfiguration><SignatureAlgorithm>MD5withRSA</SignatureAlgorithm></JWTConfiguration>"),
			`49: SignatureAlgorithm "MD5withRSA" is not SHA256withRSA`,
		},
		"scope not a pattern": {
			"", section("<OAuthConfigurations><ScopeWhitelist><Scope>(</Scope></ScopeWhitelist></OAuthConfigurations>"),
			"49: Scope \"(\" is not a regular expression: missing closing ): `(`",
		},
		"depth": {
			"", section(strings.Repeat("<RESTAPI>", 100) + strings.Repeat("</RESTAPI>", 100)),
			"49: elements are nested deeper than 64",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.file == "" {
				test.file = apiManager
			}
			_, problems := load(t, machine(), edit(t, test.file, test.edits...))
			if got, want := problemLines(problems), test.file+":"+test.want+"\n"; got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		})
	}
}

// TestDefaultPassword: admin/admin, as the page has it, is for loopback alone.
// G10: Thrift, on, off or not mentioned, is accepted and said to have no effect.
func TestG10Thrift(t *testing.T) {
	const element = "<EnableThriftServer>true</EnableThriftServer>"
	for value, said := range map[string]bool{element: true, strings.Replace(element, "true", "false", 1): true, "": false} {
		c, problems := load(t, machine(), edit(t, apiManager, element, value))
		if len(problems) > 0 || strings.Contains(strings.Join(c.Warnings, "\n"), "EnableThriftServer has no effect") != said {
			t.Errorf("with %q: %v, warnings %q", value, problems, c.Warnings)
		}
	}
}

// G11.
func TestG11DefaultPassword(t *testing.T) {
	typed := edit(t, apiManager, "${admin.username}", "admin", "${admin.password}", "admin")
	for profile, want := range map[string]string{
		"profile: quickstart":                                         "",
		"profile: quickstart\nlisten: {https: 192.0.2.7}":             "sluice.yaml:2: default password on a non-loopback address (port 8243 on 192.0.2.7); run sluice init or set a password\n",
		"profile: production\nlisten: {management: '127.0.0.1:9443'}": "",
		"profile: production":                                         apiManager + ":15: user \"admin\" has the default password and port 9443 listens on all addresses; set a password or listen on loopback\n",
		"listen: {management: 192.0.2.7}":                             apiManager + ":15: user \"admin\" has the default password and port 9443 listens on 192.0.2.7; set a password or listen on loopback\n",
	} {
		_, problems := load(t, machine(), typed, map[string]string{"sluice.yaml": profile})
		if got := problemLines(problems); got != want {
			t.Errorf("%q: got %q, want %q", profile, got, want)
		}
	}
}

func TestCharacterSets(t *testing.T) {
	named := func(name string) string {
		return edit(t, apiManager, "Production and Sandbox", name)[apiManager]
	}
	for name, test := range map[string]struct{ text, want string }{
		"byte order mark":           {"\ufeff" + named("Südtor"), "Südtor"},
		"Latin-1":                   {strings.Replace(named("S\xfcdtor"), "UTF-8", "ISO-8859-1", 1), "Südtor"},
		"UTF-8 declared as Latin-1": {strings.Replace(named("Südtor"), "UTF-8", "iso-8859-1", 1), "Südtor"},
		"CDATA":                     {named("<![CDATA[Süd <tor>]]>"), "Süd <tor>"},
		"comment inside":            {named("Süd<!-- x -->tor"), "Südtor"},
	} {
		c, problems := load(t, machine(), map[string]string{apiManager: test.text})
		if len(problems) > 0 || len(c.Environments) != 1 || c.Environments[0].Name != test.want {
			t.Errorf("%s: %v, environments %+v, want %q", name, problems, c.Environments, test.want)
		}
	}
	_, problems := load(t, machine(), map[string]string{apiManager: named("S\xfcdtor")})
	if got, want := problemLines(problems), apiManager+": not well-formed: the file is not in UTF-8\n"; got != want {
		t.Errorf("Latin-1 declared as UTF-8: got %q, want %q", got, want)
	}
}

func TestIs(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		want    bool
		problem string
	}{
		"native":                {map[string]string{"sluice.yaml": ""}, false, ""},
		"without api-manager":   {map[string]string{carbon: "<Server/>"}, true, apiManager + ": the file is missing\n"},
		"without carbon":        {map[string]string{apiManager: "<APIManager/>"}, true, carbon + ": the file is missing\n"},
		"both":                  {map[string]string{carbon: "<Server/>", apiManager: "<APIManager/>"}, true, ""},
		"both, without content": {map[string]string{carbon: "", apiManager: " "}, true, apiManager + ": not well-formed: there is no element\n" + carbon + ": not well-formed: there is no element\n"},
	} {
		home := writeHome(t, test.files)
		if got := wso2.Is(home); got != test.want {
			t.Errorf("%s: Is = %v, want %v", name, got, test.want)
		}
		if !test.want {
			continue
		}
		if _, problems := wso2.Load(home, machine()); problemLines(problems) != test.problem {
			t.Errorf("%s: problems %q, want %q", name, problemLines(problems), test.problem)
		}
	}
}

func TestRole(t *testing.T) {
	for profile, want := range map[string]config.Role{
		"": config.All, "gateway-manager": config.GatewayOnly, "gateway-worker": config.GatewayOnly,
		"api-key-manager": config.ControlPlaneOnly, "api-publisher": config.ControlPlaneOnly, "api-store": config.ControlPlaneOnly,
	} {
		if got, err := wso2.Role(profile); got != want || err != nil {
			t.Errorf("Role(%q) = %s, %v; want %s", profile, got, err, want)
		}
	}
	for _, profile := range []string{"traffic-manager", "gateway"} {
		if got, err := wso2.Role(profile); err == nil {
			t.Errorf("Role(%q) = %s, want an error", profile, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	shipped := shippedUnless(f, nil)
	f.Add([]byte(shipped[carbon]), []byte(shipped[apiManager]))
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		_, files := readArchive(f, name)
		f.Add([]byte(files[carbon]), []byte(files[apiManager]))
	}
	home := writeHome(f, shipped)
	f.Fuzz(func(t *testing.T, carbonXML, apiManagerXML []byte) {
		lines := map[string]int{"sluice.yaml": 1}
		for name, data := range map[string][]byte{carbon: carbonXML, apiManager: apiManagerXML} {
			if err := os.WriteFile(filepath.Join(home, filepath.FromSlash(name)), data, 0o600); err != nil {
				t.Fatal(err)
			}
			lines[name] = 1 + bytes.Count(data, []byte("\n"))
		}
		c, problems := wso2.Load(home, machine())
		for _, p := range problems {
			if p.Text == "" || p.Line < 0 || p.Line > lines[p.File] {
				t.Errorf("problem %+v in files of these lines: %v", p, lines)
			}
		}
		if len(problems) == 0 && c.Role == "" {
			t.Error("no problem and no role")
		}
	})
}
