package server

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-api/sluice/internal/database"
)

// A restore is made in a folder beside the database. Once the file restoreDone is
// in it, it is decided: who comes next, the restore itself or a start after a
// crash, moves the files to their places. Before, the folder is worth nothing.
const (
	restoreFolder = ".restore"
	restoreDone   = "complete"
	beforeRestore = ".before-restore"
)

// errBackup begins the refusals of files that are no sound backup.
var errBackup = errors.New("the backup cannot be used; nothing was changed")

// Restore puts a backup into this home, whose process must be stopped, and begins
// a new epoch, so that gateways with later states take this one. Everything is
// verified before anything is changed. It takes the place of data that is there
// only with force; the files are then kept beside the new ones, with
// ".before-restore" at the end of their names.
func (s *Server) Restore(ctx context.Context, file string, force bool) (m Manifest, err error) {
	if err := s.notControl(); err != nil {
		return m, err
	}
	if err := os.MkdirAll(s.path(), 0o700); err != nil {
		return m, err
	}
	address := s.databaseAddress()
	place := address // of the folder
	if !database.IsFile(address) {
		place = s.path(databaseFile)
	}
	release, err := database.Lock(place)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := s.finishRestore(place); err != nil {
		return m, err
	}
	for _, taken := range []string{place, s.keyFile()} {
		if _, err := os.Stat(taken); !errors.Is(err, fs.ErrNotExist) && !force {
			return m, errors.Join(fmt.Errorf("%s is there; to put the backup in its place say --force, which keeps it as %s%s", taken, filepath.Base(taken), beforeRestore), err)
		}
	}
	folder := place + restoreFolder
	if err := os.Mkdir(folder, 0o700); err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.finishRestore(place))
		}
	}()
	if m, err = extract(file, folder); err != nil {
		return m, fmt.Errorf("%w: %s: %w", errBackup, file, err)
	}
	if m.Database == "sqlite" != database.IsFile(address) {
		return m, fmt.Errorf("%w: it is of a control plane whose data is in %s, which is not so here", errBackup, m.Database)
	}
	if m.Database == "sqlite" {
		if err := s.prepareRestore(ctx, folder); err != nil {
			return m, fmt.Errorf("%w: %w", errBackup, err)
		}
	}
	for _, name := range []string{place, place + "-wal", s.keyFile()} { // of an earlier restore
		if err := discard(name + beforeRestore); err != nil {
			return m, err
		}
	}
	if err := errors.Join(syncFolder(folder), writeNew(filepath.Join(folder, restoreDone), nil), syncFolder(folder)); err != nil {
		return m, err
	}
	return m, s.finishRestore(place)
}

// prepareRestore checks the database in a folder, brings its schema up to date
// and begins the new epoch.
func (s *Server) prepareRestore(ctx context.Context, folder string) error {
	b, err := os.ReadFile(filepath.Join(folder, masterKeyFile))
	if err != nil {
		return err
	}
	if len(b) != 32 {
		return fmt.Errorf("its key has %d bytes and should have 32", len(b))
	}
	c := &controlRole{}
	file := filepath.Join(folder, databaseFile)
	if c.db, err = database.Open(ctx, database.Options{URL: file, Key: [32]byte(b), Log: s.log, Now: s.now}); err != nil {
		return err
	}
	if err := s.openPlaneOn(ctx, c); err != nil {
		return err
	}
	if err := errors.Join(c.plane.BeginEpoch(ctx), c.db.Close()); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), discard(file+".lock"))
}

// finishRestore moves what a decided restore has brought to its places, and
// removes what is left of one that was not. It may be cut short anywhere and
// called again. The database's lock must be held.
func (s *Server) finishRestore(place string) error {
	folder := place + restoreFolder
	if _, err := os.Stat(filepath.Join(folder, restoreDone)); errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(folder)
	} else if err != nil {
		return err
	}
	if err := replaceKey(filepath.Join(folder, masterKeyFile), s.keyFile()); err != nil {
		return err
	}
	if from := filepath.Join(folder, databaseFile); exists(from) {
		for _, name := range []string{place + "-wal", place} {
			if err := os.Rename(name, name+beforeRestore); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := errors.Join(discard(place+"-shm"), syncFolder(filepath.Dir(place))); err != nil {
			return err
		}
		if err := os.Rename(from, place); err != nil {
			return err
		}
	}
	if err := errors.Join(syncFolder(filepath.Dir(place)), os.Remove(filepath.Join(folder, restoreDone)), syncFolder(folder)); err != nil {
		return err
	}
	s.log.Info("a backup was restored", "database", place)
	return os.RemoveAll(folder)
}

