package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

const (
	quickstart = "profile: quickstart\nrole: control-plane\n"
	production = "profile: production\nrole: control-plane\nlisten: {management: \"127.0.0.1:9443\"}\n"
)

// login opens the home's control plane as its start does, and logs in.
func (s *Server) login(t *testing.T, password string) (sluice.User, error) {
	t.Helper()
	c, err := s.offline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ctx := sluice.WithActor(t.Context(), sluice.Actor{Address: "192.0.2.1"})
	return c.plane.Login(ctx, control.AdministratorName, sluice.Secret(password))
}

func gone(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", filepath.Base(name), err)
	}
}

func TestFirstAdministrator(t *testing.T) {
	t.Run("quickstart", func(t *testing.T) {
		s := newServer(t, quickstart)
		if u, err := s.login(t, "admin"); err != nil || u.MustChange {
			t.Errorf("admin/admin: %+v, %v", u, err)
		}
		gone(t, filepath.Join(s.cfg.Home, InitialPasswordFile))
	})
	t.Run("production", func(t *testing.T) {
		s := newServer(t, production)
		name := filepath.Join(s.cfg.Home, InitialPasswordFile)
		write(t, name, "of a start that did not get further")
		if _, err := s.login(t, "admin"); sluice.KindOf(err) != sluice.Unauthenticated {
			t.Errorf("admin/admin: %v", err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s has mode %v, %v", InitialPasswordFile, info.Mode(), err)
		}
		b, err := os.ReadFile(name)
		if err != nil || len(b) < 43 {
			t.Fatalf("it holds %d bytes, %v", len(b), err)
		}
		if u, err := s.login(t, strings.TrimSpace(string(b))); err != nil || !u.MustChange {
			t.Errorf("with the password of the file: %+v, %v, want it temporary", u, err)
		}
		if again, err := os.ReadFile(name); err != nil || string(again) != string(b) {
			t.Errorf("a second start wrote another password: %v", err)
		}
	})
	t.Run("given to init", func(t *testing.T) {
		t.Setenv(AdminPasswordVariable, "not this one")
		s := newServer(t, production)
		given := filepath.Join(s.cfg.Home, AdminPasswordFile)
		write(t, given, "from the file\n")
		if u, err := s.login(t, "from the file"); err != nil || u.MustChange {
			t.Errorf("Login: %+v, %v", u, err)
		}
		gone(t, given)
		gone(t, filepath.Join(s.cfg.Home, InitialPasswordFile))

		// A start that ended before it removed the file left it; the next removes it
		// and does not look into it.
		write(t, given, "another\n")
		if _, err := s.login(t, "another"); sluice.KindOf(err) != sluice.Unauthenticated {
			t.Errorf("the file is honoured while there is an administrator: %v", err)
		}
		gone(t, given)
	})
	t.Run("environment variable", func(t *testing.T) {
		t.Setenv(AdminPasswordVariable, "from outside")
		s := newServer(t, quickstart)
		if u, err := s.login(t, "from outside"); err != nil || u.MustChange {
			t.Errorf("Login: %+v, %v", u, err)
		}
		t.Setenv(AdminPasswordVariable, "changed")
		if _, err := s.login(t, "changed"); sluice.KindOf(err) != sluice.Unauthenticated {
			t.Errorf("the variable is honoured while there is an administrator: %v", err)
		}
		gone(t, filepath.Join(s.cfg.Home, InitialPasswordFile))
	})
}

func TestResetAdministrator(t *testing.T) {
	s := newServer(t, production)
	if err := s.ResetAdministrator(t.Context(), "a new password"); err != nil { // also of a home that never ran
		t.Fatal(err)
	}
	gone(t, filepath.Join(s.cfg.Home, InitialPasswordFile))
	if u, err := s.login(t, "a new password"); err != nil || u.MustChange {
		t.Errorf("Login: %+v, %v", u, err)
	}
}

func TestOfflineCommandsNeedAStoppedControlPlane(t *testing.T) {
	s := newServer(t, quickstart)
	_, secret, err := s.CreateToken(t.Context(), "", "cli", nil, time.Hour)
	if err != nil || secret == "" {
		t.Fatalf("CreateToken: %v", err)
	}
	c, err := s.offline(t.Context()) // as if it ran
	if err != nil {
		t.Fatal(err)
	}
	if a, scopes, err := c.plane.Authenticate(t.Context(), secret); err != nil || a.Name != control.AdministratorName || len(scopes) == 0 {
		t.Errorf("the token is of %+v with %q, %v", a, scopes, err)
	}
	for name, f := range map[string]func() error{
		"CreateToken":        func() error { _, _, err := s.CreateToken(t.Context(), "", "cli", nil, time.Hour); return err },
		"ResetAdministrator": func() error { return s.ResetAdministrator(t.Context(), "a new password") },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), "process") {
			t.Errorf("%s beside a running control plane: %v, want who has the database", name, err)
		}
	}
	c.close()

	g := newServer(t, "control_plane: {url: \"https://control.example.com:9443\"}\n")
	if _, _, err := g.CreateToken(t.Context(), "", "cli", nil, time.Hour); err == nil || !strings.Contains(err.Error(), "https://control.example.com:9443") {
		t.Errorf("CreateToken of a gateway: %v, want where its control plane is", err)
	}
	gone(t, g.path(databaseFile))
}

func TestMasterKey(t *testing.T) {
	open := func(s *Server) error {
		c, err := s.offline(context.Background())
		if err == nil {
			c.close()
		}
		return err
	}
	s := newServer(t, quickstart)
	file := s.path("master.key")
	write(t, file, "short") // of a start that ended while it wrote it
	if err := open(s); err != nil {
		t.Fatalf("a first start after one that did not get far: %v", err)
	}
	key, err := os.ReadFile(file)
	if err != nil || len(key) != 32 {
		t.Fatalf("%d bytes, %v", len(key), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for name, c := range map[string]struct{ key, want string }{
		"one byte less": {string(key[:31]), "master.key has 31 bytes and should have 32; restore it from the backup"},
		"one byte more": {string(key) + "x", "master.key has 33 bytes and should have 32; restore it from the backup"},
		"empty":         {"", "master.key has 0 bytes"},
		"another":       {strings.Repeat("x", 32), "another key"},
	} {
		write(t, file, c.key)
		if err := open(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := open(s); err == nil || !strings.Contains(err.Error(), "restore it from the backup") {
		t.Errorf("the key is gone: %v", err)
	}
	gone(t, file) // none is made that would not open the database
	write(t, file, string(key))
	if err := open(s); err != nil {
		t.Errorf("with the key back: %v", err)
	}
}
