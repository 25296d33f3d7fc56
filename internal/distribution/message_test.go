package distribution

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice/internal/artifact"
)

func TestMessagesAreReadAsWritten(t *testing.T) {
	f, err := newFramer()
	if err != nil {
		t.Fatal(err)
	}
	signed := signedRoot{environment: "prod", epoch: 3, generation: 1 << 40, root: artifact.DigestOf(nil), time: time.Unix(9, 9).UTC()}
	signed.sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	items := []Item{item("api/1", strings.Repeat("long ", 1000)), item("key/ä", "x")}
	c := comparison{signed: signed}
	c.digests[255] = artifact.DigestOf([]byte("x"))
	// Where an earlier version's form ends, in bytes: it is read as well.
	earlier := map[string]int{"heartbeat": len((&heartbeat{1, 2, signed.root, "v", signed.root, []byte("[]"), "t", time.Time{}, [64]byte{}}).append(nil))}
	tests := map[string]struct {
		value any
		write func([]byte) []byte
		read  func(*reader) (any, error)
	}{
		"change":     {&change{signed, true, items, []string{"a", "b"}}, (&change{signed, true, items, []string{"a", "b"}}).append, func(r *reader) (any, error) { return readChange(r) }},
		"heartbeat":  {&heartbeat{1, 2, signed.root, "v", signed.root, []byte("[]"), "t", signed.time, signed.signature}, (&heartbeat{1, 2, signed.root, "v", signed.root, []byte("[]"), "t", signed.time, signed.signature}).append, func(r *reader) (any, error) { return readHeartbeat(r) }},
		"answer":     {&answer{signed, signed.root, []string{"u"}}, (&answer{signed, signed.root, []string{"u"}}).append, func(r *reader) (any, error) { return readAnswer(r) }},
		"comparison": {&c, c.append, func(r *reader) (any, error) { return readComparison(r) }},
		"fetch": {
			&fetch{1, 2, []want{{3, "after", []entry{{id: "a", digest: signed.root}}}, {255, "", []entry{}}}},
			(&fetch{1, 2, []want{{3, "after", []entry{{id: "a", digest: signed.root}}}, {255, "", nil}}}).append,
			func(r *reader) (any, error) { return readFetch(r) },
		},
		"trial":   {&trial{"t", 1, items, []string{"x"}}, (&trial{"t", 1, items, []string{"x"}}).append, func(r *reader) (any, error) { return readTrial(r) }},
		"verdict": {&verdict{"t", 1, []Refusal{{"api/1", "no"}}}, (&verdict{"t", 1, []Refusal{{"api/1", "no"}}}).append, func(r *reader) (any, error) { return readVerdict(r) }},
		"page":    {&page{false, items, []string{"x"}, cursor{7, "y"}}, (&page{false, items, []string{"x"}, cursor{7, "y"}}).append, func(r *reader) (any, error) { return readPage(r) }},
	}
	for name, test := range tests {
		message, ok := f.frame(test.write(nil))
		if !ok {
			t.Fatalf("%s cannot be sent", name)
		}
		r, err := f.open(message)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := test.read(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.value, got, cmp.AllowUnexported(change{}, signedRoot{}, heartbeat{}, answer{}, comparison{}, fetch{}, want{}, entry{}, page{}, cursor{}, trial{}, verdict{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		later, _ := f.frame(append(test.write(nil), "a field of a later version"...))
		if r, err = f.open(later); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := test.read(r); err != nil {
			t.Errorf("%s with a field of a later version: %v", name, err)
		}
		fields := test.write(nil)
		for n := range min(len(fields), 300) {
			if _, err := test.read(&reader{b: fields[:n]}); (err == nil) != (n > 0 && n == earlier[name]) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
				break
			}
		}
	}
}

func TestFrames(t *testing.T) {
	f, err := newFramer()
	if err != nil {
		t.Fatal(err)
	}
	if message, ok := f.frame(bytes.Repeat([]byte("x"), maxPlain)); !ok || len(message) > 1<<20 {
		t.Errorf("16 MB of one letter take %d bytes", len(message))
	}
	if _, ok := f.frame(make([]byte, maxPlain+1)); ok {
		t.Error("a message above the limit was made")
	}
	bomb := f.encoder.EncodeAll(make([]byte, 4*maxPlain), []byte{messageVersion, codingZstd})
	for name, message := range map[string][]byte{
		"nothing": nil, "half a head": {messageVersion}, "later version": {2, codingPlain}, "unknown coding": {messageVersion, 9},
		"no zstd": {messageVersion, codingZstd, 1, 2, 3}, "bomb": bomb,
	} {
		if _, err := f.open(message); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestSubjects(t *testing.T) {
	for _, id := range []string{"0191-aB_c", "Production Gateway", "a.b", "*", ">", "ü", "a=2E"} {
		token := subjectToken(id)
		if strings.ContainsAny(token, ".*> \t") {
			t.Errorf("%q becomes %q, which is no token", id, token)
		}
		e, g, ok := sender(gatewaySubject(id, "g."+id, fetchSubject))
		if !ok || e != id || g != "g."+id {
			t.Errorf("sender of a subject of %q = %q, %q, %t", id, e, g, ok)
		}
	}
	for _, s := range []string{"", "sluice.gateway.a", "sluice.gateway.a.b", "sluice.gateway..b.status", "sluice.gateway.a=.b.status", "other.gateway.a.b.status"} {
		if e, g, ok := sender(s); ok {
			t.Errorf("sender(%q) = %q, %q", s, e, g)
		}
	}
}

func FuzzMessages(f *testing.F) {
	framer, err := newFramer()
	if err != nil {
		f.Fatal(err)
	}
	signed := signedRoot{environment: "prod", time: time.Unix(1, 0)}
	for _, fields := range [][]byte{
		(&change{signed: signed, put: []Item{item("a", "b")}, remove: []string{"c"}}).append(nil),
		(&heartbeat{list: []byte("[]")}).append(nil),
		(&fetch{wants: []want{{1, "a", []entry{{id: "b"}}}}}).append(nil),
		(&page{put: []Item{item("a", "b")}}).append(nil),
		(&trial{put: []Item{item("a", "b")}}).append(nil),
		(&verdict{refusals: []Refusal{{"a", "b"}}}).append(nil),
	} {
		message, _ := framer.frame(fields)
		f.Add(message)
	}
	s := stateOf(map[string]string{"key/1": "one"})
	f.Fuzz(func(t *testing.T, message []byte) {
		open := func() *reader {
			r, err := framer.open(message)
			if err != nil {
				t.Skip()
			}
			return r
		}
		if c, err := readChange(open()); err == nil {
			_ = s.with(entriesOf(c.put, false), c.remove)
		}
		_, _ = readHeartbeat(open())
		_, _ = readAnswer(open())
		_, _ = readComparison(open())
		_, _ = readPage(open())
		_, _ = readTrial(open())
		_, _ = readVerdict(open())
		if q, err := readFetch(open()); err == nil {
			_ = s.page(q.wants, pageSize)
		}
	})
}