// resumeRestore ends a restore that a crash cut short after it was decided.
func (s *Server) resumeRestore() (err error) {
	place := s.databaseAddress()
	if !database.IsFile(place) {
		place = s.path(databaseFile)
	}
	if !exists(place + restoreFolder) {
		return nil
	}
	release, err := database.Lock(place)
	if err != nil {
		return err
	}
	return errors.Join(s.finishRestore(place), release())
}

// replaceKey puts a key file into another one's place, which is kept.
func replaceKey(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(to)
	if err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err == nil {
		err = os.Rename(to, to+beforeRestore)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(discard(to+".part"), writeNew(to+".part", b)); err != nil {
		return err
	}
	return errors.Join(os.Rename(to+".part", to), syncFolder(filepath.Dir(to)))
}

// discard removes a file, where it is there.
func discard(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

// extract reads a backup into an empty folder and verifies every byte of it.
func extract(file, folder string) (m Manifest, err error) {
	f, err := os.Open(file)
	if err != nil {
		return m, err
	}
	defer f.Close() // it is only read
	r := tar.NewReader(f)
	manifest, err := small(r, manifestFile)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return m, fmt.Errorf("its manifest is damaged: %w", err)
	}
	if err := m.check(); err != nil {
		return m, err
	}
	for _, p := range m.Files {
		if err := p.extract(r, folder); err != nil {
			return m, err
		}
	}
	sum, err := small(r, manifestSum)
	if err != nil {
		return m, err
	}
	if is := sha256.Sum256(manifest); string(sum) != hex.EncodeToString(is[:]) {
		return m, errors.New("its manifest is not as it was written")
	}
	return m, nil
}

// check refuses manifests of other programs and later versions.
func (m *Manifest) check() error {
	want := []string{masterKeyFile}
	if m.Database == "sqlite" {
		want = append(want, databaseFile)
	}
	var names []string
	for _, p := range m.Files {
		names = append(names, p.Name)
	}
	switch {
	case m.Product != backupProduct:
		return errors.New("it is no backup of a Sluice control plane")
	case m.Format > backupFormat:
		return fmt.Errorf("it was made by a newer Sluice, %s (format %d, this one knows %d): restore it with that version", m.Version, m.Format, backupFormat)
	case m.Format < 1 || !slices.Equal(names, want):
		return errors.New("its manifest does not name the files of a backup")
	}
	return nil
}

// extract writes the next file of a backup, which must be p.
func (p *BackupPart) extract(r *tar.Reader, folder string) error {
	h, err := r.Next()
	if err != nil {
		return torn(err)
	}
	if h.Name != p.Name || h.Size != p.Size {
		return fmt.Errorf("it has %q with %d bytes where its manifest names %q with %d", h.Name, h.Size, p.Name, p.Size)
	}
	f, err := os.OpenFile(filepath.Join(folder, p.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), r); err != nil {
		return errors.Join(torn(err), f.Close())
	}
	if is := hex.EncodeToString(sum.Sum(nil)); is != p.SHA256 {
		return errors.Join(fmt.Errorf("%s in it is damaged: its SHA-256 is %s, not %s", p.Name, is, p.SHA256), f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// small reads the next file of a backup, which must be the one named.
func small(r *tar.Reader, name string) ([]byte, error) {
	h, err := r.Next()
	if err != nil {
		return nil, torn(err)
	}
	if h.Name != name || h.Size > manifestSize {
		return nil, fmt.Errorf("it is no backup of a Sluice control plane: it has %q where %s belongs", h.Name, name)
	}
	b, err := io.ReadAll(r)
	return b, torn(err)
}

// torn says what an error of reading the archive means.
func torn(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is cut short")
	}
	return fmt.Errorf("it is no backup, or damaged: %w", err)
}
