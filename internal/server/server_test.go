package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/distribution"
)

// listenOn is the part of a sluice.yaml that says the ports.
func listenOn(ports []string) string {
	return fmt.Sprintf("listen: {management: \"127.0.0.1:%s\", operations: \"127.0.0.1:%s\", http: \"127.0.0.1:%s\", https: \"127.0.0.1:%s\"}\n", ports[0], ports[1], ports[2], ports[3])
}

// ready waits until a process says that it is.
func ready(t *testing.T, port string) {
	t.Helper()
	within(t, "the process is ready", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + port + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// One process with all roles enrols its own gateway, serves, stops, and comes
// back as it was; a second gateway joins with a token.
func TestRun(t *testing.T) {
	ports := freePorts(t, 4)
	yaml := "profile: quickstart\n" + listenOn(ports) + fmt.Sprintf(`control_plane: {username: admin, password: admin}
environments:
  - {name: All, type: hybrid, server_url: "https://localhost:%s", username: admin, password: admin, host: localhost, http_port: %s, https_port: %s}
`, ports[0], ports[2], ports[3])
	s := newServer(t, yaml)
	stop := run(t, s)
	ready(t, ports[1])
	management, traffic := "https://localhost:"+ports[0], "https://localhost:"+ports[3]
	c := trusting(t, filepath.Join(s.cfg.Home, CAFile))
	for _, check := range []struct {
		url    string
		status int
		body   string
	}{
		{management + "/", 200, "This is a Sluice control plane."},
		{management + "/healthz", 200, "ok\n"},
		{management + "/metrics", 404, ""},
		{management + "/api/sluice/v1/gateways", 401, ""},
		{management + "/services/enrolment", 409, "joined already"},
		{management + "/services/bus", 426, ""},
		{management + "/oauth2/jwks", 200, `"keys"`},
		{traffic + "/nothing/1.0", 404, ""},
		{"http://127.0.0.1:" + ports[2] + "/healthz", 404, ""},
		{"http://127.0.0.1:" + ports[1] + "/metrics", 200, "go_goroutines"},
		{"http://127.0.0.1:" + ports[1] + "/metrics", 200, `sluice_control_gateways{environment="All",state="connected"} 1`},
		{"http://127.0.0.1:" + ports[1] + "/metrics", 200, `sluice_gateway_faults_total{check="api",code="404"} `},
	} {
		if a := do(t, c, http.MethodGet, check.url, ""); a.status != check.status || !strings.Contains(a.body, check.body) {
			t.Errorf("GET %s = %d %.200s, want %d %s", check.url, a.status, a.body, check.status, check.body)
		}
	}
	var health struct {
		State   string
		Gateway map[string]any
	}
	if err := json.Unmarshal([]byte(do(t, c, http.MethodGet, "http://127.0.0.1:"+ports[1]+"/healthz", "").body), &health); err != nil || health.Gateway["joined"] != true || health.Gateway["gateway_id"] == "" {
		t.Errorf("health = %+v, %v", health, err)
	}
	if id, err := distribution.LoadIdentity(s.path("gateway")); err != nil || id.GatewayID != health.Gateway["gateway_id"] {
		t.Errorf("identity = %+v, %v", id, err)
	}

	// G1, G3: another process on the same ports, or on the same home, does not start.
	second := newServer(t, "profile: quickstart\n"+listenOn(ports))
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %s is in use (process %d); set Offset", ports[0], os.Getpid())) {
		t.Errorf("a second process on the ports: %v", err)
	}
	other := freePorts(t, 4)
	cfg := *s.cfg
	cfg.Listen.Management, cfg.Listen.Operations = "127.0.0.1:"+other[0], "127.0.0.1:"+other[1]
	if twin, err := New(&cfg, Options{Version: "v1", Log: s.log}); err != nil {
		t.Error(err)
	} else if err := twin.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "process") {
		t.Errorf("a second process on the home: %v", err)
	}

	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(s.cfg.Home, "logs", "access.log")); err != nil || !strings.Contains(string(b), `"path":"/nothing/1.0","protocol":"HTTP/`) {
		t.Errorf("access log: %s, %v", b, err)
	}
	_, secret, err := s.CreateToken(t.Context(), "", "test", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Join(t.Context(), management, "slj1.x.y"); err != errAlready {
		t.Errorf("joining again: %v", err)
	}

	// It comes back, with the token made in between.
	stop = run(t, serverOf(t, s.cfg.Home, yaml))
	ready(t, ports[1])
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret.Reveal()) }
	var gateways struct {
		List []struct{ EnvironmentID, State string }
	}
	within(t, "its gateway is connected", func() bool {
		a := do(t, c, http.MethodGet, management+"/api/sluice/v1/gateways", "", bearer)
		err := json.Unmarshal([]byte(a.body), &gateways)
		return err == nil && len(gateways.List) == 1 && gateways.List[0].State == "connected"
	})
	refused := do(t, c, http.MethodGet, traffic+"/nothing/2.0", "")
	trace := do(t, c, http.MethodGet, management+"/api/sluice/v1/traces/"+refused.header.Get("X-Trace-Id"), "", bearer)
	if trace.status != 200 || !strings.Contains(trace.body, `"step":"api"`) || !strings.Contains(trace.body, `"path":"/nothing/2.0"`) {
		t.Errorf("trace of a refused call = %d %s", trace.status, trace.body)
	}
	a := do(t, c, http.MethodPost, management+"/api/sluice/v1/enrolment-tokens", `{"environmentId":"`+gateways.List[0].EnvironmentID+`"}`, bearer)
	var join struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &join); err != nil || a.status != http.StatusCreated {
		t.Fatalf("join token: %d %s", a.status, a.body)
	}
	joins(t, management, join.Token, other)
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// joins lets another home's gateway join with a token, once, and serve.
func joins(t *testing.T, management, token string, ports []string) {
	t.Helper()
	g := newServer(t, "profile: quickstart\nrole: gateway\ncontrol_plane: {url: \""+management+"\"}\n"+listenOn(ports))
	id, err := g.Join(t.Context(), management, "slj1.0.0")
	if err == nil {
		t.Errorf("joined with an unknown token as %s", id.GatewayID)
	}
	if id, err = g.Join(t.Context(), management, sluice.Secret(token)); err != nil {
		t.Fatal(err)
	}
	stop := run(t, g)
	ready(t, ports[1])
	if a := do(t, http.DefaultClient, http.MethodGet, "http://127.0.0.1:"+ports[2]+"/nothing/1.0", ""); a.status != http.StatusNotFound {
		t.Errorf("traffic port of %s = %d %s", id.GatewayID, a.status, a.body)
	}
	gone(t, g.path(databaseFile))
	if err := stop(); err != nil {
		t.Errorf("Run of the gateway = %v", err)
	}
}

