package distribution

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/sluice-api/sluice"
)

const identityFile = "identity.json"

// Identity is what a gateway is, and whom it trusts, since it joined.
type Identity struct {
	GatewayID, EnvironmentID string
	ControlURL               string        // "https://host:9443"
	BusURL                   string        // "wss://host:9443"
	ControlURLs              []string      // "https://host:9443" of all control planes, as one of them last said
	Seed                     sluice.Secret // of the gateway's NKey; never leaves it
	CA                       []byte        // PEM, the pinned CA
	StateKeys                [][]byte      // Ed25519 public keys that may sign states
	Certificate, Key         []byte        // PEM, of the traffic and management ports
}

// savedIdentity is Identity on disk, where the seed is not redacted.
type savedIdentity struct {
	GatewayID     string   `json:"gateway_id"`
	EnvironmentID string   `json:"environment_id"`
	ControlURL    string   `json:"control_url"`
	BusURL        string   `json:"bus_url"`
	ControlURLs   []string `json:"control_urls,omitempty"`
	Seed          string   `json:"seed"`
	CA            string   `json:"ca"`
	StateKeys     [][]byte `json:"state_keys"`
	Certificate   string   `json:"certificate"`
	Key           string   `json:"key"`
}

// LoadIdentity reads what Save wrote. The error is fs.ErrNotExist where there
// is none. A file that others can read is refused.
func LoadIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s holds private keys and has mode %04o; it must be readable by its owner alone (chmod 600)", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s savedIdentity
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	i := &Identity{
		GatewayID: s.GatewayID, EnvironmentID: s.EnvironmentID, ControlURL: s.ControlURL, BusURL: s.BusURL, ControlURLs: s.ControlURLs,
		Seed: sluice.Secret(s.Seed), CA: []byte(s.CA), StateKeys: s.StateKeys, Certificate: []byte(s.Certificate), Key: []byte(s.Key),
	}
	if err := i.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return i, nil
}

// check finds what a damaged file would lack.
func (i *Identity) check() error {
	if i.GatewayID == "" || i.EnvironmentID == "" || len(i.StateKeys) == 0 {
		return errors.New("the gateway's id, its environment or the key for states is missing")
	}
	if _, err := nkeys.FromSeed([]byte(i.Seed.Reveal())); err != nil {
		return fmt.Errorf("the gateway's key: %w", err)
	}
	if _, err := certificates(i.CA); err != nil {
		return fmt.Errorf("the certificate authority: %w", err)
	}
	if _, err := tls.X509KeyPair(i.Certificate, i.Key); err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	return nil
}

// Save writes the identity to a folder, which it makes where it is missing, for
// its owner alone. The file is replaced at once and safely, or not at all.
func (i *Identity) Save(dir string) (err error) {
	text, err := json.MarshalIndent(savedIdentity{
		GatewayID: i.GatewayID, EnvironmentID: i.EnvironmentID, ControlURL: i.ControlURL, BusURL: i.BusURL, ControlURLs: i.ControlURLs,
		Seed: i.Seed.Reveal(), CA: string(i.CA), StateKeys: i.StateKeys, Certificate: string(i.Certificate), Key: string(i.Key),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	f, err := os.CreateTemp(dir, identityFile+"*"+temporary) // its mode is 0600
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("save identity: %w", err)
		}
	}()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, identityFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

// TLS returns what a gateway's connections to the control plane need: it trusts
// the pinned CA alone, in TLS 1.2 or later, and nobody who is not a control
// plane.
func (i *Identity) TLS() (*tls.Config, error) {
	cas, err := certificates(i.CA)
	if err != nil {
		return nil, fmt.Errorf("the pinned certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	for _, c := range cas {
		roots.AddCert(c)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, VerifyConnection: controlPlaneOnly}, nil
}

// busAddress returns an address of a control plane as wss://host:port; it may
// be given with "https", and with the path of its services.
func busAddress(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "wss" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" {
		return "", fmt.Errorf("bus address %q is not of the form wss://host:port", raw)
	}
	switch strings.Trim(u.Path, "/") {
	case "", "services", busPath:
		return "wss://" + u.Host, nil
	}
	return "", fmt.Errorf("bus address %q has a path; the bus is at /%s of its host", raw, busPath)
}
