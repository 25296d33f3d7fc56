package distribution

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openTestSpool(t testing.TB, dir, run string, size int64) *spool {
	t.Helper()
	s := openSpool(dir, run, size, slog.New(slog.DiscardHandler))
	t.Cleanup(s.end)
	return s
}

// waiting returns run and body of each record that waits, in order.
func waiting(t testing.TB, s *spool) (list []string) {
	t.Helper()
	copied := *s
	for len(copied.records) > 0 {
		records, _ := copied.next(1 << 20)
		for _, r := range records {
			list = append(list, r.run+" "+string(r.body))
		}
		copied.records = copied.records[len(records):]
	}
	return list
}

func expectWaiting(t testing.TB, s *spool, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, waiting(t, s)); diff != "" {
		t.Errorf("records that wait (-want +got):\n%s", diff)
	}
}

func TestSpoolKeepsUntilAcknowledged(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir, "r1", spoolSize)
	s.add([]byte("one"), 1)
	s.add([]byte("two"), 2)
	s.save([]byte("thr"), 2)
	s.save([]byte("three"), 3)

	s = openTestSpool(t, dir, "r2", spoolSize) // the process was killed
	expectWaiting(t, s, "r1 one", "r1 two", "r1 three")
	s.add([]byte("four"), 4)
	s.acknowledged("r1", 2)
	expectWaiting(t, s, "r1 three", "r2 four")
	if records, all := s.next(1 << 20); len(records) != 1 || all {
		t.Errorf("one message has %d records of two runs", len(records))
	}

	s = openTestSpool(t, dir, "r3", spoolSize)
	expectWaiting(t, s, "r1 three", "r2 four")
	s.acknowledged("r1", 3)
	s.acknowledged("r2", 1)
	expectWaiting(t, s)
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 || s.bytes != 0 {
		t.Errorf("left on the disk: %v, %d bytes", left, s.bytes)
	}
}

// TestSpoolCutAnywhere cuts the files where a process that was killed, or a
// machine without power, may have left them: no record is lost that was whole,
// none is there twice, and none is made up.
func TestSpoolCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir, "r1", spoolSize)
	s.add([]byte("one"), 1)
	s.add([]byte("two"), 2)
	s.save([]byte("three"), 3)
	finished, current := s.path("r1", 1), s.currentPath()
	whole := s.records[1].at
	for path, keeps := range map[string]func(length int64) []string{
		finished: func(length int64) []string {
			switch {
			case length < whole:
				return []string{"r1 three"}
			case length < whole+s.records[1].size:
				return []string{"r1 one", "r1 three"}
			}
			return []string{"r1 one", "r1 two", "r1 three"}
		},
		current: func(int64) []string { return []string{"r1 one", "r1 two"} },
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			to := copyDir(t, dir)
			if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), b[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			want := keeps(int64(n))
			if got := waiting(t, openTestSpool(t, to, "r2", spoolSize)); !cmp.Equal(got, want) {
				t.Errorf("%s cut to %d bytes: %q, want %q", filepath.Base(path), n, got, want)
			}
		}
	}
}

// TestSpoolFinishedTwice holds that a process which ended between finishing a
// record and removing what it was made of counts it once.
func TestSpoolFinishedTwice(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir, "r1", spoolSize)
	s.save([]byte("one"), 1)
	left, err := os.ReadFile(s.currentPath())
	if err != nil {
		t.Fatal(err)
	}
	s.add([]byte("one"), 1)
	if err := os.WriteFile(s.currentPath(), left, 0o600); err != nil {
		t.Fatal(err)
	}
	expectWaiting(t, openTestSpool(t, dir, "r2", spoolSize), "r1 one")
}

