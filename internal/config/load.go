package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// File is the native configuration file, relative to the home.
const File = "sluice.yaml"

// maxFileSize is the most a configuration file may hold, in bytes.
const maxFileSize = 1 << 20

// Overrides is what the command line says over the files, and what a test says
// over the machine. The zero Overrides changes nothing.
type Overrides struct {
	Offset  *int    // nil: as the files say
	Profile Profile // empty: as the files say
	Role    Role    // empty: as the files say

	LocalAddresses func() []netip.Addr // addresses of this machine; nil: those of its interfaces
	Hostname       func() string       // nil: os.Hostname
}

// Load reads a home in the native layout. A home without sluice.yaml has the
// defaults. Where there are problems, the Config holds what could be read, for
// showing; a process must not start with it.
func Load(home string, o Overrides) (*Config, []Problem) {
	data, found, problems := ReadFile(home, File)
	settings := &Settings{}
	if found {
		var more []Problem
		settings, more = Parse(data)
		problems = append(problems, more...)
	}
	d := NewDraft(home, Native, settings, o)
	d.Problems = append(d.Problems, problems...)
	if !found && len(problems) == 0 {
		d.Warn(Value{}, "%s is not there: every setting has its default", File)
	}
	return d.Finish()
}

// ReadFile reads a configuration file of a home, named relative to it. A file
// that is not there is not found, which is no Problem, unless the home itself
// is missing.
func ReadFile(home, file string) (data []byte, found bool, problems []Problem) {
	data, err := readLimited(filepath.Join(home, filepath.FromSlash(file)))
	switch {
	case err == nil:
		return data, true, nil
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(home); err == nil {
			return nil, false, nil
		}
		return nil, false, []Problem{{File: file, Text: fmt.Sprintf("the home folder %s does not exist", home)}}
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return nil, true, []Problem{{File: file, Text: fmt.Sprintf("cannot be read: %v", err)}}
}

// readLimited reads a regular file of at most maxFileSize bytes.
func readLimited(name string) ([]byte, error) {
	// Asked before it is opened: opening a named pipe would wait for a writer.
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFileSize)
	}
	return os.ReadFile(name)
}
