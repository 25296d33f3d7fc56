package distribution

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/sluice-api/sluice"
)

const (
	joinPath    = "/api/sluice/v1/enrolments"
	joinTimeout = 30 * time.Second
	maxAnswer   = 1 << 20 // bytes of the enrolment endpoint's answer
)

// JoinOptions say where and as what a gateway enrols, and how it comes to trust
// the control plane: by the first of CAFile, Fingerprint, the fingerprint in
// Token and PinFirst that is there.
type JoinOptions struct {
	ControlURL  string        // "https://host:9443"; "/services/" behind it is left out
	Token       sluice.Secret // one-time join token
	Name        string        // of the gateway, shown to administrators
	CAFile      string        // PEM; pins these CAs
	Fingerprint string        // SHA-256 of the CA certificate's DER, hexadecimal; pins that CA
	PinFirst    bool          // pins the CA presented at first contact, where that is an address of this machine
	Listeners   []string      // addresses the gateway serves at; announced
	Hosts       []string      // names and addresses the gateway would like in its certificate
	Version     string
	Dial        func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
	Log         *slog.Logger                                                         // nil: nothing is logged
}

// joinRequest and joinAnswer are what goes to and comes from the enrolment
// endpoint.
type joinRequest struct {
	Token     string   `json:"token"`
	Name      string   `json:"name"`
	PublicKey string   `json:"publicKey"`
	CSR       string   `json:"csr"`
	Listeners []string `json:"listeners"`
	Version   string   `json:"version"`
}

type joinAnswer struct {
	GatewayID     string   `json:"gatewayId"`
	EnvironmentID string   `json:"environmentId"`
	Certificate   string   `json:"certificate"`
	CA            string   `json:"ca"`
	StateKeys     [][]byte `json:"stateKeys"`
	BusURL        string   `json:"busURL"`
}

// Join enrols a gateway: it makes the gateway's keys, which never leave it, and
// exchanges a join token for a place in an environment and a certificate. The
// token is sent to nobody but a control plane whose CA is pinned; without one
// to pin, Join fails with "enrolment.unpinned" and says which it saw. What the
// control plane refuses is a sluice.Error with its words. Nothing is kept: that
// is for Identity.Save.
func Join(ctx context.Context, o JoinOptions) (*Identity, error) {
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	control, host, err := controlAddress(o.ControlURL)
	if err != nil {
		return nil, err
	}
	pin, err := newPin(&o, control, host)
	if err != nil {
		return nil, err
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make the gateway's key: %w", err)
	}
	certificateKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the certificate's key: %w", err)
	}
	request, err := newJoinRequest(&o, key, certificateKey)
	if err != nil {
		return nil, err
	}
	answer, err := pin.post(ctx, control+joinPath, request)
	if err != nil {
		return nil, err
	}
	return answer.identity(control, pin, key, certificateKey)
}

// controlAddress returns the control plane's base address without a final
// slash, and its host.
func controlAddress(raw string) (base, host string, err error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.User != nil {
		return "", "", sluice.Errorf(sluice.Invalid, "enrolment.url", "The control plane's address %q is not of the form https://host:port.", raw).At("control")
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/services")
	return "https://" + u.Host + strings.TrimRight(path, "/"), u.Hostname(), nil
}

// newJoinRequest returns the body of an enrolment.
func newJoinRequest(o *JoinOptions, key nkeys.KeyPair, certificateKey *ecdsa.PrivateKey) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: o.Name}}
	for _, h := range o.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if h != "" {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, certificateKey)
	if err != nil {
		return nil, fmt.Errorf("make the certificate request: %w", err)
	}
	publicKey, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make the gateway's key: %w", err)
	}
	return json.Marshal(joinRequest{
		Token: o.Token.Reveal(), Name: o.Name, PublicKey: publicKey,
		CSR:       string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
		Listeners: o.Listeners, Version: o.Version,
	})
}

// post sends an enrolment to a control plane that p accepts.
func (p *pin) post(ctx context.Context, to string, body []byte) (*joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	transport := &http.Transport{
		DialContext: p.dial,
		// The certificate is verified by p, before anything is sent.
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: p.verify},
		DisableKeepAlives: true,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("enrol at %s: %w", to, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		if e, ok := errors.AsType[*sluice.Error](err); ok {
			return nil, e
		}
		return nil, sluice.Errorf(sluice.Unavailable, "enrolment.unreachable", "The control plane at %s cannot be used: %v.", p.control, explainTLS(err))
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, sluice.Errorf(sluice.Unavailable, "enrolment.unreachable", "The control plane at %s broke off its answer.", p.control)
	}
	if response.StatusCode != http.StatusCreated {
		return nil, refusal(response, text)
	}
	var answer joinAnswer
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, badAnswer("is not what an enrolment is answered with")
	}
	return &answer, nil
}

