package distribution

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
)

// controlPlaneURI is the name that only the certificates of control plane
// nodes carry: the same CA issues those of gateways.
const controlPlaneURI = "sluice:control-plane"

// pin decides whether a peer is the control plane, before a gateway has an
// identity. It serves one Join, and belongs to it.
type pin struct {
	control, host string
	connect       func(ctx context.Context, network, address string) (net.Conn, error)
	log           *slog.Logger

	pinned      []*x509.Certificate // CAs; none until known
	fingerprint string              // of the CA to pin; empty: none is named
	first       bool                // pin what is presented, at an address of this machine
	own         bool                // the connection goes to one
}

func newPin(o *JoinOptions, control, host string) (*pin, error) {
	p := &pin{control: control, host: host, connect: o.Dial, log: o.Log}
	inToken, _ := JoinTokenFingerprint(o.Token) // a token of another form names no CA
	switch {
	case o.CAFile != "":
		text, err := os.ReadFile(o.CAFile)
		if err == nil {
			p.pinned, err = certificates(text)
		}
		if err != nil {
			return nil, sluice.Errorf(sluice.Invalid, "enrolment.ca_file", "The CA file %s cannot be used: %v.", o.CAFile, err).At("ca")
		}
	case o.Fingerprint != "":
		p.fingerprint = strings.ToLower(strings.ReplaceAll(o.Fingerprint, ":", ""))
		if !isSHA256(p.fingerprint) {
			return nil, sluice.Errorf(sluice.Invalid, "enrolment.fingerprint", "The fingerprint is not a SHA-256 in 64 hexadecimal digits.").At("fingerprint")
		}
	case inToken != "":
		p.fingerprint = inToken
	default:
		p.first = o.PinFirst
	}
	return p, nil
}

func (p *pin) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := p.connect(ctx, network, address)
	if err == nil {
		p.own = ownAddress(conn.RemoteAddr())
	}
	return conn, err
}

// has reports whether c is a pinned CA.
func (p *pin) has(c *x509.Certificate) bool { return slices.ContainsFunc(p.pinned, c.Equal) }

// verify is tls.Config.VerifyConnection: it pins the CA where that is still to
// be done, and accepts nobody but a control plane with a certificate of it.
func (p *pin) verify(cs tls.ConnectionState) error {
	chain := cs.PeerCertificates
	switch {
	case len(p.pinned) > 0:
	case p.fingerprint != "":
		i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return fingerprint(c) == p.fingerprint })
		if i < 0 {
			return sluice.Errorf(sluice.Unavailable, "enrolment.ca", "The control plane at %s shows the certificate authority %s, and not the one to be pinned, %s.",
				p.control, fingerprint(presentedCA(chain)), p.fingerprint)
		}
		p.pinned = chain[i : i+1]
	case p.first && p.own:
		ca := presentedCA(chain)
		p.pinned = []*x509.Certificate{ca}
		p.log.Info("certificate authority pinned at first contact", "control_plane", p.control, "fingerprint", fingerprint(ca))
	default:
		seen := fingerprint(presentedCA(chain))
		return sluice.Errorf(sluice.Unavailable, "enrolment.unpinned",
			"The control plane at %s is not trusted yet. Its certificate authority has the fingerprint %s. If its administrator confirms that, run: sluice gateway join --control %s --fingerprint %s --token TOKEN",
			p.control, seen, p.control, seen)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range p.pinned {
		roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: p.host}); err != nil {
		return err
	}
	return controlPlaneOnly(cs)
}

// presentedCA returns the CA of a chain as it was presented: the last
// certificate, which control planes send for this purpose.
func presentedCA(chain []*x509.Certificate) *x509.Certificate { return chain[len(chain)-1] }

// controlPlaneOnly refuses a peer whose certificate is good but not that of a
// control plane.
func controlPlaneOnly(cs tls.ConnectionState) error {
	for _, u := range cs.PeerCertificates[0].URIs {
		if u.String() == controlPlaneURI {
			return nil
		}
	}
	return fmt.Errorf("its certificate is not that of a control plane: it lacks the name %s", controlPlaneURI)
}

// explainTLS says what a refused certificate means for an operator; other
// errors it returns as they are.
func explainTLS(err error) error {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired && e.Cert != nil {
		return fmt.Errorf("the certificate of %q is valid from %s to %s, and this machine's clock says %s; is the clock right?: %w", e.Cert.Subject.CommonName,
			e.Cert.NotBefore.Format(time.RFC3339), e.Cert.NotAfter.Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339), err)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("its certificate is not of the pinned certificate authority: %w", err)
	}
	return err
}

// fingerprint returns the SHA-256 of a certificate's DER, hexadecimal.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// certificates parses PEM that holds at least one certificate.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return all, nil
}

// ownAddress reports whether an address is one of this machine.
func ownAddress(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	if tcp.IP.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(own, func(o net.Addr) bool {
		n, ok := o.(*net.IPNet)
		return ok && n.IP.Equal(tcp.IP)
	})
}
