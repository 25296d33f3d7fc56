package database

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// heldError says that another process uses the database.
type heldError struct{ name, holder, way string }

// Error says who it is, and what to do.
func (e *heldError) Error() string {
	return fmt.Sprintf("the database %s is in use by %s; %s", e.name, e.holder, e.way)
}

// InUse reports whether err says that another process uses the database.
func InUse(err error) bool {
	_, held := errors.AsType[*heldError](err)
	return held
}

// lockFile makes this process the only one that uses the SQLite file at path. The
// lock is an advisory one on a file beside it, which tells others who has it; the
// system drops it when the process ends, however it ends.
func lockFile(path string) (release func() error, err error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the database cannot be locked: %w; check that the folder exists and that this user may write there", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(f, 1024))
		who := strings.TrimSpace(string(holder))
		if who == "" {
			who = "another process"
		}
		return nil, errors.Join(&heldError{path, who, "stop that one first"}, f.Close())
	}
	if err == nil {
		err = writeHolder(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the database %s: %w", path, err), f.Close())
	}
	return f.Close, nil // the file stays: removing it would let two processes lock two of them
}

func writeHolder(f *os.File) error {
	host, _ := os.Hostname()
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f, "process %d on %s\n", os.Getpid(), host)
	return err
}
