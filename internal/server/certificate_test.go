package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newTestKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certificateFiles writes a certificate for a host and the key, and returns
// their names.
func certificateFiles(t *testing.T, key, filed crypto.Signer, host string, from, to time.Time, mode os.FileMode) (cert, keyFile string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, DNSNames: []string{host}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(filed)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, keyFile = filepath.Join(dir, "gw.pem"), filepath.Join(dir, "gw.key")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	return cert, keyFile
}

// G7: a certificate of one's own that would not serve ends the start, with its
// name and date.
func TestG7OwnCertificate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const day = 24 * time.Hour
	newKey := func() crypto.Signer { return newTestKey(t) }
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey()
	for what, test := range map[string]struct {
		key, filed crypto.Signer // nil: key
		host       string        // "": gw.example.com
		from, to   time.Duration // from now; zero: a day before, a year after
		mode       os.FileMode   // 0: 0600
		want       []string      // empty: it is accepted
	}{
		"a good one":                 {},
		"expired":                    {to: -time.Hour, want: []string{"gw.pem", "gw.example.com expired at 2026-01-02T02:04:05Z"}},
		"not yet valid":              {from: time.Hour, want: []string{"gw.example.com is not valid before 2026-01-02T04:04:05Z"}},
		"of another name":            {host: "other.example.com", want: []string{"names other.example.com, but clients call gw.example.com", "2027-01-02"}},
		"with another's key":         {filed: newKey(), want: []string{"cannot be used with its key gw.key", "does not match"}},
		"with an RSA key of 1024":    {key: weak, filed: weak, want: []string{"1024 bits", "2048"}},
		"with a key others can read": {mode: 0o644, want: []string{"others can read its key gw.key (mode 0644)"}},
	} {
		t.Run(what, func(t *testing.T) {
			signer, filed, host, from, to, mode := test.key, test.filed, test.host, test.from, test.to, test.mode
			if signer == nil {
				signer = key
			}
			if filed == nil {
				filed = key
			}
			if host == "" {
				host = "gw.example.com"
			}
			if from == 0 {
				from = -day
			}
			if to == 0 {
				to = 365 * day
			}
			if mode == 0 {
				mode = 0o600
			}
			cert, keyFile := certificateFiles(t, signer, filed, host, now.Add(from), now.Add(to), mode)
			_, err := ownCertificate{"tls.traffic_certificate", cert, keyFile, "gw.example.com"}.check(now)
			if len(test.want) == 0 && err != nil {
				t.Errorf("refused: %v", err)
			}
			for _, part := range test.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error = %v, want %q in it", err, part)
				}
			}
		})
	}
}

// G7: warnings 30, 7 and 1 days before the end.
func TestG7Reminders(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for left, want := range map[time.Duration]time.Duration{
		31 * day: 0, 30 * day: 30 * day, 8 * day: 30 * day, 7 * day: 7 * day, 2 * day: 7 * day, day: day, time.Hour: day,
	} {
		if got := reminder(now, now.Add(left)); got != want {
			t.Errorf("%v before the end: %v, want %v", left, got, want)
		}
	}
}
