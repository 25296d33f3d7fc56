package control

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

func TestJoinTokenWorksOnce(t *testing.T) {
	w := newWorld(t)
	token, secret, command, err := w.plane.CreateEnrolmentToken(w.admin(), w.environment(sandbox).ID, "second", 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := "sluice gateway join --control https://control.example.com:9443 --token " + secret.Reveal(); command != want {
		t.Errorf("command %q, want %q", command, want)
	}
	if !token.ExpiresAt.Equal(w.clock.now().Add(time.Hour)) || token.Hash != secret.Hash() || token.CreatedBy != "root" {
		t.Errorf("token = %+v", token)
	}
	if pin, err := distribution.JoinTokenFingerprint(secret); err != nil || pin != w.plane.CAFingerprint() {
		t.Errorf("the token pins %q, %v, want %q", pin, err, w.plane.CAFingerprint())
	}
	out, err := w.plane.Enrol(w.from("192.0.2.7"), enrolment(t, secret, "gw-1"))
	if err != nil {
		t.Fatal(err)
	}
	if out.EnvironmentID != w.environment(sandbox).ID || out.BusURL != "https://control.example.com:9443" || out.CA != string(w.plane.CACertificates()) ||
		len(out.StateKeys) != 1 || !slices.Equal(out.StateKeys[0], w.plane.stateKey.Public().(ed25519.PublicKey)) {
		t.Errorf("enrolled: %+v", out)
	}
	g, err := w.plane.Gateway(w.admin(), out.GatewayID)
	if err != nil || g.Gateway.Name != "gw-1" || g.Gateway.Address != "192.0.2.7" || g.Environment != sandbox {
		t.Errorf("gateway = %+v, %v", g, err)
	}
	_, err = w.plane.Enrol(w.from("192.0.2.7"), enrolment(t, secret, "gw-2"))
	wantCode(t, "a used token", err, sluice.Unauthenticated, "enrolment.token")

	late := w.joinToken(sandbox)
	w.clock.advance(time.Hour)
	_, err = w.plane.Enrol(w.from("192.0.2.7"), enrolment(t, late, "gw-3"))
	wantCode(t, "an expired token", err, sluice.Unauthenticated, "enrolment.token")
	_, err = w.plane.Enrol(w.from("192.0.2.7"), enrolment(t, "slj1.x.y", "gw-4"))
	wantCode(t, "an unknown token", err, sluice.Unauthenticated, "enrolment.token")

	for name, c := range map[string]struct {
		ttl  time.Duration
		name string
		code string
	}{
		"more than a day":          {24*time.Hour + 1, "x", "enrolment.validity"},
		"less than nothing":        {-1, "x", "enrolment.validity"},
		"a name with a line break": {0, "a\nb", "enrolment.name"},
		"a name that is no text":   {0, "\xff", "enrolment.name"},
		"a long name":              {0, strings.Repeat("x", 256), "enrolment.name"},
	} {
		_, secret, command, err := w.plane.CreateEnrolmentToken(w.admin(), w.environment(sandbox).ID, c.name, c.ttl)
		wantCode(t, name, err, sluice.Invalid, c.code)
		if secret != "" || command != "" {
			t.Errorf("%s: a token was handed out", name)
		}
	}
	if _, _, _, err := w.plane.CreateEnrolmentToken(w.admin(), "nope", "", 0); !sluice.IsNotFound(err) {
		t.Errorf("token for an unknown environment: %v", err)
	}
}

// What is refused leaves neither a gateway nor a used token.
func TestRefusedEnrolmentLeavesTheToken(t *testing.T) {
	w := newWorld(t)
	token := w.joinToken(production)
	good := enrolment(t, token, "gw")
	for name, c := range map[string]struct {
		change func(e *Enrolment)
		code   string
	}{
		"no name":                    {func(e *Enrolment) { e.Name = "" }, "enrolment.name"},
		"a name with a NUL":          {func(e *Enrolment) { e.Name = "a\x00" }, "enrolment.name"},
		"a public key of no NKey":    {func(e *Enrolment) { e.PublicKey = "AAAA" }, "enrolment.public_key"},
		"the public key of a server": {func(e *Enrolment) { e.PublicKey = "N" + e.PublicKey[1:] }, "enrolment.public_key"},
		"no request":                 {func(e *Enrolment) { e.CSR = "" }, "enrolment.csr"},
		"a certificate as request":   {func(e *Enrolment) { e.CSR = string(w.plane.CACertificates()) }, "enrolment.csr"},
		"a long request":             {func(e *Enrolment) { e.CSR += strings.Repeat("\n", 16<<10) }, "enrolment.csr"},
		"another curve":              {func(e *Enrolment) { e.CSR = request(t, elliptic.P384(), &x509.CertificateRequest{}) }, "enrolment.csr"},
		"an altered request": {func(e *Enrolment) {
			block, _ := pem.Decode([]byte(e.CSR))
			block.Bytes[len(block.Bytes)-1] ^= 1
			e.CSR = string(pem.EncodeToMemory(block))
		}, "enrolment.csr"},
	} {
		e := good
		c.change(&e)
		_, err := w.plane.Enrol(w.from("192.0.2.7"), e)
		wantCode(t, name, err, sluice.Invalid, c.code)
	}
	if list, err := w.plane.Gateways(w.admin(), ""); err != nil || len(list) != 0 {
		t.Errorf("refused enrolments left %+v, %v", list, err)
	}
	if _, err := w.plane.Enrol(w.from("192.0.2.7"), good); err != nil {
		t.Errorf("the token after refusals: %v", err)
	}
	again := good
	again.Token = w.joinToken(sandbox)
	_, err := w.plane.Enrol(w.from("192.0.2.7"), again)
	wantCode(t, "a second gateway with the same key", err, sluice.Conflict, "gateway.exists")
}

// Whatever a request asks for, a gateway's certificate names its environment's
// vhosts and the address it called from, and nothing of the control plane.
func TestCertificateOfAGateway(t *testing.T) {
	for name, quickstart := range map[string]bool{"production": false, "quickstart": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.Quickstart, o.Now = quickstart, time.Now })
			e := enrolment(t, w.joinToken(both), "gw")
			e.CSR = request(t, elliptic.P256(), &x509.CertificateRequest{
				DNSNames: []string{"control.example.com", "*.example.com"}, IPAddresses: []net.IP{{10, 0, 0, 1}},
				URIs: []*url.URL{{Scheme: "sluice", Opaque: "control-plane"}}, EmailAddresses: []string{"root@example.com"},
			})
			out, err := w.plane.Enrol(w.from("192.0.2.7"), e)
			if err != nil {
				t.Fatal(err)
			}
			block, rest := pem.Decode([]byte(out.Certificate))
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			names, addresses := []string{"both.example.com", "other.example.com"}, []string{"192.0.2.7"}
			if quickstart {
				names, addresses = append(names, "localhost"), append(addresses, "127.0.0.1", "::1")
			}
			var got []string
			for _, ip := range cert.IPAddresses {
				got = append(got, ip.String())
			}
			if !slices.Equal(cert.DNSNames, names) || !slices.Equal(got, addresses) || len(cert.URIs)+len(cert.EmailAddresses) != 0 {
				t.Errorf("certificate names %q %q %v %q, want %q %q and nothing else", cert.DNSNames, got, cert.URIs, cert.EmailAddresses, names, addresses)
			}
			if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) ||
				time.Until(cert.NotAfter) > certificateLife {
				t.Errorf("certificate is for %v %v until %s, CA %t", cert.KeyUsage, cert.ExtKeyUsage, cert.NotAfter, cert.IsCA)
			}
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM([]byte(out.CA)) || string(rest) != out.CA {
				t.Error("the chain does not end in the CA")
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "both.example.com"}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCertificateOfTheControlPlane(t *testing.T) {
	w := newWorld(t)
	get := w.plane.ServerCertificate([]string{"control.example.com", "", "192.0.2.1", "control.example.com"})
	parse := func() (*tls.Certificate, *x509.Certificate) {
		t.Helper()
		c, err := get(nil)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil || len(c.Certificate) != 2 {
			t.Fatalf("chain of %d, %v", len(c.Certificate), err)
		}
		return c, cert
	}
	first, cert := parse()
	if !slices.Equal(cert.DNSNames, []string{"control.example.com"}) || len(cert.IPAddresses) != 1 || len(cert.URIs) != 1 || cert.URIs[0].String() != "sluice:control-plane" {
		t.Errorf("certificate names %q %v %v", cert.DNSNames, cert.IPAddresses, cert.URIs)
	}
	if again, _ := parse(); again != first {
		t.Error("a certificate is issued for every handshake")
	}
	w.clock.advance(certificateLife * 2 / 3)
	if renewed, cert := parse(); renewed == first || !cert.NotAfter.After(w.clock.now().Add(certificateLife-time.Hour)) {
		t.Error("it is not renewed when two thirds of its life are over")
	}
	fingerprint := w.plane.CAFingerprint()
	w.restart()
	if w.plane.CAFingerprint() != fingerprint {
		t.Error("a restart makes another CA")
	}
}

