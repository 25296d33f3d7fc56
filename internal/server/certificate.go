package server

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// leastRSA is the least size of an RSA key that is accepted, in bits.
const leastRSA = 2048

// ownCertificate is a certificate that the operator brought.
type ownCertificate struct {
	setting, file, key string
	host               string // the name by which clients call; empty: it is not known
}

// ownCertificates returns those that the configuration names.
func (s *Server) ownCertificates() (list []ownCertificate) {
	t := s.cfg.TLS
	if t.ManagementCertificate != "" {
		list = append(list, ownCertificate{"tls.management_certificate", t.ManagementCertificate, t.ManagementKey, s.cfg.ManagementHost})
	}
	if t.TrafficCertificate != "" {
		list = append(list, ownCertificate{"tls.traffic_certificate", t.TrafficCertificate, t.TrafficKey, s.cfg.Host})
	}
	return list
}

// check refuses a certificate with which nobody could be served well: each
// error names the certificate, and the date where it is about one. It returns
// when the certificate ends.
func (c ownCertificate) check(now time.Time) (end time.Time, err error) {
	wrong := func(format string, args ...any) (time.Time, error) {
		return time.Time{}, fmt.Errorf("%s %s: %s", c.setting, filepath.Base(c.file), fmt.Sprintf(format, args...))
	}
	info, err := os.Stat(c.key)
	if err != nil {
		return wrong("its key cannot be read: %v", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return wrong("others can read its key %s (mode %04o); run chmod 600", filepath.Base(c.key), mode)
	}
	pair, err := tls.LoadX509KeyPair(c.file, c.key) // compares the two
	if err != nil {
		return wrong("it cannot be used with its key %s: %v", filepath.Base(c.key), err)
	}
	leaf := pair.Leaf
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
		return wrong("its RSA key has %d bits; at least %d are needed", key.N.BitLen(), leastRSA)
	}
	switch {
	case now.After(leaf.NotAfter):
		return wrong("the certificate of %s expired at %s", nameOf(leaf), leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return wrong("the certificate of %s is not valid before %s", nameOf(leaf), leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if c.host != "" && leaf.VerifyHostname(c.host) != nil {
		return wrong("the certificate names %s, but clients call %s; it is valid until %s", nameOf(leaf), c.host, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return leaf.NotAfter, nil
}

// nameOf names whom a certificate is for.
func nameOf(leaf *x509.Certificate) string {
	switch {
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return "nobody"
}

// fromFiles presents a certificate that the operator brought. A handshake that
// follows a change of the files reads them again, so that a renewed certificate
// needs no restart; where they cannot be used, the one before is presented on.
func fromFiles(cert, key string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var (
		mu   sync.Mutex // guards what follows
		last *tls.Certificate
		of   [2]fileState
	)
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		now := [2]fileState{stateOf(cert), stateOf(key)}
		if last != nil && now == of {
			return last, nil
		}
		c, err := tls.LoadX509KeyPair(cert, key)
		switch {
		case err == nil:
			last, of = &c, now
		case last == nil:
			return nil, fmt.Errorf("load the certificate: %w", err)
		}
		return last, nil
	}
}

// fileState is by what a file is known to have changed.
type fileState struct {
	size     int64
	modified time.Time
}

// stateOf returns the state of a file, the zero one where it cannot be seen.
func stateOf(name string) fileState {
	info, err := os.Stat(name)
	if err != nil {
		return fileState{}
	}
	return fileState{info.Size(), info.ModTime()}
}

// remindAt are the times before the end of a certificate at which it is said.
func remindAt() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{day, 7 * day, 30 * day}
}

// reminder returns the shortest of the times that the end is near by, 0 while it
// is far.
func reminder(now, end time.Time) time.Duration {
	times := remindAt()
	i := slices.IndexFunc(times, func(d time.Duration) bool { return end.Sub(now) <= d })
	if i < 0 {
		return 0
	}
	return times[i]
}

// judge keeps the health of a certificate, and returns when it ends where it
// serves.
func (s *Server) judge(c ownCertificate) (end time.Time, ok bool) {
	end, err := c.check(s.now())
	if err != nil {
		s.health.degrade(c.setting, err.Error())
		s.log.Error("certificate does not serve", "err", err)
		return end, false
	}
	s.health.degrade(c.setting, "")
	return end, true
}

// watchCertificates warns 30, 7 and 1 days before a certificate ends, and keeps
// the health of one that does not serve any more. Files are read anew each time.
func (s *Server) watchCertificates(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	said := map[string]time.Duration{}
	for {
		for _, c := range s.ownCertificates() {
			end, ok := s.judge(c)
			if !ok {
				continue
			}
			near := reminder(s.now(), end)
			if near != 0 && near != said[c.setting] {
				s.log.Warn("certificate ends soon; renew it, no restart is needed", "setting", c.setting, "file", filepath.Base(c.file), "end", end.UTC())
			}
			said[c.setting] = near
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
