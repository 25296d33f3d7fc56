package distribution

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
)

// enrolments is an enrolment endpoint on a TLS port.
type enrolments struct {
	ca     *authority
	server *httptest.Server
	asked  []joinRequest
	alter  func(map[string]any) // the answer; may be nil
	refuse http.HandlerFunc     // instead of an answer; may be nil
}

func newEnrolments(t *testing.T, ca *authority, certificate tls.Certificate) *enrolments {
	t.Helper()
	e := &enrolments{ca: ca}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.enrol(t, w, r) }))
	e.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	e.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	e.server.StartTLS()
	t.Cleanup(e.server.Close)
	return e
}

func (e *enrolments) enrol(t *testing.T, w http.ResponseWriter, r *http.Request) {
	if e.refuse != nil {
		e.refuse(w, r)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/api/sluice/v1/enrolments" {
		t.Errorf("%s %s", r.Method, r.URL.Path)
	}
	var asked joinRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		t.Errorf("request: %v", err)
	}
	e.asked = append(e.asked, asked)
	block, _ := pem.Decode([]byte(asked.CSR))
	if block == nil {
		t.Errorf("the certificate request is not PEM: %s", asked.CSR)
		return
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		t.Errorf("certificate request: %v", err)
		return
	}
	leaf := e.ca.issue(t, csr.PublicKey, "", time.Now().Add(time.Hour))
	answer := map[string]any{
		"gatewayId": "g1", "environmentId": "prod", "busURL": "wss://control.example:9443",
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})) + string(e.ca.pem()),
		"ca":          string(e.ca.pem()), "stateKeys": []string{base64.StdEncoding.EncodeToString(make([]byte, 32))},
	}
	if e.alter != nil {
		e.alter(answer)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		t.Error(err)
	}
}

