package control

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Names of what the authority keeps sealed in the database.
const (
	sealedAuthorityKey  = "authority/key"
	sealedAuthorityCert = "authority/certificate"
	sealedStateKey      = "state/key"
)

// Lifetimes of certificates.
const (
	authorityLife   = 20 * 365 * 24 * time.Hour
	certificateLife = 90 * 24 * time.Hour
)

// authority is the installation's own certificate authority. It may be used by
// many goroutines.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	now  func() time.Time
}

// loadAuthority reads the authority from the database, or makes it.
func loadAuthority(tx *database.Tx, now func() time.Time) (*authority, error) {
	keyDER, err := tx.Sealed(sealedAuthorityKey)
	if sluice.IsNotFound(err) {
		return newAuthority(tx, now)
	}
	if err != nil {
		return nil, err
	}
	certDER, err := tx.Sealed(sealedAuthorityCert)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, err
	}
	return &authority{key: key, cert: cert, now: now}, nil
}

func newAuthority(tx *database.Tx, now func() time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Sluice CA"},
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(tx.PutSealed(sealedAuthorityKey, keyDER), tx.PutSealed(sealedAuthorityCert, certDER)); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, err
	}
	return &authority{key: key, cert: cert, now: now}, nil
}

// loadStateKey reads the key that signs the gateways' state, or makes it.
func loadStateKey(tx *database.Tx) (ed25519.PrivateKey, error) {
	seed, err := tx.Sealed(sealedStateKey)
	if sluice.IsNotFound(err) {
		seed = make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed) // never fails
		err = tx.PutSealed(sealedStateKey, seed)
	}
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the key has %d bytes", len(seed))
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// serial returns a random serial number of 127 bits.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

// pem returns the authority's certificate.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// fingerprint returns the SHA-256 of the authority's certificate, hexadecimal.
func (a *authority) fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// sign issues a server certificate for a public key and returns its DER.
func (a *authority) sign(public any, name string, hosts []string, uris []*url.URL) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, URIs: uris,
	}
	seen := map[string]bool{}
	for _, h := range hosts {
		if h == "" || seen[h] {
			continue
		}
		seen[h] = true
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
}

// signRequest issues the certificate a gateway asks for, with its public key
// and with our names, whatever the request says. The chain is PEM.
func (a *authority) signRequest(csrPEM, name string, hosts []string) (string, error) {
	block, _ := pem.Decode([]byte(csrPEM))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return "", sluice.Errorf(sluice.Invalid, "enrolment.csr", "The certificate request is not PEM.").At("csr")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return "", sluice.Errorf(sluice.Invalid, "enrolment.csr", "The certificate request cannot be read.").At("csr")
	}
	if k, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return "", sluice.Errorf(sluice.Invalid, "enrolment.csr", "The key of the certificate request must be on the curve P-256.").At("csr")
	}
	der, err := a.sign(csr.PublicKey, name, hosts, nil)
	if err != nil {
		return "", fmt.Errorf("sign the certificate of gateway %s: %w", name, err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(a.pem()), nil
}

// ServerCertificate returns what a control plane's own listeners present: a
// certificate for the hosts, issued anew when two thirds of its life are over.
// The chain holds the authority's certificate, so that a fingerprint pins it.
func (p *Plane) ServerCertificate(hosts []string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.certificate("Sluice control plane", hosts)
}

// peerCertificate is ServerCertificate for other control planes, who look at the
// name that only control planes get and at no host.
func (p *Plane) peerCertificate() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.certificate("Sluice control plane, to others", nil)
}

// certificate issues a control plane's certificate for whoever asks, with any
// ClientHelloInfo or nil.
func (p *Plane) certificate(name string, hosts []string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var mu sync.Mutex // guards current and renewAt
	var current *tls.Certificate
	var renewAt time.Time
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if current != nil && p.now().Before(renewAt) {
			return current, nil
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := p.authority.sign(&key.PublicKey, name, hosts, []*url.URL{{Scheme: "sluice", Opaque: "control-plane"}})
		if err != nil {
			return nil, err
		}
		current = &tls.Certificate{Certificate: [][]byte{der, p.authority.cert.Raw}, PrivateKey: key}
		renewAt = p.now().Add(certificateLife * 2 / 3)
		return current, nil
	}
}

// CAFingerprint returns the SHA-256 of the authority's certificate (DER), in
// hexadecimal: what join tokens carry to pin it.
func (p *Plane) CAFingerprint() string { return p.authority.fingerprint() }

// CACertificates returns the authority's certificate, PEM.
func (p *Plane) CACertificates() []byte { return p.authority.pem() }
