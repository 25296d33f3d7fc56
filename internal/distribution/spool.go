package distribution

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sizes of the spool, in bytes.
const (
	spoolSize      = 64 << 20 // on disk, unless another is given
	spoolParts     = 16       // files of that, roughly; the oldest is dropped whole
	maxSpoolRecord = 4 << 20
	spoolHeader    = 8 // of a record: length and checksum of the rest, little endian
)

// spoolMagic begins a file of the spool. Records follow, each with a header, its
// sequence, how many calls it is about and how many calls its run had lost when
// it was written, as uvarints, and its body.
const spoolMagic = "sluice usage 1\n"

// Names of its files: run-sequence.usage with finished records, and run.current
// with the one that is still growing, which is written anew each time.
const (
	spoolFile    = ".usage"
	spoolCurrent = ".current"
)

// errSpool is given for bytes that are no record.
var errSpool = errors.New("record of the usage spool is damaged")

// spoolRecord is what a gateway has counted in a while, under a name that it
// keeps however often it is sent: the run of the process that counted it, and its
// sequence within that.
type spoolRecord struct {
	run      string
	sequence uint64 // from 1
	calls    int64
	lost     int64 // calls that the run had lost by then
	body     []byte

	file string // path, where body is not in memory
	at   int64  // of the record's header in it
	size int64  // with the header
}

// append appends the record as a file holds it.
func (r *spoolRecord) append(b []byte) []byte {
	from := len(b)
	b = append(b, make([]byte, spoolHeader)...)
	b = binary.AppendUvarint(b, r.sequence)
	b = binary.AppendUvarint(b, uint64(r.calls))
	b = binary.AppendUvarint(b, uint64(r.lost))
	b = append(b, r.body...)
	rest := b[from+spoolHeader:]
	binary.LittleEndian.PutUint32(b[from:], uint32(len(rest)))
	binary.LittleEndian.PutUint32(b[from+4:], checksum(rest))
	return b
}

// readSpoolRecord reads the record at the beginning of b. The size is that of its
// bytes, also where they are damaged; 0: where the next one begins is not known.
func readSpoolRecord(b []byte) (r spoolRecord, size int64, err error) {
	if len(b) < spoolHeader {
		return r, 0, errSpool
	}
	length := binary.LittleEndian.Uint32(b)
	if length > maxSpoolRecord || int(length) > len(b)-spoolHeader {
		return r, 0, errSpool
	}
	rest := b[spoolHeader : spoolHeader+length]
	size = spoolHeader + int64(length)
	if binary.LittleEndian.Uint32(b[4:]) != checksum(rest) {
		return r, size, errSpool
	}
	fields := reader{b: rest}
	r.sequence, r.calls, r.lost = fields.number(), fields.integer(), fields.integer()
	if r.body, r.size = fields.b, size; fields.err != nil || r.sequence == 0 || r.calls < 0 || r.lost < 0 {
		return r, size, errSpool
	}
	return r, size, nil
}

// readSpool reads the records of a file, and how many damaged ones were left out.
// One that was cut short is the end of the file.
func readSpool(b []byte) (records []spoolRecord, damaged int) {
	rest, ok := strings.CutPrefix(string(b), spoolMagic)
	if !ok {
		return nil, 1
	}
	at := int64(len(spoolMagic))
	for b := []byte(rest); len(b) > 0; {
		r, size, err := readSpoolRecord(b)
		switch {
		case err == nil:
			r.at = at
			records = append(records, r)
		default:
			damaged++
		}
		if size == 0 {
			break
		}
		b, at = b[size:], at+size
	}
	return records, damaged
}

// spool keeps records on disk until they are acknowledged: those of this run, and
// what earlier runs have left. Where the disk takes nothing they wait in memory.
// It is bounded: the oldest are dropped, and counted. It belongs to one goroutine
// at a time.
type spool struct {
	dir      string
	run      string
	max      int64
	log      *slog.Logger
	records  []spoolRecord // in order of run and sequence
	bytes    int64         // of records
	held     int64         // of those that are in memory
	sequence uint64        // of the record that is growing
	lost     int64         // calls, by this run
	file     *os.File      // that is appended to; nil: the next record begins one
	fileSize int64
	err      error // why the disk takes nothing; nil: it does
}

