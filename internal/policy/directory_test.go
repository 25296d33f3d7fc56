package policy

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

func put(t testing.TB, d *Directory, items ...artifact.Item) *Directory {
	t.Helper()
	e := d.Edit(false)
	for _, it := range items {
		if err := e.Put(it); err != nil {
			t.Fatal(err)
		}
	}
	return e.Directory()
}

func remove(d *Directory, items ...artifact.Item) *Directory {
	e := d.Edit(false)
	for _, it := range items {
		e.Remove(it.ItemID())
	}
	return e.Directory()
}

func TestDirectoryEdit(t *testing.T) {
	s := newIssuer(t)
	app := &artifact.Application{ID: "a1", Owner: "alice"}
	key := &artifact.Key{Key: "ck1", ApplicationID: "a1", Type: sluice.SandboxKey}
	sub := &artifact.Subscription{ID: "s1", ApplicationID: "a1", APIID: "api2", State: sluice.Unblocked}
	sub1 := &artifact.Subscription{ID: "s2", ApplicationID: "a1", APIID: "api1", State: sluice.OnHold}
	none := NewDirectory(0)
	full := put(t, none, app, key, sub, sub1, s.tokens(), &artifact.Tier{Name: "Gold"})

	if k, there := full.keys.get("ck1"); !there || k.applicationID != "a1" || k.keyType() != sluice.SandboxKey {
		t.Errorf("key = %+v, %v", k, there)
	}
	for api, want := range map[string]string{"api1": "s2", "api2": "s1"} {
		if got := full.subscription("a1", api); got == nil || got.ID != want {
			t.Errorf("subscription to %s = %+v, want %s", api, got, want)
		}
	}
	if got := full.subscription("a1", "api3"); got != nil {
		t.Errorf("subscription to api3 = %+v, want none", got)
	}
	if _, there := none.keys.get("ck1"); there || none.trust != nil || none.subscription("a1", "api1") != nil {
		t.Error("the Directory that an edit began with has changed")
	}

	less := remove(full, sub, key)
	if less.subscription("a1", "api2") != nil || less.subscription("a1", "api1") == nil {
		t.Error("the wrong subscription was removed")
	}
	if _, there := less.keys.get("ck1"); there {
		t.Error("a removed key is there")
	}
	if full.subscription("a1", "api2") == nil {
		t.Error("removing changed the Directory it began with")
	}
	if less = remove(less, sub1, s.tokens(), app); less.trust != nil || less.subscription("a1", "api1") != nil {
		t.Error("something is left")
	}

	again := put(t, full, &artifact.Subscription{ID: "s9", ApplicationID: "a1", APIID: "api2", State: sluice.Unblocked})
	if got := again.subscription("a1", "api2"); got.ID != "s9" {
		t.Errorf("subscription that took the place of another = %s", got.ID)
	}
	if got := remove(again, sub).subscription("a1", "api2"); got == nil || got.ID != "s9" {
		t.Errorf("removing the earlier one left %+v", got)
	}
	if err := full.Edit(false).Put(&artifact.Key{Key: "x", Type: "OTHER"}); err == nil {
		t.Error("a key of unknown type was taken")
	}
}

func TestDirectoryKeep(t *testing.T) {
	s := newIssuer(t)
	items := []artifact.Item{
		&artifact.Application{ID: "a1", Owner: "alice"},
		&artifact.Key{Key: "ck1", ApplicationID: "a1", Type: sluice.ProductionKey},
		&artifact.Subscription{ID: "s1", ApplicationID: "a1", APIID: "api1", State: sluice.Unblocked},
		&artifact.Revocation{ID: "r1", Kind: sluice.RevokedToken, Subject: "j1", ExpiresAt: testNow.Add(time.Hour)},
		s.tokens(),
	}
	d := put(t, NewDirectory(0), items...)
	e := d.Edit(true)
	for _, it := range items {
		e.Keep(it.ItemID())
	}
	e.Keep("key/unknown")
	kept := e.Directory()
	if _, there := kept.keys.get("ck1"); !there || kept.trust != d.trust || kept.subscription("a1", "api1") == nil ||
		!kept.revoked(sluice.RevokedToken, "j1", "", 0, testNow) {
		t.Error("an item was not kept")
	}
	empty := d.Edit(true).Directory()
	if _, there := empty.keys.get("ck1"); there || empty.trust != nil || empty.subscription("a1", "api1") != nil ||
		empty.revoked(sluice.RevokedToken, "j1", "", 0, testNow) {
		t.Error("an empty edit kept something")
	}
}

// TestTrustChanges checks that remembered tokens are forgotten with the keys
// that they were verified with, and only then.
func TestTrustChanges(t *testing.T) {
	s, next := newIssuer(t), newIssuer(t)
	d := put(t, NewDirectory(0), s.tokens())
	token := []byte(s.token(t, goodHeader, claims(t, nil)))
	if _, fault := d.trust.judge(token, testNow); fault != nil {
		t.Fatal(fault.Code)
	}
	if same := put(t, d, s.tokens(), &artifact.Application{ID: "a"}); same.trust != d.trust {
		t.Error("the same keys, told again, made remembered tokens forgotten")
	}
	d = put(t, d, next.tokens())
	if _, fault := d.trust.judge(token, testNow); fault != InvalidCredentials {
		t.Errorf("token of a key that is gone: %v, want %v", fault, InvalidCredentials)
	}
}

