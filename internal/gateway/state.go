package gateway

import (
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/policy"
)

// state is everything a call needs. It is immutable: a change makes another
// one, which shares with it what did not change.
type state struct {
	environment *artifact.Environment // nil: not known yet
	routes      map[string]*route     // by API id
	table       *table
	directory   *policy.Directory
}

// decodeAtOnce is how many items are decoded before they are put in place, so
// that the first state of a large environment needs little memory beside it.
const decodeAtOnce = 8192

// decoded is an item of an update, or why it is none.
type decoded struct {
	distribution.Item
	item artifact.Item
	err  error

	outlined *route // an API of which the rest is built later; item is nil
}

// Apply takes an update of the environment's state and swaps it in whole. What
// cannot be decoded or built keeps its last good form; where it is an API, its
// report says so. Updates are to be given in order; calls may be served
// meanwhile.
func (g *Gateway) Apply(u distribution.Update) {
	g.applying.Lock()
	defer g.applying.Unlock()
	c := g.change(&u, g.notTaken)
	g.state.Store(c.finish())
	for _, r := range c.taken { // after the swap: they may be probed at once
		g.deployments.activate(r)
	}
	g.deployments.remove(c.gone)
	if g.o.Changed != nil {
		g.o.Changed()
	}
}

// Check reports what of a change, on top of what is served now, the gateway could
// not take. It builds all of it and serves nothing. It may be called beside
// Apply.
func (g *Gateway) Check(put []distribution.Item, remove []string) (refusals []distribution.Refusal) {
	g.applying.Lock()
	defer g.applying.Unlock()
	g.change(&distribution.Update{Put: put, Remove: remove}, func(f failure) {
		refusals = append(refusals, distribution.Refusal{ItemID: f.item, Reason: f.err.Error()})
	}).finish()
	return refusals
}

// failure is an item that cannot be taken.
type failure struct {
	item     string
	digest   string
	revision int // of an API; zero: not known
	err      error
	serving  *route // the last form of an API, which goes on being served; nil: none
}

// notTaken reports an item that could not be taken.
func (g *Gateway) notTaken(f failure) {
	id, isAPI := strings.CutPrefix(f.item, apiPrefix)
	if !isAPI {
		g.log.Error("item of the environment's state cannot be used; its last good form stays", slog.String("item", f.item), slog.Any("err", f.err))
		return
	}
	g.log.Error("deployment cannot be taken", slog.String("api_id", id), slog.Int("revision", f.revision), slog.Any("err", f.err))
	g.deployments.fail(id, f.digest, f.revision, f.err.Error(), f.serving)
}

// change is an update on its way into a state.
type change struct {
	g           *Gateway
	failed      func(failure)
	last        *state
	anew        bool // nothing is taken over from last
	later       bool // APIs are built when they are needed first
	environment *artifact.Environment
	directory   *policy.DirectoryEdit
	fresh       map[string]*route // built now, by API id
	gone        map[string]bool   // APIs that are no longer there
	taken       []*route          // builds that this change makes answer
}

// change puts an update together with what is served now. What cannot be decoded
// or built is given to failed.
func (g *Gateway) change(u *distribution.Update, failed func(failure)) *change {
	last := g.state.Load()
	c := &change{
		g: g, failed: failed, last: last, anew: u.Anew, later: u.FromCopy, environment: last.environment,
		directory: last.directory.Edit(u.Complete),
		fresh:     make(map[string]*route),
		gone:      make(map[string]bool),
	}
	if u.Complete {
		for id := range last.routes {
			c.gone[id] = true
		}
		g.deployments.each(func(id string) { c.gone[id] = true })
		for i := range u.Put {
			c.directory.Expect(u.Put[i].ID)
		}
	}
	for _, id := range u.Remove {
		c.remove(id)
	}
	for items := range slices.Chunk(u.Put, decodeAtOnce) {
		for _, d := range c.decode(items) {
			c.put(d)
		}
	}
	return c
}

// apiPrefix begins the item ids of APIs.
var apiPrefix = artifact.APIItem("")

