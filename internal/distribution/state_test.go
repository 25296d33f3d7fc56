package distribution

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-api/sluice/internal/artifact"
)

// genID gives few different ids, so that edits meet each other.
func genID() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("key/", rapid.IntRange(0, 300).Draw(t, "id")) })
}

func genItems() *rapid.Generator[map[string]string] {
	return rapid.MapOfN(genID(), rapid.StringMatching("[a-c]{0,2}"), 0, 40)
}

func genIDs() *rapid.Generator[[]string] { return rapid.SliceOfN(genID(), 0, 20) }

// stateOf builds a state of items from nothing.
func stateOf(items map[string]string) *state {
	return emptyState().with(entriesOf(itemsOf(items), true), nil)
}

func itemsOf(items map[string]string) []Item {
	var list []Item
	for id, body := range items {
		list = append(list, item(id, body))
	}
	return list
}

func contents(s *state) map[string]string {
	all := make(map[string]string)
	for _, it := range s.items() {
		all[it.ID] = string(it.Body)
	}
	return all
}

func TestStateByChangesIsTheStateFromNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, s := map[string]string{}, emptyState()
		for range rapid.IntRange(1, 10).Draw(t, "changes") {
			put, remove := genItems().Draw(t, "put"), genIDs().Draw(t, "remove")
			before, root := contents(s), s.root
			next := s.with(entriesOf(itemsOf(put), true), remove)
			if !maps.Equal(contents(s), before) || s.root != root {
				t.Fatal("with changed the state it was called on")
			}
			s = next
			maps.Copy(want, put)
			for _, id := range remove {
				delete(want, id)
			}
		}
		if !maps.Equal(contents(s), want) || s.size != len(want) {
			t.Fatalf("state holds %d items, want %d", s.size, len(want))
		}
		if fresh := stateOf(want); s.root != fresh.root || s.digests != fresh.digests {
			t.Fatal("the root depends on how the state came about")
		}
		if s.withoutBodies().root != s.root {
			t.Fatal("the root depends on bodies being kept")
		}
		for b, bucket := range s.buckets {
			if !slices.IsSortedFunc(bucket, func(a, b entry) int { return strings.Compare(a.id, b.id) }) {
				t.Fatal("a bucket is not in order")
			}
			for _, e := range bucket {
				if found, ok := s.find(e.id); !ok || found.digest != e.digest || int(bucketOf(e.id)) != b {
					t.Fatalf("%s is in the wrong place", e.id)
				}
			}
		}
	})
}

func TestRootTellsStatesApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genItems().Draw(t, "a"), genItems().Draw(t, "b")
		if got := stateOf(a).root == stateOf(b).root; got != maps.Equal(a, b) {
			t.Fatalf("roots equal: %t, states equal: %t", got, !got)
		}
	})
}

// The root is what gateways of any version compute: it must not change.
func TestRootIsFixed(t *testing.T) {
	for want, items := range map[string]map[string]string{
		"0e89e7ed74c9a5944c886585d634e3c68f4dccd0a31968fe52d6df0873ccdec6": {},
		"368ce4e6ea3bfde89c0179b74d007a8f69005ab48d4ce7284aa35f0bbc2d5044": {"api/1": "one", "key/2": "two"},
	} {
		if got := stateOf(items).root.String(); got != want {
			t.Errorf("root of %v = %s, want %s", items, got, want)
		}
	}
}

func TestLaterEditOfAnIDCounts(t *testing.T) {
	s := emptyState().with(entriesOf([]Item{item("a", "1"), item("a", "2"), item("b", "1")}, true), []string{"b", "c"})
	if got := contents(s); !maps.Equal(got, map[string]string{"a": "2"}) {
		t.Errorf("state = %v", got)
	}
}

func TestSignatureCoversEveryField(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := []ed25519.PublicKey{make([]byte, ed25519.PublicKeySize), key.Public().(ed25519.PublicKey)}
	good := signedRoot{environment: "prod", epoch: 1, generation: 2, root: artifact.DigestOf([]byte("x")), time: time.Unix(5, 6).UTC()}
	good.sign(key)
	if err := good.verify("prod", keys); err != nil {
		t.Fatal(err)
	}
	if err := good.verify("sand", keys); err == nil {
		t.Error("verified for another environment")
	}
	if err := good.verify("prod", keys[:1]); err == nil {
		t.Error("verified by another key")
	}
	for name, alter := range map[string]func(*signedRoot){
		"environment": func(r *signedRoot) { r.environment = "sand" },
		"epoch":       func(r *signedRoot) { r.epoch++ },
		"generation":  func(r *signedRoot) { r.generation++ },
		"root":        func(r *signedRoot) { r.root[31] ^= 1 },
		"time":        func(r *signedRoot) { r.time = r.time.Add(1) },
		"signature":   func(r *signedRoot) { r.signature[0] ^= 1 },
	} {
		r := good
		alter(&r)
		if err := r.verify(r.environment, keys); err == nil {
			t.Errorf("%s altered: verified", name)
		}
	}
	if back := (&reader{b: appendRoot(nil, &good)}).root(); back != good {
		t.Errorf("read back %+v, want %+v", back, good)
	}
}

func TestNewerRoot(t *testing.T) {
	at := func(epoch, generation int64, root string, seconds int64) *signedRoot {
		return &signedRoot{epoch: epoch, generation: generation, root: artifact.DigestOf([]byte(root)), time: time.Unix(seconds, 0)}
	}
	tests := map[string]struct {
		a, b *signedRoot
		want bool
	}{
		"later generation":                       {at(1, 3, "a", 0), at(1, 2, "a", 9), true},
		"earlier generation":                     {at(1, 1, "b", 9), at(1, 2, "a", 0), false},
		"the same":                               {at(1, 2, "a", 9), at(1, 2, "a", 0), false},
		"same generation, other root, later":     {at(1, 2, "b", 9), at(1, 2, "a", 0), true},
		"same generation, other root, earlier":   {at(1, 2, "b", 0), at(1, 2, "a", 9), false},
		"greater epoch, earlier generation":      {at(2, 1, "b", 0), at(1, 9, "a", 9), true},
		"smaller epoch, later generation, later": {at(1, 9, "b", 9), at(2, 1, "a", 0), false},
		"the first of all":                       {at(0, 0, "a", 9), &signedRoot{}, true},
	}
	for name, test := range tests {
		if got := test.a.newerThan(test.b); got != test.want {
			t.Errorf("%s: newer = %t, want %t", name, got, test.want)
		}
	}
}