func TestSpoolDamagedRecord(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir, "r1", spoolSize)
	for _, body := range []string{"one", "two", "three"} {
		s.add([]byte(body), 1)
	}
	b, err := os.ReadFile(s.path("r1", 1))
	if err != nil {
		t.Fatal(err)
	}
	b[s.records[1].at+spoolHeader+1] ^= 0x40
	if err := os.WriteFile(s.path("r1", 1), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if records, _ := s.next(1 << 20); len(records) != 3 || records[1].body != nil {
		t.Errorf("a record that cannot be read any more is sent as %+v", records)
	}
	expectWaiting(t, openTestSpool(t, dir, "r2", spoolSize), "r1 one", "r1 three")
}

// TestSpoolIsBounded holds the bound, and that what is dropped is counted.
func TestSpoolIsBounded(t *testing.T) {
	const size = 16 << 10
	dir := t.TempDir()
	s := openTestSpool(t, dir, "r1", size)
	body := bytes.Repeat([]byte("x"), 300)
	const records = 200
	for range records {
		s.add(body, 5)
		if s.bytes > size {
			t.Fatalf("%d bytes", s.bytes)
		}
	}
	if kept := int64(len(s.records)); kept < 40 || s.lost != 5*(records-kept) {
		t.Errorf("%d records kept, %d calls lost", kept, s.lost)
	}
	onDisk := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		onDisk += info.Size()
	}
	if onDisk > size+spoolParts*int64(len(spoolMagic))+int64(len(body)) {
		t.Errorf("%d bytes in %d files", onDisk, len(files))
	}
	small := openTestSpool(t, dir, "r2", size/2)
	if small.bytes > size/2 || small.lost == 0 {
		t.Errorf("opened with a smaller bound: %d bytes, %d calls lost", small.bytes, small.lost)
	}
}

// TestF3SpoolWithoutDisk holds that what the disk does not take waits in memory,
// bounded, and goes to the disk once that can be written.
func TestF3SpoolWithoutDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in place of the folder
		t.Fatal(err)
	}
	s := openTestSpool(t, dir, "r1", 16<<10)
	s.save([]byte("o"), 1)
	s.add([]byte("one"), 1)
	if s.err == nil {
		t.Fatal("the disk is said to take it")
	}
	s.add([]byte("two"), 1)
	expectWaiting(t, s, "r1 one", "r1 two")
	s.acknowledged("r1", 1)
	for range 100 {
		s.add(bytes.Repeat([]byte("x"), 100), 1)
	}
	if s.held > s.max/spoolParts || s.lost == 0 {
		t.Errorf("%d bytes held, %d calls lost", s.held, s.lost)
	}
	kept := len(s.records)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	s.add([]byte("last"), 1)
	if s.err != nil || s.held != 0 {
		t.Errorf("err = %v, %d bytes held", s.err, s.held)
	}
	if got := waiting(t, openTestSpool(t, dir, "r2", 16<<10)); len(got) != kept+1 {
		t.Errorf("%d records on the disk, want %d", len(got), kept+1)
	}
}

func FuzzSpool(f *testing.F) {
	file := []byte(spoolMagic)
	for i := range uint64(3) {
		file = (&spoolRecord{sequence: i + 1, calls: 2, body: []byte("body")}).append(file)
	}
	f.Add(file)
	f.Add(file[:len(file)-2])
	f.Add(binary.LittleEndian.AppendUint32([]byte(spoolMagic), 0xffffffff))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, damaged := readSpool(b)
		for _, r := range records {
			if r.at < int64(len(spoolMagic)) || r.at+r.size > int64(len(b)) {
				t.Errorf("a record from %d of %d bytes, in %d", r.at, r.size, len(b))
			}
			back, size, err := readSpoolRecord(b[r.at:])
			if err != nil || size != r.size || back.sequence != r.sequence || !bytes.Equal(back.body, r.body) {
				t.Errorf("read again: %+v, %v; want %+v", back, err, r)
			}
		}
		if len(records) == 0 && damaged == 0 && len(b) > len(spoolMagic) {
			t.Error("bytes were passed over")
		}
		_, _, err := readSpoolRecord(b)
		if err != nil && !errors.Is(err, errSpool) {
			t.Error(err)
		}
	})
}