func TestNewRefusesWhatItCannotDo(t *testing.T) {
	cfg := &config.Config{TLS: config.TLS{ManagementCertificate: "cert.pem"}}
	if _, err := New(cfg, Options{}); err == nil || !strings.Contains(err.Error(), "leave the setting out") {
		t.Errorf("a certificate of the operator's for the control plane: %v", err)
	}
	cfg.Role = config.GatewayOnly
	if _, err := New(cfg, Options{}); err != nil {
		t.Errorf("one for a gateway: %v", err)
	}
}

func TestNamesOfTheControlPlane(t *testing.T) {
	s := newServer(t, "profile: production\nrole: control-plane\nhost: gw.example.com\nmanagement_host: control.example.com\nlisten: {management: \"127.0.0.1:9443\"}\n")
	hosts := s.certificateHosts()
	for _, want := range []string{"gw.example.com", "control.example.com", "localhost", "127.0.0.1", "::1"} {
		if !slices.Contains(hosts, want) {
			t.Errorf("the certificate names %q, want %s among them", hosts, want)
		}
	}
	if len(slices.Compact(slices.Clone(hosts))) != len(hosts) || slices.ContainsFunc(hosts, func(h string) bool { return strings.Contains(h, "%") }) {
		t.Errorf("the certificate names %q, want each once and no zones", hosts)
	}
	if got := s.managementURL(); got != "https://control.example.com:9443" {
		t.Errorf("management URL %s", got)
	}
}
