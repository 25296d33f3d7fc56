package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/gateway/http2"
	"github.com/sluice-api/sluice/internal/policy"
)

// issuer is a CA of the tests.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Backends"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	return issuer{sign(t, template, template, key, key), key}
}

func sign(t *testing.T, template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// backend serves TLS with a certificate of the issuer, or one signed by itself
// where by is nil, that change has altered.
func backend(t *testing.T, by *issuer, change func(*x509.Certificate)) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "backend"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	leaf := sign(t, template, parent, key, signer)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// TestC22Backends holds whose certificates a gateway takes from backends: those
// of the machine's CAs and of gateway.ca_files, in order and for the right host.
// What it does not take is gateway.ErrTLS, which clients see as 502 and 101500.
func TestC22Backends(t *testing.T) {
	known, stranger := newIssuer(t), newIssuer(t)
	home := t.TempDir()
	write(t, filepath.Join(home, "backends.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.certificate.Raw})))
	with := serverOf(t, home, "profile: quickstart\ngateway:\n  ca_files: [backends.pem]\n")
	without := newServer(t, "profile: quickstart\n")
	same := func(*x509.Certificate) {}
	for name, c := range map[string]struct {
		server *Server
		url    string
		ok     bool
	}{
		"trusted by the setting":  {with, backend(t, &known, same), true},
		"without the setting":     {without, backend(t, &known, same), false},
		"unknown CA":              {with, backend(t, &stranger, same), false},
		"self-signed":             {with, backend(t, nil, same), false},
		"expired":                 {with, backend(t, &known, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), false},
		"for another address":     {with, backend(t, &known, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }), false},
		"for no server, a client": {with, backend(t, &known, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), false},
	} {
		t.Run(name, func(t *testing.T) {
			roots, err := c.server.backendCAs()
			if err != nil {
				t.Fatal(err)
			}
			client := http2.NewClient(http2.ClientOptions{RootCAs: roots})
			t.Cleanup(client.Close)
			to, err := gateway.NewEndpoint(c.url)
			if err != nil {
				t.Fatal(err)
			}
			x := &policy.Exchange{Request: policy.Request{Method: []byte("GET"), Target: []byte("/")}}
			err = client.Send(t.Context(), to, x)
			if err == nil {
				x.Response.Close()
			}
			if (err == nil) != c.ok || !c.ok && !errors.Is(err, gateway.ErrTLS) {
				t.Errorf("error %v, status %d, want success %v", err, x.Response.Status, c.ok)
			}
		})
	}
	cfg, problems := config.Load(home, config.Overrides{})
	if len(problems) > 0 || len(cfg.Gateway.CAFiles) != 1 {
		t.Errorf("ca_files = %v, %v", cfg.Gateway.CAFiles, problems)
	}
}