// openSpool opens the spool in a folder, and makes that. What a process has left
// half-finished becomes a record of its own. Where the folder cannot be had,
// err says why, and what is added waits in memory.
func openSpool(dir, run string, maxBytes int64, log *slog.Logger) *spool {
	s := &spool{dir: dir, run: run, max: maxBytes, log: log, sequence: 1}
	err := os.MkdirAll(dir, 0o700)
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if s.note(err); err != nil {
		return s
	}
	var unfinished []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(path) {
		case spoolFile:
			s.load(path)
		case spoolCurrent:
			unfinished = append(unfinished, path)
		case temporary:
			_ = os.Remove(path)
		}
	}
	for _, path := range unfinished { // when all finished records are known
		if path, ok := s.finish(path); ok {
			s.load(path)
		}
	}
	slices.SortStableFunc(s.records, compareRecords)
	s.trim()
	return s
}

func compareRecords(a, b spoolRecord) int {
	if c := strings.Compare(a.run, b.run); c != 0 {
		return c
	}
	if a.sequence < b.sequence {
		return -1
	}
	return 1
}

// runOf returns the run in the name of a file.
func runOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if filepath.Ext(path) == spoolFile {
		name = name[:max(0, strings.LastIndexByte(name, '-'))]
	}
	return name
}

// load takes over the records of a file that an earlier run has written.
func (s *spool) load(path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		s.log.Error("a file of the usage spool cannot be read; what was counted in it is left out", "file", path, "err", err)
		return
	}
	records, damaged := readSpool(b)
	if damaged > 0 {
		s.log.Warn("a file of the usage spool ends in a record that was not written to its end, or is damaged; it is left out", "file", path, "records", damaged)
	}
	for _, r := range records {
		r.run, r.file, r.body = runOf(path), path, nil
		s.records = append(s.records, r)
		s.bytes += r.size
	}
	if len(records) == 0 {
		_ = os.Remove(path)
	}
}

// finish makes a file of finished records of what a process was counting when it
// ended, unless that had become a finished record already.
func (s *spool) finish(path string) (string, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		s.log.Error("what was counted last cannot be read", "file", path, "err", err)
		return "", false
	}
	records, _ := readSpool(b)
	run := runOf(path)
	known := func(r spoolRecord) bool { return r.run == run && r.sequence == records[0].sequence }
	if len(records) != 1 || slices.ContainsFunc(s.records, known) {
		_ = os.Remove(path)
		return "", false
	}
	to := s.path(run, records[0].sequence)
	if err := os.Rename(path, to); err != nil {
		s.log.Error("what was counted last cannot be kept", "file", path, "err", err)
		return "", false
	}
	return to, true
}

func (s *spool) path(run string, sequence uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%08d%s", run, sequence, spoolFile))
}

// save writes the record that is growing, in place of what was written of it
// before. It survives the end of the process, not that of the machine.
func (s *spool) save(body []byte, calls int64) {
	r := spoolRecord{sequence: s.sequence, calls: calls, lost: s.lost, body: body}
	path := s.currentPath()
	err := os.WriteFile(path+temporary, r.append([]byte(spoolMagic)), 0o600)
	if err == nil {
		err = os.Rename(path+temporary, path)
	}
	s.note(err)
}

func (s *spool) currentPath() string { return filepath.Join(s.dir, s.run+spoolCurrent) }

// add makes a finished record of a body, and begins the next one. It is on the
// disk when add returns, or err says why not.
func (s *spool) add(body []byte, calls int64) {
	r := spoolRecord{run: s.run, sequence: s.sequence, calls: calls, lost: s.lost, body: body}
	s.sequence++
	r.size = int64(len(r.append(nil)))
	s.records = append(s.records, r)
	s.bytes, s.held = s.bytes+r.size, s.held+r.size
	s.flush()
	if err := os.Remove(s.currentPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.note(err)
	}
	s.trim()
}

// flush writes the records that wait in memory.
func (s *spool) flush() {
	for i := range s.records {
		r := &s.records[i]
		if r.file != "" {
			continue
		}
		err := s.write(r)
		if s.note(err); err != nil {
			return
		}
		s.held -= r.size
		r.body = nil
	}
}

