package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// AdministratorName is the name of the first administrator.
const AdministratorName = "admin"

// Cost of argon2id (RFC 9106 §4, second recommended option scaled to servers).
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	argonAtOnce  = 4 // hashes computed at one time: a bound on memory
)

// EnsureAdministrator makes the first administrator where no administrator
// exists, and reports whether it did. A temporary password is to be changed at
// the first login.
func (p *Plane) EnsureAdministrator(ctx context.Context, password sluice.Secret, temporary bool) (bool, error) {
	hash, err := p.logins.hash(ctx, password)
	if err != nil {
		return false, err
	}
	ctx = sluice.WithActor(ctx, sluice.System())
	made := false
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		users, err := tx.Users(sluice.DefaultOrganization)
		if err != nil {
			return err
		}
		for _, u := range users {
			if slices.Contains(u.Roles, sluice.Administrator) {
				return nil
			}
		}
		made = true
		u := sluice.User{
			ID: sluice.NewID(p.now()), Organization: sluice.DefaultOrganization, Name: AdministratorName,
			Roles:        []sluice.Role{sluice.Administrator, sluice.Creator, sluice.Publisher, sluice.Subscriber},
			PasswordHash: hash, MustChange: temporary, CreatedAt: p.now(),
		}
		if err := tx.AddUser(&u); err != nil {
			return err
		}
		return audit(ctx, tx, "user.create", "user", u.ID, u.Name, nil, u.Roles)
	})
	return made, err
}

// HasAdministrator reports whether the first administrator exists.
func (p *Plane) HasAdministrator(ctx context.Context) (found bool, err error) {
	err = p.db.View(ctx, func(tx *database.Tx) error {
		users, err := tx.Users(sluice.DefaultOrganization)
		for _, u := range users {
			found = found || sluice.Actor{Roles: u.Roles}.Has(sluice.Administrator)
		}
		return err
	})
	return found, err
}

// ResetAdministrator gives the first administrator another password, from the
// command line on the control plane's own home. Whoever had the old one loses
// what they got with it: tokens of the management API, and at all gateways the
// user's access tokens.
func (p *Plane) ResetAdministrator(ctx context.Context, password sluice.Secret) error {
	hash, err := p.logins.hash(ctx, password)
	if err != nil {
		return err
	}
	actor := sluice.System()
	actor.Client = "cli"
	ctx = sluice.WithActor(ctx, actor)
	return p.db.Update(ctx, func(tx *database.Tx) error {
		u, err := tx.UserByName(sluice.DefaultOrganization, AdministratorName)
		if err != nil {
			return err
		}
		u.PasswordHash, u.MustChange = hash, false
		if err := tx.PutUser(&u); err != nil {
			return err
		}
		if err := p.endTokens(tx, &u); err != nil {
			return err
		}
		return audit(ctx, tx, "user.password", "user", u.ID, u.Name, nil, nil)
	})
}

// splitUser takes the organization out of a user's name as people type it,
// "ann@acme"; without one it is that of the installation.
func splitUser(name string) (org, user string) {
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		return name[i+1:], name[:i]
	}
	return sluice.DefaultOrganization, name
}

// Login returns the user with this name, "ann" or "ann@organization", and
// password. An unknown user costs as much time as a known one; after some
// failures of one name from one address the next tries are refused for a while,
// never for good.
func (p *Plane) Login(ctx context.Context, name string, password sluice.Secret) (sluice.User, error) {
	who := tryOf(name, sluice.ActorFrom(ctx).Address)
	if err := p.logins.mayTry(who); err != nil {
		return sluice.User{}, err
	}
	release, err := p.logins.take(ctx)
	if err != nil {
		return sluice.User{}, err
	}
	defer release()
	if err := p.logins.mayTry(who); err != nil { // those before it in the queue may have failed
		return sluice.User{}, err
	}
	var u sluice.User
	err = p.db.View(ctx, func(tx *database.Tx) (err error) {
		u, err = tx.UserByName(splitUser(name))
		return err
	})
	if err != nil && !sluice.IsNotFound(err) {
		return sluice.User{}, err
	}
	ok, checkErr := checkPassword(password, u.PasswordHash)
	if checkErr != nil {
		return sluice.User{}, checkErr
	}
	if err != nil || !ok {
		p.logins.failed(who)
		p.refusals.add("login.refused", name, sluice.ActorFrom(ctx).Address)
		return sluice.User{}, sluice.Errorf(sluice.Unauthenticated, "login", "The user name or the password is wrong.")
	}
	p.logins.succeeded(who)
	if err := p.welcome(ctx, &u); err != nil { // the login counts; the next one tries again
		p.log.Warn("a subscriber got no first application", "user_id", u.ID, "err", err)
	}
	return u, nil
}

// logins checks passwords, a few at a time, and remembers who failed. It may be
// used by many goroutines.
type logins struct {
	now   func() time.Time
	slots chan struct{}

	mu    sync.Mutex // guards tries
	tries map[tryKey]try
}

// tryKey stands for a name and an address. It is a digest, since names are of any
// length that fits a request.
type tryKey [sha256.Size]byte

func tryOf(name, address string) tryKey { return sha256.Sum256([]byte(address + "\x00" + name)) }

// try counts the failures of one name from one address.
type try struct {
	failures int
	until    time.Time // no try before
}

const (
	maxTries    = 10000 // names and addresses remembered
	freeTries   = 5     // failures without a pause
	longestWait = time.Minute
)

func newLogins(now func() time.Time) *logins {
	return &logins{now: now, slots: make(chan struct{}, argonAtOnce), tries: map[tryKey]try{}}
}

// mayTry returns TooMany where who must wait before the next try.
func (l *logins) mayTry(who tryKey) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.tries[who].until.Sub(l.now()); wait > 0 {
		return sluice.Errorf(sluice.TooMany, "login.slow", "Too many failed logins; try again in %d seconds.", int(wait.Seconds())+1)
	}
	return nil
}

// failed counts a failure. Beyond maxTries another name and address, whichever,
// is forgotten for each new one.
func (l *logins) failed(who tryKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, known := l.tries[who]
	if !known && len(l.tries) >= maxTries {
		for other := range l.tries {
			delete(l.tries, other)
			break
		}
	}
	t.failures++
	if over := t.failures - freeTries; over > 0 {
		t.until = l.now().Add(min(longestWait, time.Second<<min(over-1, 6)))
	}
	l.tries[who] = t
}

func (l *logins) succeeded(who tryKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tries, who)
}

// take waits for one of the few places in which a hash may be computed.
func (l *logins) take(ctx context.Context) (release func(), err error) {
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, sluice.Errorf(sluice.Unavailable, "login.busy", "Too many logins at once; try again.")
	}
}

// hash returns the form in which a password is stored.
func (l *logins) hash(ctx context.Context, password sluice.Secret) (string, error) {
	release, err := l.take(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	sum := argon2.IDKey([]byte(password.Reveal()), salt, argonTime, argonMemory, argonThreads, argonKey)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		enc.EncodeToString(salt), enc.EncodeToString(sum)), nil
}

// checkPassword compares a password with a stored hash. With no hash it takes as
// long and reports false. It is to be called in a place that take gave.
func checkPassword(password sluice.Secret, hash string) (bool, error) {
	known := hash != ""
	if !known {
		hash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	}
	parts := strings.Split(hash, "$")
	var version, memory, passes, threads int
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("stored password hash is of an unknown form")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads); err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	got := argon2.IDKey([]byte(password.Reveal()), salt, uint32(passes), uint32(memory), uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}
