package databasetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

// Server is a PostgreSQL server for tests.
type Server struct {
	address *url.URL
	psql    string
	shared  bool // not ours: what is made there is removed again
}

// Postgres returns the server that SLUICE_TEST_POSTGRES names (a URL), or starts
// a throw-away one from the binaries that are installed, on a Unix socket alone,
// which is gone with t, or with the process however it ends. Where there are none
// the test is skipped; with CI set it fails.
func Postgres(t testing.TB) *Server {
	t.Helper()
	bin := postgresBinaries()
	if address := os.Getenv("SLUICE_TEST_POSTGRES"); address != "" {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal("SLUICE_TEST_POSTGRES is not a URL")
		}
		return &Server{address: u, psql: filepath.Join(bin, "psql"), shared: true}
	}
	if bin == "" {
		const missing = "PostgreSQL is not installed: install Debian's package postgresql, or set SLUICE_TEST_POSTGRES to the URL of a server"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return startPostgres(t, bin)
}

// URL returns the URL of a new, empty schema.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	schema := "sluice_" + strings.ReplaceAll(sluice.NewID(time.Now()), "-", "")
	if out, err := s.run(t.Context(), "create schema "+schema); err != nil {
		t.Fatalf("create schema: %v\n%s", err, out)
	}
	if s.shared {
		t.Cleanup(func() {
			if out, err := s.run(context.Background(), "drop schema "+schema+" cascade"); err != nil {
				t.Errorf("drop schema: %v\n%s", err, out)
			}
		})
	}
	u := *s.address
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// run has psql execute one statement.
func (s *Server) run(ctx context.Context, statement string) ([]byte, error) {
	return exec.CommandContext(ctx, s.psql, "-X", "-q", "-c", statement, s.address.String()).CombinedOutput()
}

// postgresBinaries returns the folder with the newest PostgreSQL, "" where there
// is none.
func postgresBinaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func startPostgres(t testing.TB, bin string) *Server {
	t.Helper()
	// Not t.TempDir: its parents are closed to other users, and the path of a
	// socket must be short.
	dir, err := os.MkdirTemp(memory(), "sluice-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	as := postgresUser(t, dir)
	data := filepath.Join(dir, "data")

	initdb := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "-D", data, "-U", "sluice", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}

	// The shell ends the server, and removes what it leaves, when its standard
	// input ends: when the test is over, or this process gone.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("/bin/sh", "-c", `"$@" & read _; kill -QUIT $!; wait $!; rm -rf "$0"`, dir,
		filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=200")
	server.Dir, server.SysProcAttr, server.Stdout, server.Stderr = dir, as, log, log
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = server.Wait() // its status is that of a server that was told to quit
		_ = log.Close()
	})

	address := &url.URL{Scheme: "postgres", User: url.User("sluice"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	s := &Server{address: address, psql: filepath.Join(bin, "psql")}
	s.wait(t, log.Name())
	return s
}

// memory returns a folder in memory, where a throw-away server is several times as
// fast, or "" where there is none with room enough.
func memory() string {
	const folder, room = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < room {
		return ""
	}
	return folder
}

// wait returns when the server answers.
func (s *Server) wait(t testing.TB, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		out, err := s.run(ctx, "select 1")
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			messages, _ := os.ReadFile(log)
			t.Fatalf("PostgreSQL does not start: %v\n%s\n%s", err, out, messages)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// postgresUser gives dir to another user where the test runs as root, whom
// PostgreSQL refuses, and returns what makes a process that user's.
func postgresUser(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(fmt.Errorf("give the folder to %s: %w", account.Username, err))
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