// write appends a record to the file. After an error the next record begins
// another one: what is at the end of this is not known.
func (s *spool) write(r *spoolRecord) (err error) {
	if s.file == nil || s.fileSize > s.max/spoolParts {
		if err := s.begin(s.path(s.run, r.sequence)); err != nil {
			return err
		}
	}
	_, err = s.file.Write(r.append(nil))
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.end()
		return err
	}
	r.file, r.at = s.file.Name(), s.fileSize
	s.fileSize += r.size
	return nil
}

// begin begins a file.
func (s *spool) begin(path string) (err error) {
	s.end()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.file, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	if _, err = s.file.WriteString(spoolMagic); err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		s.end()
		return err
	}
	s.fileSize = int64(len(spoolMagic))
	return nil
}

// end closes the file.
func (s *spool) end() {
	if s.file != nil {
		_ = s.file.Close() // every record was synced by itself
		s.file = nil
	}
}

// note remembers whether the disk takes what it is given.
func (s *spool) note(err error) {
	if err != nil && s.err == nil {
		s.log.Error("usage cannot be written to the disk; it waits in memory", "dir", s.dir, "err", err)
	}
	if err == nil && s.err != nil {
		s.log.Info("usage can be written to the disk again", "dir", s.dir)
	}
	s.err = err
}

// trim drops the oldest records while there are too many: a file at a time, and
// those that wait in memory one by one.
func (s *spool) trim() {
	calls := int64(0)
	for s.bytes > s.max {
		file := s.records[0].file
		calls += s.drop(func(i int, r *spoolRecord) bool { return r.file == file && (file != "" || i == 0) })
	}
	for s.held > s.max/spoolParts {
		first := slices.IndexFunc(s.records, func(r spoolRecord) bool { return r.file == "" })
		calls += s.drop(func(i int, _ *spoolRecord) bool { return i == first })
	}
	if calls > 0 {
		s.lost += calls
		s.log.Warn("the usage spool is full; the oldest was dropped", "calls", calls, "lost", s.lost)
	}
}

// drop forgets the records that f chooses, removes files that hold no other, and
// returns how many calls they were about.
func (s *spool) drop(f func(i int, r *spoolRecord) bool) (calls int64) {
	files := map[string]bool{}
	kept := s.records[:0]
	for i, r := range s.records {
		if !f(i, &r) {
			kept = append(kept, r)
			continue
		}
		calls += r.calls
		s.bytes -= r.size
		if r.file == "" {
			s.held -= r.size
		} else {
			files[r.file] = true
		}
	}
	clear(s.records[len(kept):])
	s.records = kept
	for _, r := range s.records {
		delete(files, r.file)
	}
	for file := range files {
		if s.file != nil && s.file.Name() == file {
			s.end()
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.note(err)
		}
	}
	return calls
}

// next returns the oldest records, of one run and with their bodies, of about so
// many bytes; all says that there are no others.
func (s *spool) next(size int64) (records []spoolRecord, all bool) {
	for _, r := range s.records {
		if len(records) > 0 && (r.run != records[0].run || size < r.size) {
			return records, false
		}
		if r.file != "" {
			if err := r.read(); err != nil {
				s.log.Error("a record of the usage spool cannot be read; what was counted in it is lost", "file", r.file, "calls", r.calls, "err", err)
				r.body = nil // sent as damaged, so that it is heard of
			}
		}
		size -= r.size
		records = append(records, r)
	}
	return records, true
}

// read reads the record's body from its file.
func (r *spoolRecord) read() error {
	f, err := os.Open(r.file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, r.size)
	if _, err := f.ReadAt(b, r.at); err != nil {
		return err
	}
	back, _, err := readSpoolRecord(b)
	if err == nil && back.sequence != r.sequence {
		err = errSpool
	}
	r.body = back.body
	return err
}

// acknowledged forgets the records of a run up to a sequence: the control plane
// has stored them.
func (s *spool) acknowledged(run string, sequence uint64) {
	s.drop(func(_ int, r *spoolRecord) bool { return r.run == run && r.sequence <= sequence })
}
