package server

import (
	"archive/tar"
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
	"time"

	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/database"
)

// A backup is a tar file: the manifest, the files that it names, in its order,
// and the manifest's SHA-256. What is sealed in the database is opened by the key
// beside it, so that the whole is to be kept as a secret is.
const (
	backupFormat  = 1
	manifestFile  = "manifest.json"
	manifestSum   = "manifest.sha256"
	manifestSize  = 1 << 20 // bytes that one may have
	backupProduct = "sluice control plane backup"
)

// Manifest says what a backup holds.
type Manifest struct {
	Product      string              `json:"product"`
	Format       int                 `json:"format"`
	Version      string              `json:"version"` // of Sluice
	CreatedAt    time.Time           `json:"createdAt"`
	Database     string              `json:"database"`         // "sqlite"; "postgresql": not in the backup
	Schema       int64               `json:"schema,omitempty"` // of the database
	Environments []BackupEnvironment `json:"environments,omitempty"`
	Files        []BackupPart        `json:"files"`
}

// BackupEnvironment says which state of an environment a backup holds.
type BackupEnvironment struct {
	Name       string `json:"name"`
	Epoch      int64  `json:"epoch"`
	Generation int64  `json:"generation"`
}

// BackupPart is one file of a backup.
type BackupPart struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // hexadecimal
}

// databaseAddress returns the path or URL of the control plane's database.
func (s *Server) databaseAddress() string {
	if s.cfg.Database != "" {
		return s.cfg.Database
	}
	return s.path(databaseFile)
}

// keyFile returns the file with the key that seals secrets.
func (s *Server) keyFile() string {
	if s.cfg.DatabaseKey != "" {
		return s.cfg.DatabaseKey
	}
	return s.path(masterKeyFile)
}

// notControl refuses the home of a gateway.
func (s *Server) notControl() error {
	if s.cfg.Role == config.GatewayOnly {
		return fmt.Errorf("this home is a gateway, all of which can be made again; its control plane is %s", s.cfg.ControlPlane.URL)
	}
	return nil
}

// Backup writes a backup of this home's control plane to a new file, that only
// its owner may read; the control plane may run and change. Of one whose data is
// in PostgreSQL it holds the key alone.
func (s *Server) Backup(ctx context.Context, file string) (m Manifest, err error) {
	if err := s.notControl(); err != nil {
		return m, err
	}
	b, err := os.ReadFile(s.keyFile())
	if err != nil {
		return m, fmt.Errorf("read the key that seals secrets: %w", err)
	}
	var key [32]byte
	if copy(key[:], b) != len(key) || len(b) != len(key) {
		return m, fmt.Errorf("%s has %d bytes and should have %d", s.keyFile(), len(b), len(key))
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return m, errors.Join(fmt.Errorf("%s is there already; name a new file", file), err)
	}
	m = Manifest{Product: backupProduct, Format: backupFormat, Version: s.version, CreatedAt: s.now().UTC(), Database: "postgresql"}
	sources := map[string]string{masterKeyFile: s.keyFile()}
	names := []string{masterKeyFile}
	if address := s.databaseAddress(); database.IsFile(address) {
		part := file + ".db.part"
		c, err := database.Backup(ctx, address, part, key)
		if err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, os.Remove(part)) }()
		m.Database, m.Schema = "sqlite", c.Schema
		for _, e := range c.Environments {
			m.Environments = append(m.Environments, BackupEnvironment{e.Name, e.Epoch, e.Generation})
		}
		sources[databaseFile] = part
		names = append(names, databaseFile)
	}
	for _, name := range names {
		part, err := describe(name, sources[name])
		if err != nil {
			return m, err
		}
		m.Files = append(m.Files, part)
	}
	return m, m.write(file, sources)
}

// describe returns size and checksum of a file.
func describe(name, file string) (p BackupPart, err error) {
	f, err := os.Open(file)
	if err != nil {
		return p, err
	}
	defer f.Close() // it was only read
	sum := sha256.New()
	p.Name = name
	p.Size, err = io.Copy(sum, f)
	p.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return p, err
}

// write writes the backup. It has its name once it is whole and on the disk.
func (m *Manifest) write(file string, sources map[string]string) (err error) {
	partial := file + ".part"
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(partial))
		}
	}()
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	if err := m.entry(w, manifestFile, manifest); err != nil {
		return err
	}
	for _, p := range m.Files {
		if err := m.copyIn(w, p, sources[p.Name]); err != nil {
			return err
		}
	}
	sum := sha256.Sum256(manifest)
	if err := m.entry(w, manifestSum, []byte(hex.EncodeToString(sum[:]))); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), f.Sync()); err != nil {
		return err
	}
	if err := os.Link(partial, file); err != nil { // unlike a rename it replaces nothing
		return err
	}
	return errors.Join(f.Close(), os.Remove(partial), syncFolder(filepath.Dir(file)))
}

func (m *Manifest) entry(w *tar.Writer, name string, b []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b)), ModTime: m.CreatedAt}); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

func (m *Manifest) copyIn(w *tar.Writer, p BackupPart, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	if err := w.WriteHeader(&tar.Header{Name: p.Name, Mode: 0o600, Size: p.Size, ModTime: m.CreatedAt}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// syncFolder makes the names in a folder safe.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
