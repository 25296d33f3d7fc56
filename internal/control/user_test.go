package control

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

const password = sluice.Secret("correct horse battery staple")

func TestFirstAdministrator(t *testing.T) {
	w := newWorld(t)
	if found, err := w.plane.HasAdministrator(t.Context()); found || err != nil {
		t.Errorf("an empty database has an administrator: %t, %v", found, err)
	}
	w.user("uma", sluice.Publisher)
	if made, err := w.plane.EnsureAdministrator(t.Context(), password, true); !made || err != nil {
		t.Fatalf("EnsureAdministrator = %t, %v", made, err)
	}
	if made, err := w.plane.EnsureAdministrator(t.Context(), "another password", false); made || err != nil {
		t.Errorf("a second one is made: %t, %v", made, err)
	}
	u, err := w.plane.Login(w.from("192.0.2.1"), AdministratorName, password)
	if err != nil || !u.MustChange || !(sluice.Actor{Roles: u.Roles}).Has() {
		t.Errorf("Login = %+v, %v", u, err)
	}
	if !strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored as %q", u.PasswordHash)
	}
	_, err = w.plane.Login(w.from("192.0.2.1"), AdministratorName, "another password")
	wantCode(t, "the password of the second", err, sluice.Unauthenticated, "login")
}

// Who had the old password loses what they got with it.
func TestResetEndsTokens(t *testing.T) {
	w := newWorld(t)
	if err := w.plane.ResetAdministrator(t.Context(), password); !sluice.IsNotFound(err) {
		t.Errorf("without an administrator: %v", err)
	}
	if _, err := w.plane.EnsureAdministrator(t.Context(), "old password", true); err != nil {
		t.Fatal(err)
	}
	_, secret, err := w.plane.CreateAccessTokenFor(t.Context(), AdministratorName, "cli", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got := w.emitted(func() {
		if err := w.plane.ResetAdministrator(t.Context(), password); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "ResetAdministrator", got, "+revocation @ "+production, "+revocation @ "+sandbox, "+revocation @ "+both)
	_, _, err = w.plane.Authenticate(t.Context(), secret)
	wantCode(t, "a token from before", err, sluice.Unauthenticated, "token")
	w.view(func(tx *database.Tx) error {
		list, err := tx.Revocations(w.clock.now())
		if len(list) != 1 || list[0].Kind != sluice.RevokedUser || list[0].Subject != AdministratorName || list[0].ExpiresAt.Before(w.clock.now().Add(w.o.MaxAccessTokenTTL)) {
			t.Errorf("revocations = %+v", list)
		}
		return err
	})
	_, err = w.plane.Login(w.from("192.0.2.1"), AdministratorName, "old password")
	wantCode(t, "the old password", err, sluice.Unauthenticated, "login")
	if u, err := w.plane.Login(w.from("192.0.2.1"), AdministratorName, password); err != nil || u.MustChange {
		t.Errorf("Login = %+v, %v", u, err)
	}
}

func TestLoginBacksOff(t *testing.T) {
	w := newWorld(t)
	if _, err := w.plane.EnsureAdministrator(t.Context(), password, false); err != nil {
		t.Fatal(err)
	}
	here, there := w.from("192.0.2.1"), w.from("192.0.2.2")
	wrong := func(ctx context.Context, name string) error {
		_, err := w.plane.Login(ctx, name, "wrong")
		return err
	}
	var unknown error
	for range freeTries + 1 {
		wantCode(t, "a wrong password", wrong(here, AdministratorName), sluice.Unauthenticated, "login")
		unknown = wrong(here, "nobody")
		wantCode(t, "an unknown user", unknown, sluice.Unauthenticated, "login")
	}
	if got := wrong(there, AdministratorName); got.Error() != unknown.Error() {
		t.Errorf("wrong password: %q, unknown user: %q", got, unknown)
	}
	wantCode(t, "an unknown user, too often", wrong(here, "nobody"), sluice.TooMany, "login.slow")
	_, err := w.plane.Login(here, AdministratorName, password)
	wantCode(t, "the right password, too soon", err, sluice.TooMany, "login.slow")
	if _, err := w.plane.Login(there, AdministratorName, password); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	w.clock.advance(time.Second)
	wantCode(t, "after the first pause", wrong(here, AdministratorName), sluice.Unauthenticated, "login")
	w.clock.advance(time.Second)
	wantCode(t, "in the second pause, which is longer", wrong(here, AdministratorName), sluice.TooMany, "login.slow")
	w.clock.advance(time.Second)
	if _, err := w.plane.Login(here, AdministratorName, password); err != nil {
		t.Errorf("after the second pause: %v", err)
	}
	wantCode(t, "and nothing is held against it", wrong(here, AdministratorName), sluice.Unauthenticated, "login")

	l := w.plane.logins
	who := tryOf("x", "y")
	for range 100 {
		l.failed(who)
	}
	if wait := l.tries[who].until.Sub(w.clock.now()); wait > longestWait {
		t.Errorf("the longest pause is %s, want at most %s", wait, longestWait)
	}
	for i := range maxTries + 10 {
		l.failed(tryOf(fmt.Sprint(i), "z"))
	}
	if len(l.tries) != maxTries {
		t.Errorf("%d tries are remembered, want %d", len(l.tries), maxTries)
	}
	if tryOf("ab", "c") == tryOf("b", "ca") {
		t.Error("two names share their failures")
	}
}

// Guesses that are sent all at once wait for each other.
func TestLoginsAtOnceBackOffToo(t *testing.T) {
	w := newWorld(t)
	if _, err := w.plane.EnsureAdministrator(t.Context(), password, false); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.plane.Login(w.from("192.0.2.1"), AdministratorName, "wrong") })
	}
	wg.Wait()
	guesses := 0
	for _, err := range errs {
		if sluice.KindOf(err) == sluice.Unauthenticated {
			guesses++
		}
	}
	if guesses > freeTries+argonAtOnce {
		t.Errorf("%d of %d guesses were judged, want at most %d", guesses, len(errs), freeTries+argonAtOnce)
	}
}

func TestStoredPasswords(t *testing.T) {
	l := newLogins(time.Now)
	hash, err := l.hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := checkPassword(password, hash); !ok || err != nil {
		t.Errorf("the right password: %t, %v", ok, err)
	}
	for name, stored := range map[string]string{
		"another form":   "$2y$10$abc",
		"no cost":        "$argon2id$v=19$m=x$YWJj$YWJj",
		"a damaged salt": "$argon2id$v=19$m=19456,t=2,p=1$!$YWJj",
		"a damaged hash": "$argon2id$v=19$m=19456,t=2,p=1$YWJj$!",
	} {
		if ok, err := checkPassword(password, stored); ok || err == nil {
			t.Errorf("%s: %t, %v, want an error", name, ok, err)
		}
	}
	if ok, err := checkPassword("", ""); ok || err != nil {
		t.Errorf("no user: %t, %v", ok, err)
	}
	for range argonAtOnce {
		if _, err := l.take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = l.take(ended)
	wantCode(t, "a caller who leaves the queue", err, sluice.Unavailable, "login.busy")
}