// decode decodes items on all processors. An API that is served already in the
// form the item has is not decoded again.
func (c *change) decode(items []distribution.Item) []decoded {
	out := make([]decoded, len(items))
	size := max(256, len(items)/runtime.GOMAXPROCS(0)+1)
	var wg sync.WaitGroup
	for from := 0; from < len(items); from += size {
		part, to := items[from:min(from+size, len(items))], out[from:]
		wg.Go(func() {
			for i, item := range part {
				to[i].Item = item
				if c.serves(item) {
					continue
				}
				if c.later && strings.HasPrefix(item.ID, apiPrefix) {
					if r, ok := outline(item); ok {
						to[i].outlined = r
						continue
					}
				}
				to[i].item, to[i].err = artifact.Decode(item.ID, item.Body)
			}
		})
	}
	wg.Wait()
	return out
}

// serves reports whether the item is an API that is served in just this form.
func (c *change) serves(item distribution.Item) bool {
	id, ok := strings.CutPrefix(item.ID, apiPrefix)
	if !ok {
		return false
	}
	r := c.last.routes[id]
	return !c.anew && r != nil && r.digest == item.Digest.String()
}

func (c *change) put(d decoded) {
	if id, ok := strings.CutPrefix(d.ID, apiPrefix); ok {
		delete(c.gone, id)
		if err := c.putAPI(id, d); err != nil {
			revision := 0
			if a, ok := d.item.(*artifact.API); ok {
				revision = a.Revision
			}
			c.failed(failure{d.ID, d.Digest.String(), revision, err, c.last.routes[id]})
		}
		return
	}
	err := d.err
	if err == nil {
		if e, ok := d.item.(*artifact.Environment); ok {
			if _, err = newTable(e); err == nil {
				c.environment = e
			}
		} else {
			err = c.directory.Put(d.item)
		}
	}
	if err != nil {
		c.failed(failure{item: d.ID, digest: d.Digest.String(), err: err})
		c.directory.Keep(d.ID)
	}
}

func (c *change) putAPI(id string, d decoded) error {
	if d.err != nil {
		return d.err
	}
	r := d.outlined
	if r == nil {
		if d.item == nil { // served already
			c.taken = append(c.taken, c.last.routes[id])
			return nil
		}
		a := d.item.(*artifact.API) // the codec sees to it
		var err error
		if r, err = build(a, d.Digest.String()); err != nil {
			return err
		}
	}
	if last := c.last.routes[id]; last != nil {
		r.counter = last.counter
	} else {
		r.counter = new(counter)
	}
	c.fresh[id] = r
	return nil
}

func (c *change) remove(id string) {
	if api, ok := strings.CutPrefix(id, apiPrefix); ok {
		c.gone[api] = true
		return
	}
	c.directory.Remove(id)
}

// finish makes the new state.
func (c *change) finish() *state {
	s := &state{environment: c.environment, routes: c.last.routes, table: c.last.table, directory: c.directory.Directory()}
	if len(c.fresh) == 0 && len(c.gone) == 0 && c.environment == c.last.environment {
		return s
	}
	s.routes = maps.Clone(c.last.routes)
	var leaving []*route
	leave := func(id string) {
		if r := s.routes[id]; r != nil {
			leaving = append(leaving, r)
			delete(s.routes, id)
		}
	}
	for id := range c.gone {
		leave(id)
	}
	for id := range c.fresh {
		leave(id)
	}
	if c.environment == c.last.environment {
		s.table = c.last.table.without(leaving)
	} else {
		c.rebuild(s)
	}
	for _, id := range slices.Sorted(maps.Keys(c.fresh)) {
		c.place(s, id, c.fresh[id])
	}
	s.table.addDefaults(s.routes)
	return s
}

// rebuild makes the table of s anew, with the vhosts of another environment.
func (c *change) rebuild(s *state) {
	s.table, _ = newTable(c.environment) // checked when the environment was put
	for _, id := range slices.Sorted(maps.Keys(s.routes)) {
		r := s.routes[id]
		if err := s.table.add(r); err != nil { // two vhosts became one
			delete(s.routes, id)
			c.failed(failure{apiPrefix + id, r.digest, r.api.Revision, err, nil})
		}
	}
}

// place makes a new build answer. Where another API has its context, the last
// build of the API stays.
func (c *change) place(s *state, id string, r *route) {
	err := s.table.add(r)
	if err == nil {
		s.routes[id] = r
		c.taken = append(c.taken, r)
		return
	}
	last := c.last.routes[id]
	if last != nil && s.table.add(last) == nil {
		s.routes[id] = last
	} else {
		last = nil
	}
	c.failed(failure{apiPrefix + id, r.digest, r.api.Revision, err, last})
}
