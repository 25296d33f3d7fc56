package server

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// backedUp returns a home with a control plane and a backup of it.
func backedUp(t *testing.T) (s *Server, file string, m Manifest) {
	t.Helper()
	s = newServer(t, "role: control-plane\n")
	addEnvironment(t, s, "One")
	file = filepath.Join(t.TempDir(), "one.backup")
	m, err := s.Backup(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return s, file, m
}

// addEnvironment adds an environment to the stopped control plane of a home.
func addEnvironment(t *testing.T, s *Server, name string) {
	t.Helper()
	c, err := s.offline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ctx := sluice.WithActor(t.Context(), sluice.System())
	if err := c.plane.CreateEnvironment(ctx, &sluice.Environment{
		Name: name, Type: sluice.HybridEnvironment, Vhosts: []sluice.Vhost{{Host: strings.ToLower(name) + ".example.com", HTTPSPort: 8243}},
	}); err != nil {
		t.Fatal(err)
	}
}

// epochs returns the environments of a stopped control plane by name, with their
// epochs.
func epochs(t *testing.T, s *Server) map[string]int64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "now.backup")
	m, err := s.Backup(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]int64{}
	for _, e := range m.Environments {
		list[e.Name] = e.Epoch
	}
	return list
}

func TestBackupIsRestoredWithANewEpoch(t *testing.T) {
	old, file, m := backedUp(t)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v; want it readable by its owner alone", info.Mode(), err)
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) != 1 {
		t.Errorf("beside the backup there is %v, %v", left, err)
	}
	if m.Schema == 0 || len(m.Environments) != 1 || m.Environments[0].Epoch != 1 {
		t.Errorf("manifest = %+v", m)
	}
	fresh := newServer(t, "role: control-plane\n")
	if _, err := fresh.Restore(t.Context(), file, false); err != nil {
		t.Fatal(err)
	}
	first := epochs(t, fresh)
	if len(first) != 1 || first["One"] <= 1 {
		t.Errorf("restored epochs = %v, want a new one", first)
	}
	addEnvironment(t, old, "Two")
	if _, err := old.Restore(t.Context(), file, false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("restore over a database = %v, want a refusal that names --force", err)
	}
	if got := epochs(t, old); len(got) != 2 || got["One"] != 1 {
		t.Errorf("a refused restore has changed the database: %v", got)
	}
	if _, err := old.Restore(t.Context(), file, true); err != nil {
		t.Fatal(err)
	}
	if got := epochs(t, old); len(got) != 1 || got["One"] < first["One"] {
		t.Errorf("restored epochs = %v", got)
	}
	if _, err := os.Stat(old.path(databaseFile) + beforeRestore); err != nil {
		t.Errorf("the database that was there is not kept: %v", err)
	}
}

func TestUnsoundBackupChangesNothing(t *testing.T) {
	_, file, _ := backedUp(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte { b := bytes.Clone(whole); b[at] ^= 1; return b }
	newer := bytes.Replace(whole, []byte(`"format": 1`), []byte(`"format": 9`), 1)
	for name, tc := range map[string]struct {
		b    []byte
		want string
	}{
		"an empty file":             {nil, "cut short"},
		"another program's file":    {bytes.Repeat([]byte("text\n"), 1000), "no backup"},
		"cut in the database":       {whole[:len(whole)/2], "cut short"},
		"cut before its end":        {whole[:len(whole)-3000], "cut short"},
		"a bit of the database":     {flip(len(whole) / 2), "damaged"},
		"a bit of the manifest":     {flip(bytes.Index(whole, []byte(`"createdAt"`)) + 20), ""},
		"a newer form":              {newer, "newer Sluice"},
		"another program's archive": {bytes.Replace(whole, []byte(backupProduct), []byte(strings.Repeat("x", len(backupProduct))), 1), "no backup"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, "role: control-plane\n")
			bad := filepath.Join(t.TempDir(), "bad")
			if err := os.WriteFile(bad, tc.b, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := s.Restore(t.Context(), bad, false)
			if !errors.Is(err, errBackup) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("restore = %v, want a refusal with %q", err, tc.want)
			}
			entries, err := os.ReadDir(s.path())
			if err != nil {
				t.Fatal(err)
			}
			left := slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), ".lock") })
			if len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

// A restore that was cut short is either done by the next start, or as if it had
// never begun.
func TestRestoreCutShort(t *testing.T) {
	_, file, _ := backedUp(t)
	for name, tc := range map[string]struct {
		decided, keyMoved, oldMoved bool
		want                        string
	}{
		"before it was decided":             {want: "Two"},
		"once it was decided":               {decided: true, want: "One"},
		"after the key":                     {decided: true, keyMoved: true, want: "One"},
		"after the old database was put by": {decided: true, keyMoved: true, oldMoved: true, want: "One"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, "role: control-plane\n")
			addEnvironment(t, s, "Two")
			place := s.path(databaseFile)
			folder := place + restoreFolder
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := extract(file, folder); err != nil {
				t.Fatal(err)
			}
			if err := s.prepareRestore(t.Context(), folder); err != nil {
				t.Fatal(err)
			}
			if tc.decided {
				write(t, filepath.Join(folder, restoreDone), "")
			}
			if tc.keyMoved {
				if err := replaceKey(filepath.Join(folder, masterKeyFile), s.keyFile()); err != nil {
					t.Fatal(err)
				}
			}
			if tc.oldMoved {
				if err := os.Rename(place, place+beforeRestore); err != nil {
					t.Fatal(err)
				}
			}
			c, err := s.offline(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.close()
			if got := epochs(t, s); len(got) != 1 || got[tc.want] == 0 {
				t.Errorf("environments after the start = %v, want %s", got, tc.want)
			}
			if exists(folder) {
				t.Error("the folder of the restore is still there")
			}
		})
	}
}
