package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/client"
	"github.com/sluice-api/sluice/internal/config"
)

// instance is one of the three processes of the quickstart; its number is added
// to the offset.
type instance int

const (
	controlInstance instance = iota
	productionInstance
	sandboxInstance
)

var instances = [...]instance{controlInstance, productionInstance, sandboxInstance}

// Names in the quickstart.
const (
	productionGateway = "Production Gateway"
	sandboxGateway    = "Sandbox Gateway"
	sampleAPI         = "CityBikes"
	sampleContext     = "/citybikes"
	sampleVersion     = "1.0"
	sampleApplication = "Bike App"
)

// platform is a whole installation: control plane and two gateways as processes
// of their own, and the sample.
type platform struct {
	dir    string
	offset int
	steps  *steps
	group  *errgroup.Group
	stop   context.CancelFunc

	ca                  *x509.CertPool
	http                *http.Client
	rest                *client.Client
	apiID, appID        string
	production, sandbox consumer
	tokens              map[string]string // by consumer key
}

// consumer is a consumer key and its secret.
type consumer struct{ key, secret string }

// basic returns what curl's -u takes.
func (c consumer) basic() string { return c.key + ":" + c.secret }

func (p *platform) home(i instance) string {
	return filepath.Join(p.dir, []string{"1-control-plane", "2-production-gateway", "3-sandbox-gateway"}[i])
}

// url returns the sample API's https address at a gateway.
func (p *platform) url(i instance) string {
	return fmt.Sprintf("https://localhost:%d%s/%s", 8243+p.offset+int(i), sampleContext, sampleVersion)
}

// tell runs the story, one step a line.
func (p *platform) tell(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(ctx context.Context) (string, error)
	}{
		{"Sample backends, production and sandbox, answer", p.startBackends},
		{"Instance 1, the control plane, is up", p.startControl},
		{"Instances 2 and 3, the gateways, have joined", p.startGateways},
		{"Log in to the management REST API", p.logIn},
		{"Import the sample API from its OpenAPI document", p.importAPI},
		{"Publish: live on both gateways", p.publish},
		{"Application with production and sandbox keys, subscribed", p.subscribe},
		{"Tokens with the password grant, each from its gateway", p.fetchTokens},
		{"Production key through the production gateway", p.callProduction},
		{"Sandbox key through the sandbox gateway", p.callSandbox},
		{"Keys at the wrong gateway are refused", p.callCrossed},
		{"Without a token: refused, but for the open operation", p.callOpen},
	}
	for _, s := range steps {
		if err := p.steps.do(s.name, func() (string, error) { return s.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// startControl writes instance 1's home and starts it.
func (p *platform) startControl(ctx context.Context) (string, error) {
	yaml := fmt.Sprintf(`# Instance 1: control plane and Key Manager.
profile: quickstart
offset: %[1]d
environments:
  - name: %[2]s
    type: production
    description: Takes production keys.
    server_url: https://localhost:%[4]d
    username: admin
    password: admin
    host: localhost
    http_port: %[5]d
    https_port: %[6]d
  - name: %[3]s
    type: sandbox
    description: Takes sandbox keys.
    server_url: https://localhost:%[7]d
    username: admin
    password: admin
    host: localhost
    http_port: %[8]d
    https_port: %[9]d
`, p.offset, productionGateway, sandboxGateway, 9444+p.offset, 8281+p.offset, 8244+p.offset, 9445+p.offset, 8282+p.offset, 8245+p.offset)
	if err := p.start(ctx, controlInstance, yaml); err != nil {
		return "", err
	}
	if err := p.ready(ctx, controlInstance); err != nil {
		return "", err
	}
	pem, err := os.ReadFile(filepath.Join(p.home(controlInstance), "ca.pem"))
	if err != nil {
		return "", err
	}
	p.ca = x509.NewCertPool()
	p.ca.AppendCertsFromPEM(pem)
	p.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.ca, MinVersion: tls.VersionTLS12}}}
	return fmt.Sprintf("https://localhost:%d", 9443+p.offset), nil
}

// startGateways starts instances 2 and 3 and waits until both serve.
func (p *platform) startGateways(ctx context.Context) (string, error) {
	for i, side := range map[instance]string{productionInstance: "production", sandboxInstance: "sandbox"} {
		yaml := fmt.Sprintf(`# Instance %d: the %s gateway.
profile: quickstart
offset: %d
control_plane:
  url: https://localhost:%d
  username: admin
  password: admin
`, int(i)+1, side, p.offset+int(i), 9443+p.offset)
		if err := p.start(ctx, i, yaml); err != nil {
			return "", err
		}
	}
	return "each with a key pair of its own", errors.Join(p.ready(ctx, productionInstance), p.ready(ctx, sandboxInstance))
}