func TestRevoked(t *testing.T) {
	d := put(t, NewDirectory(time.Minute),
		&artifact.Revocation{ID: "r1", Kind: sluice.RevokedToken, Subject: "j1", ExpiresAt: testNow.Add(time.Hour)},
		&artifact.Revocation{ID: "r2", Kind: sluice.RevokedUser, Subject: "alice", Before: testNow, ExpiresAt: testNow.Add(time.Hour)},
		&artifact.Revocation{ID: "r3", Kind: sluice.RevokedUser, Subject: "alice", Before: testNow.Add(-time.Hour), ExpiresAt: testNow.Add(time.Hour)},
		&artifact.Revocation{ID: "r5", Kind: sluice.RevokedUser, Subject: "bob", Organization: "o1", Before: testNow, ExpiresAt: testNow.Add(time.Hour)},
		&artifact.Revocation{ID: "r4", Kind: sluice.RevokedConsumerKey, Subject: "ck1", Before: testNow.Add(500 * time.Millisecond), ExpiresAt: testNow.Add(time.Hour)},
	)
	at := testNow.UnixMilli()
	for name, tc := range map[string]struct {
		kind    sluice.RevocationKind
		subject string // with its organization, where it has one, behind an @
		issued  int64
		after   time.Duration
		want    bool
	}{
		"the token":                                         {sluice.RevokedToken, "j1", at + 10, 0, true},
		"another token":                                     {sluice.RevokedToken, "j2", at, 0, false},
		"a user of the token's name":                        {sluice.RevokedUser, "j1", at, 0, false},
		"the token, revocation out of date":                 {sluice.RevokedToken, "j1", at, time.Hour + time.Minute, false},
		"the token, while leeway lets it live":              {sluice.RevokedToken, "j1", at, time.Hour + 59*time.Second, true},
		"user, issued before":                               {sluice.RevokedUser, "alice", at - 1, 0, true},
		"user, issued in that millisecond":                  {sluice.RevokedUser, "alice", at, 0, true},
		"user, issued a millisecond later":                  {sluice.RevokedUser, "alice", at + 1, 0, false},
		"user of the organization":                          {sluice.RevokedUser, "bob@o1", at, 0, true},
		"user of that name in another organization":         {sluice.RevokedUser, "bob@o2", at, 0, false},
		"user of that name whose organization is not known": {sluice.RevokedUser, "bob", at, 0, true},
		"user of any organization":                          {sluice.RevokedUser, "alice@o2", at, 0, true},
		"consumer key, issued in that second":               {sluice.RevokedConsumerKey, "ck1", at, 0, true},
		"consumer key, issued in that millisecond":          {sluice.RevokedConsumerKey, "ck1", at + 500, 0, true},
		"consumer key, issued later in that second":         {sluice.RevokedConsumerKey, "ck1", at + 501, 0, false},
	} {
		subject, organization, _ := strings.Cut(tc.subject, "@")
		if got := d.revoked(tc.kind, subject, organization, tc.issued, testNow.Add(tc.after)); got != tc.want {
			t.Errorf("%s: revoked = %v, want %v", name, got, tc.want)
		}
	}
	d = remove(d, &artifact.Revocation{ID: "r2"})
	if !d.revoked(sluice.RevokedUser, "alice", "", at-3600_000, testNow) || d.revoked(sluice.RevokedUser, "alice", "", at, testNow) {
		t.Error("removing one of two revocations of a user left the wrong one")
	}
}

// TestMemoryOfAKey holds the figure of 350 bytes for a consumer key.
func TestMemoryOfAKey(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes what memory is used")
	}
	const count = 30_000
	measure := func(make func(e *DirectoryEdit, i int)) (*Directory, int) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		e := NewDirectory(0).Edit(true)
		for i := range count {
			make(e, i)
		}
		d := e.Directory()
		e = nil
		runtime.GC()
		runtime.ReadMemStats(&after)
		return d, int(after.HeapAlloc-before.HeapAlloc) / count
	}
	id := func(kind string, i int) string { return fmt.Sprintf("0190c3a4-5b6c-7%s-8000-%012d", kind, i) }
	application := func(e *DirectoryEdit, i int) {
		_ = e.Put(&artifact.Application{ID: id("aaa", i), Organization: "default", Name: fmt.Sprint("application ", i), Owner: "alice", Tier: "Unlimited"})
	}
	key := func(e *DirectoryEdit, i int) {
		_ = e.Put(&artifact.Key{Key: fmt.Sprintf("ck%030d", i), ApplicationID: id("aaa", i), Type: sluice.ProductionKey})
	}
	d, got := measure(key)
	if got > 350 {
		t.Errorf("a key needs %d bytes, want at most 350", got)
	}
	t.Logf("key %d bytes", got)
	runtime.KeepAlive(d)
	d, got = measure(func(e *DirectoryEdit, i int) {
		application(e, i)
		key(e, i)
		_ = e.Put(&artifact.Subscription{ID: id("bbb", i), ApplicationID: id("aaa", i), APIID: id("ccc", i%1000), Tier: "Gold", State: sluice.Unblocked})
	})
	t.Logf("key, application and subscription %d bytes", got)
	runtime.KeepAlive(d)
}
