package keymanager

import (
	"crypto/sha256"
	"sync"
	"time"
)

// How client authentication backs off.
const (
	freeFailures    = 5               // answered without a wait
	maxWait         = time.Minute     // the longest wait
	forgetFailures  = 5 * time.Minute // after the last failure
	maxLimiterItems = 10_000
)

// limiter slows down clients that authenticate with wrong secrets, each for
// itself at each address. It bounds itself: beyond maxLimiterItems one entry is
// forgotten for each new one.
//
// It counts failures and nothing else: a right secret is never refused. Secrets
// are 256 random bits, which no rate of guessing finds, but a client id is
// public and addresses are shared, by the callers of one gateway for a start.
// Were right secrets refused too, then one instance of an application with an
// old secret, or anybody who knows its client id, could lock out all others.
type limiter struct {
	now func() time.Time

	mu       sync.Mutex // guards failures
	failures map[[sha256.Size]byte]failure
}

// failure is what is remembered of one client at one address.
type failure struct {
	count int
	last  time.Time // when one was last counted
	until time.Time // no failure is counted before
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, failures: make(map[[sha256.Size]byte]failure)}
}

// fail notes a failure of the client at the address and returns how long it
// should wait: 0 for the first few, then twice as long each time.
func (l *limiter) fail(client, address string) time.Duration {
	// A digest, since the client id is of any length that fits a request.
	key := sha256.Sum256([]byte(address + "\x00" + client))
	now := l.now()

	l.mu.Lock()
	defer l.mu.Unlock()
	f, known := l.failures[key]
	switch {
	case now.Before(f.until):
		return f.until.Sub(now)
	case now.Sub(f.last) > forgetFailures:
		f = failure{}
	}
	if !known && len(l.failures) >= maxLimiterItems {
		for other := range l.failures {
			delete(l.failures, other)
			break
		}
	}
	f.count++
	f.last = now
	var wait time.Duration
	if over := f.count - freeFailures; over > 0 {
		wait = min(time.Second<<min(over-1, 10), maxWait)
		f.until = now.Add(wait)
	}
	l.failures[key] = f
	return wait
}
