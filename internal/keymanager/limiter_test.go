package keymanager

import (
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLimiter(func() time.Time { return now })
	fail := func(want time.Duration) {
		t.Helper()
		if got := l.fail("client", "address"); got != want {
			t.Errorf("wait = %s, want %s", got, want)
		}
	}
	for range freeFailures {
		fail(0)
	}
	fail(time.Second)
	fail(time.Second) // not counted
	for _, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
		now = now.Add(maxWait)
		fail(want * time.Second)
	}
	if got := l.fail("client", "elsewhere"); got != 0 {
		t.Errorf("at another address: wait = %s, want none", got)
	}
	now = now.Add(forgetFailures + time.Second)
	fail(0)
}

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(time.Now)
	for i := range maxLimiterItems + 100 {
		l.fail(fmt.Sprint(i), "address")
	}
	if n := len(l.failures); n != maxLimiterItems {
		t.Errorf("%d clients are remembered, want %d", n, maxLimiterItems)
	}
}
