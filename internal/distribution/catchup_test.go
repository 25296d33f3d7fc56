package distribution

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// source is a control plane's end without a bus: it answers from a view, by
// pages of a given size, and may forget or change its state at any request.
type source struct {
	view    *view
	kept    *view
	limit   int
	request func(s *source, kind string) // before each answer; may be nil
	count   int
}

func (s *source) ask(_ context.Context, kind string, request []byte) (*reader, error) {
	s.count++
	if s.request != nil {
		s.request(s, kind)
	}
	switch kind {
	case compareSubject:
		s.kept = s.view
		c := comparison{signed: s.root(), digests: s.view.state.digests}
		return &reader{b: c.append(nil)}, nil
	case fetchSubject:
		f, err := readFetch(&reader{b: request})
		if err != nil {
			return nil, err
		}
		if s.kept == nil || f.generation != s.kept.generation {
			return &reader{b: (&page{gone: true}).append(nil)}, nil
		}
		return &reader{b: s.kept.state.page(f.wants, s.limit).append(nil)}, nil
	}
	return nil, errors.New("unknown request")
}

func (s *source) root() signedRoot {
	return signedRoot{environment: s.view.environment, epoch: s.view.epoch, generation: s.view.generation, root: s.view.state.root, time: time.Unix(s.view.generation, 0)}
}

func trusting(*signedRoot) error { return nil }

func TestCatchUpFromAnyStateToAnyOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := genItems().Draw(t, "from"), genItems().Draw(t, "to")
		s := &source{view: &view{"prod", 1, 1, stateOf(to)}, limit: rapid.IntRange(1, 60).Draw(t, "page")}
		s.request = func(s *source, kind string) {
			switch rapid.IntRange(0, 20).Draw(t, "event") {
			case 0:
				s.kept = nil // forgotten
			case 1: // changed meanwhile
				put := genItems().Draw(t, "put")
				remove := genIDs().Draw(t, "remove")
				s.view = &view{"prod", 1, s.view.generation + 1, s.view.state.with(entriesOf(itemsOf(put), true), remove)}
			}
		}
		has := maps.Clone(from)
		var start *state
		if rapid.Bool().Draw(t, "complete") {
			has = map[string]string{}
		} else {
			start = stateOf(from).withoutBodies()
		}
		got, err := catchUp(context.Background(), start, trusting, s.ask)
		if err != nil {
			if s.count > maxRestarts {
				t.Skip("the state was lost too often")
			}
			t.Fatal(err)
		}
		want := contents(s.kept.state)
		for _, it := range got.put {
			has[it.ID] = string(it.Body)
		}
		for _, id := range got.remove {
			delete(has, id)
		}
		if !maps.Equal(has, want) {
			t.Fatalf("after catching up %v, want %v", has, want)
		}
		if got.state.root != s.kept.state.root || got.signed.generation != s.kept.generation || got.complete != (start == nil) {
			t.Fatalf("caught up with generation %d, want %d", got.signed.generation, s.kept.generation)
		}
		if start == nil && len(got.put) != len(want) {
			t.Fatalf("%d items for a complete state of %d", len(got.put), len(want))
		}
	})
}

func TestCatchUpSendsOnlyWhatIsLacking(t *testing.T) {
	all := map[string]string{}
	for n := range 5000 {
		all[fmt.Sprint("key/", n)] = "a body of some length"
	}
	old := stateOf(all).withoutBodies()
	all["key/17"] = "changed"
	delete(all, "key/18")
	all["key/new"] = "new"
	s := &source{view: &view{"prod", 1, 2, stateOf(all)}, limit: pageSize}
	got, err := catchUp(t.Context(), old, trusting, s.ask)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.put) != 2 || len(got.remove) != 1 || s.count != 2 {
		t.Errorf("%d items put, %d removed, in %d requests; want 2, 1, in 2", len(got.put), len(got.remove), s.count)
	}
	if got, err = catchUp(t.Context(), nil, trusting, s.ask); err != nil || len(got.put) != len(all) || got.remove != nil {
		t.Errorf("complete: %d items put, %d removed (%v), want %d and none", len(got.put), len(got.remove), err, len(all))
	}
}

// A control plane, or a bus, that answers wrongly cannot make a gateway take
// what was not signed, nor keep it busy for ever.
func TestCatchUpRefusesWrongAnswers(t *testing.T) {
	right := map[string]string{"key/1": "one", "key/2": "two", "key/3": "three"}
	wrong := func(kind string, alter func([]byte) []byte) asker {
		s := &source{view: &view{"prod", 1, 1, stateOf(right)}, limit: 1}
		return func(ctx context.Context, k string, request []byte) (*reader, error) {
			r, err := s.ask(ctx, k, request)
			if err == nil && k == kind {
				r.b = alter(r.b)
			}
			return r, err
		}
	}
	evil := func(p page) func([]byte) []byte { return func([]byte) []byte { return p.append(nil) } }
	end := cursor{bucket: bucketCount}
	tests := map[string]asker{
		"digests that are not the root's": wrong(compareSubject, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"half a comparison":               wrong(compareSubject, func(b []byte) []byte { return b[:len(b)/2] }),
		"half a page":                     wrong(fetchSubject, func(b []byte) []byte { return b[:len(b)/2] }),
		"nothing":                         wrong(fetchSubject, evil(page{next: end})),
		"another body":                    wrong(fetchSubject, evil(page{put: []Item{item("key/1", "evil")}, next: end})),
		"a page without progress":         wrong(fetchSubject, evil(page{put: []Item{item("key/1", "one")}})),
		"more than there is":              wrong(fetchSubject, evil(page{put: append(itemsOf(right), item("key/evil", "x")), next: end})),
		"always gone":                     wrong(fetchSubject, evil(page{gone: true})),
		"not signed": func(ctx context.Context, k string, request []byte) (*reader, error) {
			return nil, errSignature
		},
	}
	for name, ask := range tests {
		if got, err := catchUp(t.Context(), nil, trusting, ask); err == nil {
			t.Errorf("%s: caught up with %d items", name, len(got.put))
		}
	}
	s := &source{view: &view{"prod", 1, 1, stateOf(right)}, limit: 1}
	if _, err := catchUp(t.Context(), nil, func(*signedRoot) error { return errSignature }, s.ask); !errors.Is(err, errSignature) || s.count != 1 {
		t.Errorf("a root without a signature: %v after %d requests", err, s.count)
	}
}

func TestKeptStates(t *testing.T) {
	now := time.Unix(0, 0)
	e := &environment{kept: map[position]*keptView{}}
	for n := range int64(maxViews + 1) {
		e.keep(&view{"prod", 1, n, emptyState()}, now.Add(time.Duration(n)*time.Millisecond))
	}
	if _, ok := e.keptAt(position{1, 0}, now); ok || len(e.kept) != maxViews {
		t.Errorf("%d states are kept, want %d without the oldest", len(e.kept), maxViews)
	}
	if _, ok := e.keptAt(position{1, 5}, now.Add(keepViews)); !ok {
		t.Error("a state that is in use was forgotten")
	}
	e.keep(&view{"prod", 1, 99, emptyState()}, now.Add(keepViews+time.Second))
	if len(e.kept) != 2 {
		t.Errorf("%d states are kept, want the one in use and the new one", len(e.kept))
	}
}