func TestRemovedGatewayIsUnknown(t *testing.T) {
	w := newWorld(t)
	e := enrolment(t, w.joinToken(production), "gw")
	out, err := w.plane.Enrol(w.from("192.0.2.7"), e)
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := w.plane.gatewayByKey(t.Context(), e.PublicKey); !ok || g.ID != out.GatewayID {
		t.Errorf("gateway by key = %+v, %t", g, ok)
	}
	w.says(out.GatewayID, 3)
	if err := w.plane.RemoveGateway(w.admin(), out.GatewayID, 0); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.plane.gatewayByKey(t.Context(), e.PublicKey); ok || w.plane.status.connected(out.GatewayID) {
		t.Error("a removed gateway is known")
	}
	if err := w.plane.RemoveGateway(w.admin(), out.GatewayID, 0); !sluice.IsNotFound(err) {
		t.Errorf("removing it again: %v", err)
	}
}

// The gateway of a ServerURL takes the place of the one before; those that joined
// by token stay.
func TestGatewayOfAServerURLReplacesItsPredecessor(t *testing.T) {
	w := newWorld(t)
	byToken := w.gateway(production, "by token")
	enrol := func(serverURL, name string) string {
		t.Helper()
		_, secret, err := w.plane.newJoinToken(w.admin(), "system", w.environment(production).ID, name, serverURL, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.plane.Enrol(w.from("127.0.0.1"), enrolment(t, secret, name))
		if err != nil {
			t.Fatal(err)
		}
		return out.GatewayID
	}
	first := enrol("https://localhost:9444", "first")
	w.says(first, 1)
	other := enrol("https://localhost:9445", "other")
	second := enrol("https://localhost:9444", "second")
	var got []string
	w.view(func(tx *database.Tx) error {
		list, err := tx.Gateways("")
		for _, g := range list {
			got = append(got, g.ID)
		}
		return err
	})
	want := []string{byToken, other, second}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || w.plane.status.connected(first) {
		t.Errorf("gateways %q, want %q; the first is known: %t", got, want, w.plane.status.connected(first))
	}
}