// refusal returns what the enrolment endpoint says in an RFC 9457 problem.
func refusal(response *http.Response, text []byte) error {
	var problem struct {
		Code   string `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(text, &problem) // else the status must do
	kind := sluice.Unavailable
	switch response.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		kind = sluice.Invalid
	case http.StatusUnauthorized:
		kind = sluice.Unauthenticated
	case http.StatusForbidden:
		kind = sluice.Forbidden
	case http.StatusNotFound:
		kind = sluice.NotFound
	case http.StatusConflict:
		kind = sluice.Conflict
	case http.StatusTooManyRequests:
		kind = sluice.TooMany
	}
	e := sluice.Errorf(kind, "enrolment.refused", "The control plane answered %s.", response.Status)
	if problem.Code != "" {
		e.Code = problem.Code
	}
	if problem.Detail != "" {
		e.Message = problem.Detail
	} else if problem.Title != "" {
		e.Message = problem.Title
	}
	return e
}

func badAnswer(what string) error {
	return sluice.Errorf(sluice.Unavailable, "enrolment.answer", "The control plane's answer %s.", what)
}

// identity checks an answer and makes an Identity of it.
func (a *joinAnswer) identity(control string, p *pin, key nkeys.KeyPair, certificateKey *ecdsa.PrivateKey) (*Identity, error) {
	if a.GatewayID == "" || a.EnvironmentID == "" || len(a.StateKeys) == 0 {
		return nil, badAnswer("lacks the gateway's id, its environment or the key for states")
	}
	for _, k := range a.StateKeys {
		if len(k) != ed25519.PublicKeySize {
			return nil, badAnswer("holds a key for states that is not an Ed25519 key")
		}
	}
	bus := a.BusURL
	if bus == "" {
		bus = control
	}
	bus, err := busAddress(bus)
	if err != nil {
		return nil, badAnswer("names a bus that is not at an address of the form wss://host:port")
	}
	ca, err := p.issued(a, certificateKey)
	if err != nil {
		return nil, err
	}
	seed, err := key.Seed()
	if err != nil {
		return nil, fmt.Errorf("make the gateway's key: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(certificateKey)
	if err != nil {
		return nil, fmt.Errorf("make the certificate's key: %w", err)
	}
	return &Identity{
		GatewayID: a.GatewayID, EnvironmentID: a.EnvironmentID, ControlURL: control, BusURL: bus,
		Seed: sluice.Secret(seed), CA: ca, StateKeys: a.StateKeys,
		Certificate: []byte(a.Certificate), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// issued checks the certificate in an answer, and that its CA is among those
// pinned. It returns that CA, PEM.
func (p *pin) issued(a *joinAnswer, key *ecdsa.PrivateKey) ([]byte, error) {
	named, err := certificates([]byte(a.CA))
	if err != nil {
		return nil, badAnswer("holds no CA certificate")
	}
	chain, err := certificates([]byte(a.Certificate))
	if err != nil {
		return nil, badAnswer("holds no certificate for the gateway")
	}
	if public, ok := chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(&key.PublicKey) {
		return nil, badAnswer("holds a certificate for another key than the gateway's")
	}
	var ca []byte
	roots := x509.NewCertPool()
	for _, c := range named {
		if p.has(c) {
			roots.AddCert(c)
			ca = append(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	if ca == nil {
		return nil, sluice.Errorf(sluice.Unavailable, "enrolment.ca", "The control plane names a certificate authority (%s) that is not the pinned one.", fingerprint(named[0]))
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates}); err != nil {
		return nil, sluice.Errorf(sluice.Unavailable, "enrolment.certificate", "The certificate issued for the gateway cannot be used: %v.", explainTLS(err))
	}
	return ca, nil
}

// Join tokens: a prefix, 256 random bits, and the SHA-256 of the CA's
// certificate, both in 64 hexadecimal digits, with dots between.
const joinTokenPrefix = "slj1"

// NewJoinToken returns a new join token. It carries the fingerprint of the CA
// that a gateway is to pin: SHA-256 of its certificate's DER, hexadecimal.
func NewJoinToken(caFingerprint string) (token sluice.Secret) {
	return sluice.Secret(joinTokenPrefix + "." + sluice.NewSecret().Reveal() + "." + strings.ToLower(caFingerprint))
}

// JoinTokenFingerprint returns the fingerprint in a join token. What is not one
// is Invalid, "enrolment.token_form".
func JoinTokenFingerprint(token sluice.Secret) (string, error) {
	prefix, rest, _ := strings.Cut(token.Reveal(), ".")
	secret, ca, _ := strings.Cut(rest, ".")
	if prefix != joinTokenPrefix || !isSHA256(secret) || !isSHA256(ca) {
		return "", sluice.Errorf(sluice.Invalid, "enrolment.token_form", "This is not a join token; one begins with %s. and is 134 characters long.", joinTokenPrefix).At("token")
	}
	return strings.ToLower(ca), nil
}

// isSHA256 reports whether s is 256 bits in hexadecimal.
func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// ValidPublicKey reports whether s is the public key of a gateway: an NKey of
// type user.
func ValidPublicKey(s string) bool { return nkeys.IsValidPublicUserKey(s) }