// start writes the configuration of a home, where it has none, and starts its
// process.
func (p *platform) start(ctx context.Context, i instance, yaml string) error {
	home := p.home(i)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	file := filepath.Join(home, config.File)
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(home, "sluice.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--home", home, fmt.Sprintf("--offset=%d", p.offset+int(i)))
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = log, log, 10*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	p.group.Go(func() error {
		err := errors.Join(cmd.Wait(), log.Close())
		if ctx.Err() != nil {
			return nil // it was told to stop
		}
		return fmt.Errorf("the process of %s ended: %w", home, err)
	})
	return nil
}

// ready waits until a process says that it is ready.
func (p *platform) ready(ctx context.Context, i instance) error {
	address := fmt.Sprintf("http://127.0.0.1:%d/readyz", 9763+p.offset+int(i))
	return p.until(ctx, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil // not listening yet
		}
		_ = resp.Body.Close() // nothing of it is read
		return resp.StatusCode == http.StatusOK, nil
	})
}

// until asks every 20 ms until done says so or ctx ends.
func (p *platform) until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// token asks the /token of a gateway with the form's values.
func (p *platform) token(ctx context.Context, i instance, c consumer, form url.Values) (string, error) {
	address := fmt.Sprintf("https://localhost:%d/token", 8243+p.offset+int(i))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(c.key, c.secret)
	resp, err := p.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", err
	}
	var t struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &t); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("POST %s answered %d: %s", address, resp.StatusCode, body)
	}
	return t.AccessToken, nil
}

// call calls the sample API and returns the status and who served it.
func (p *platform) call(ctx context.Context, i instance, path, token string) (status int, servedBy string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(i)+path, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var body struct{ ServedBy, Code string }
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, "", err
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&body); err != nil {
		return 0, "", fmt.Errorf("GET %s answered %d: %s", p.url(i)+path, resp.StatusCode, b)
	}
	return resp.StatusCode, body.ServedBy + body.Code, nil
}

// expect fails where a call is not answered with the status and by whom it
// should be.
func (p *platform) expect(ctx context.Context, i instance, path, token string, status int, servedBy string) error {
	gotStatus, gotBy, err := p.call(ctx, i, path, token)
	if err == nil && (gotStatus != status || gotBy != servedBy) {
		err = fmt.Errorf("GET %s%s: got %d from %s, want %d from %s", p.url(i), path, gotStatus, gotBy, status, servedBy)
	}
	return err
}

func (p *platform) fetchTokens(ctx context.Context) (string, error) {
	p.tokens = map[string]string{}
	for i, c := range map[instance]consumer{productionInstance: p.production, sandboxInstance: p.sandbox} {
		t, err := p.token(ctx, i, c, url.Values{"grant_type": {sluice.GrantPassword}, "username": {"admin"}, "password": {"admin"}})
		if err != nil {
			return "", err
		}
		p.tokens[c.key] = t
	}
	return "", nil
}

func (p *platform) callProduction(ctx context.Context) (string, error) {
	return "200, answered by the production backend", p.expect(ctx, productionInstance, "/stations", p.tokens[p.production.key], http.StatusOK, sampleProduction)
}

func (p *platform) callSandbox(ctx context.Context) (string, error) {
	return "200, answered by the sandbox backend", p.expect(ctx, sandboxInstance, "/stations", p.tokens[p.sandbox.key], http.StatusOK, sampleSandbox)
}

func (p *platform) callCrossed(ctx context.Context) (string, error) {
	return "401, code 900901", errors.Join(
		p.expect(ctx, productionInstance, "/stations", p.tokens[p.sandbox.key], http.StatusUnauthorized, "900901"),
		p.expect(ctx, sandboxInstance, "/stations", p.tokens[p.production.key], http.StatusUnauthorized, "900901"))
}

func (p *platform) callOpen(ctx context.Context) (string, error) {
	return "401, code 900902; GET /status 200", errors.Join(
		p.expect(ctx, productionInstance, "/stations", "", http.StatusUnauthorized, "900902"),
		p.expect(ctx, productionInstance, "/status", "", http.StatusOK, sampleProduction),
		p.expect(ctx, sandboxInstance, "/status", "", http.StatusOK, sampleSandbox))
}