func TestJoin(t *testing.T) {
	ca := newAuthority(t)
	e := newEnrolments(t, ca, ca.server(t, controlPlaneURI, time.Now().Add(time.Hour)))
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, ca.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	print := fingerprint(ca.cert)
	colons := strings.ToUpper(print[:2] + ":" + print[2:])
	for name, o := range map[string]JoinOptions{
		"fingerprint in the token": {Token: NewJoinToken(print)},
		"fingerprint":              {Token: "x", Fingerprint: colons},
		"CA file":                  {Token: "x", CAFile: caFile},
		"first contact":            {Token: "x", PinFirst: true},
		"services in the address":  {Token: NewJoinToken(print), ControlURL: e.server.URL + "/services//"},
	} {
		if o.ControlURL == "" {
			o.ControlURL = e.server.URL
		}
		o.Name, o.Version, o.Hosts, o.Listeners = "gw", "v1", []string{"gw.example", "10.0.0.1"}, []string{"https://gw.example:8244"}
		id, err := Join(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		asked := e.asked[len(e.asked)-1]
		if asked.Token != o.Token.Reveal() || asked.Name != "gw" || asked.Version != "v1" || !ValidPublicKey(asked.PublicKey) || len(asked.Listeners) != 1 {
			t.Errorf("%s: asked with %+v", name, asked)
		}
		if id.GatewayID != "g1" || id.EnvironmentID != "prod" || id.ControlURL != e.server.URL || id.BusURL != "wss://control.example:9443" {
			t.Errorf("%s: identity %+v", name, id)
		}
		if _, err := tls.X509KeyPair(id.Certificate, id.Key); err != nil {
			t.Errorf("%s: certificate: %v", name, err)
		}
		if !bytes.Equal(id.CA, ca.pem()) {
			t.Errorf("%s: another CA is pinned", name)
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	token := NewJoinToken(fingerprint(ca.cert))
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherCertificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.issue(t, &other.PublicKey, "", hour)}))
	elsewhere := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return foreignConn{conn}, err
	}
	set := func(field string, value any) func(map[string]any) {
		return func(answer map[string]any) { answer[field] = value }
	}
	tests := map[string]struct {
		options     JoinOptions
		certificate tls.Certificate
		alter       func(map[string]any)
		refuse      http.HandlerFunc
		kind        sluice.Kind
		code, says  string
		asked       bool // the token was sent
	}{
		"nothing to trust by": {
			options: JoinOptions{Token: "x"}, kind: sluice.Unavailable, code: "enrolment.unpinned",
			says: "sluice gateway join --control CONTROL --fingerprint " + fingerprint(ca.cert) + " --token",
		},
		"first contact with another machine": {options: JoinOptions{Token: "x", PinFirst: true, Dial: elsewhere}, code: "enrolment.unpinned", kind: sluice.Unavailable, says: fingerprint(ca.cert)},
		"another CA's fingerprint":           {options: JoinOptions{Token: NewJoinToken(fingerprint(stranger.cert))}, code: "enrolment.ca", kind: sluice.Unavailable, says: fingerprint(stranger.cert)},
		"CA file of another":                 {options: JoinOptions{Token: "x", CAFile: "STRANGER"}, code: "enrolment.unreachable", kind: sluice.Unavailable, says: "not of the pinned certificate authority"},
		"no CA file":                         {options: JoinOptions{Token: "x", CAFile: "/does/not/exist"}, code: "enrolment.ca_file", kind: sluice.Invalid, says: "/does/not/exist"},
		"bad fingerprint":                    {options: JoinOptions{Token: token, Fingerprint: "12:34"}, code: "enrolment.fingerprint", kind: sluice.Invalid, says: "64 hexadecimal"},
		"plain HTTP":                         {options: JoinOptions{Token: token, ControlURL: "http://127.0.0.1:1"}, code: "enrolment.url", kind: sluice.Invalid, says: "https://"},
		"nobody there":                       {options: JoinOptions{Token: token, ControlURL: "https://127.0.0.1:1"}, code: "enrolment.unreachable", kind: sluice.Unavailable, says: "refused"},
		"a gateway of the same CA":           {options: JoinOptions{Token: token}, certificate: ca.server(t, "", hour), code: "enrolment.unreachable", kind: sluice.Unavailable, says: controlPlaneURI},
		"first contact with a gateway":       {options: JoinOptions{Token: "x", PinFirst: true}, certificate: ca.server(t, "sluice:gateway", hour), code: "enrolment.unreachable", kind: sluice.Unavailable, says: controlPlaneURI},
		"expired certificate":                {options: JoinOptions{Token: token}, certificate: ca.server(t, controlPlaneURI, time.Now().Add(-time.Hour)), code: "enrolment.unreachable", kind: sluice.Unavailable, says: "is the clock right?"},
		"another host's certificate":         {options: JoinOptions{Token: token, ControlURL: "LOCALHOST"}, code: "enrolment.unreachable", kind: sluice.Unavailable, says: "localhost"},
		"used token": {options: JoinOptions{Token: token}, kind: sluice.Unauthenticated, code: "enrolment.token", says: "The token has been used.", refuse: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"code":"enrolment.token","title":"Unauthenticated","detail":"The token has been used."}`)
		}},
		"an answer of somebody else": {options: JoinOptions{Token: token}, kind: sluice.Unavailable, code: "enrolment.refused", says: "502", refuse: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
		}},
		"redirect": {options: JoinOptions{Token: token}, kind: sluice.Unavailable, code: "enrolment.refused", says: "307", refuse: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}},
		"201 without JSON": {options: JoinOptions{Token: token}, kind: sluice.Unavailable, code: "enrolment.answer", says: "not what", refuse: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
		}},
		"CA that is not pinned":         {options: JoinOptions{Token: token}, alter: set("ca", string(stranger.pem())), kind: sluice.Unavailable, code: "enrolment.ca", says: fingerprint(stranger.cert), asked: true},
		"certificate of another CA":     {options: JoinOptions{Token: token}, alter: set("certificate", string(stranger.pem())), kind: sluice.Unavailable, code: "enrolment.answer", says: "another key", asked: true},
		"certificate for another key":   {options: JoinOptions{Token: token}, alter: set("certificate", otherCertificate), kind: sluice.Unavailable, code: "enrolment.answer", says: "another key", asked: true},
		"no certificate":                {options: JoinOptions{Token: token}, alter: set("certificate", ""), kind: sluice.Unavailable, code: "enrolment.answer", says: "no certificate", asked: true},
		"no gateway id":                 {options: JoinOptions{Token: token}, alter: set("gatewayId", ""), kind: sluice.Unavailable, code: "enrolment.answer", says: "lacks", asked: true},
		"state key of the wrong length": {options: JoinOptions{Token: token}, alter: set("stateKeys", []string{"AAAA"}), kind: sluice.Unavailable, code: "enrolment.answer", says: "Ed25519", asked: true},
		"bus without TLS":               {options: JoinOptions{Token: token}, alter: set("busURL", "ws://x:1"), kind: sluice.Unavailable, code: "enrolment.answer", says: "wss://", asked: true},
	}
	strangerFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(strangerFile, stranger.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.certificate.Certificate == nil {
				test.certificate = ca.server(t, controlPlaneURI, hour)
			}
			e := newEnrolments(t, ca, test.certificate)
			e.alter, e.refuse = test.alter, test.refuse
			o := test.options
			switch o.ControlURL {
			case "":
				o.ControlURL = e.server.URL
			case "LOCALHOST":
				o.ControlURL = strings.Replace(e.server.URL, "127.0.0.1", "localhost", 1)
			}
			if o.CAFile == "STRANGER" {
				o.CAFile = strangerFile
			}
			_, err := Join(t.Context(), o)
			got, ok := errors.AsType[*sluice.Error](err)
			if !ok {
				t.Fatalf("error = %v, want a sluice.Error", err)
			}
			if says := strings.Replace(test.says, "CONTROL", e.server.URL, 1); got.Kind != test.kind || got.Code != test.code || !strings.Contains(got.Message, says) {
				t.Errorf("error = %v %s %q, want %v %s with %q", got.Kind, got.Code, got.Message, test.kind, test.code, says)
			}
			if asked := len(e.asked) > 0; asked != test.asked {
				t.Errorf("the token was sent: %t, want %t", asked, test.asked)
			}
			if strings.Contains(got.Message, o.Token.Reveal()) && len(o.Token) > 10 {
				t.Error("the token is in the message")
			}
		})
	}
}

// foreignConn pretends to come from another machine.
type foreignConn struct{ net.Conn }

func (foreignConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9443}
}

func TestJoinTokens(t *testing.T) {
	want := strings.Repeat("ab", 32)
	token := NewJoinToken(strings.ToUpper(want))
	if got, err := JoinTokenFingerprint(token); got != want || err != nil || len(token) != 134 {
		t.Errorf("fingerprint of %s (%d characters) = %q, %v", token.Reveal(), len(token), got, err)
	}
	if token == NewJoinToken(want) {
		t.Error("two tokens are the same")
	}
	for _, bad := range []sluice.Secret{"", "x", "slj1..", token + "0", "slj2" + token[4:], token[:133], token[:70] + "g" + token[71:], token + "." + sluice.Secret(want)} {
		if got, err := JoinTokenFingerprint(bad); sluice.KindOf(orNil(err)) != sluice.Invalid {
			t.Errorf("fingerprint of %q = %q, %v", bad.Reveal(), got, err)
		}
	}
}

func orNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

func TestIdentityIsKept(t *testing.T) {
	ca := newAuthority(t)
	e := newEnrolments(t, ca, ca.server(t, controlPlaneURI, time.Now().Add(time.Hour)))
	id, err := Join(t.Context(), JoinOptions{ControlURL: e.server.URL, Token: NewJoinToken(fingerprint(ca.cert)), Name: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "gateway")
	if _, err := LoadIdentity(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadIdentity of nothing: %v, want fs.ErrNotExist", err)
	}
	for range 2 {
		if err := id.Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("files: %v", got)
	}
	got, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(id, got); diff != "" {
		t.Error(diff)
	}
	path := filepath.Join(dir, identityFile)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("an identity that others can read: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"half a file": string(whole[:len(whole)/2]), "empty": "", "no fields": "{}",
		"no seed": strings.Replace(string(whole), id.Seed.Reveal(), "", 1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBusAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"wss://host:9443": "wss://host:9443", "https://host:9443/": "wss://host:9443", "https://host:9443/services/": "wss://host:9443",
		"wss://[::1]:9443/services/bus": "wss://[::1]:9443",
		"ws://host:9443":                "", "http://host": "", "host:9443": "", "": "", "wss://": "", "wss://u:p@host": "", "wss://host/other": "", "wss://host?x": "",
	} {
		if got, err := busAddress(raw); got != want || (err == nil) != (want != "") {
			t.Errorf("busAddress(%q) = %q, %v, want %q", raw, got, err, want)
		}
	}
}
