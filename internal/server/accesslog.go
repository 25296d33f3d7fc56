package server

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Sizes of the access log: a file that has grown to logSize is renamed, and
// logFiles of them are kept.
const (
	logSize  = 64 << 20
	logFiles = 4
)

// logFile is a file that is written at its end and begun anew when it has grown
// large: access.log, then access.log.1 and so on, the oldest with the highest
// number. It belongs to one goroutine.
type logFile struct {
	path string
	file *os.File
	size int64
	max  int64
}

// openLog opens a log for appending, and makes its folder.
func openLog(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the access log: %w", err)
	}
	l := &logFile{path: path, max: logSize}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open the access log: %w", err)
	}
	return l, nil
}

func (l *logFile) open() (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	l.size, err = l.file.Seek(0, io.SeekEnd)
	return err
}

// Write appends whole lines. Where the file cannot be written it tries again
// with the next ones, also after the file was moved away.
func (l *logFile) Write(p []byte) (int, error) {
	if l.file == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	if l.size > 0 && l.size+int64(len(p)) > l.max {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) rotate() error {
	err := l.file.Close()
	if l.file = nil; err != nil {
		return err
	}
	for i := logFiles - 1; i > 0; i-- {
		from := l.path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", l.path, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", l.path, i)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return l.open()
}

// Close closes the file.
func (l *logFile) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
