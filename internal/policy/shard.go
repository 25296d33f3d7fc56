package policy

import (
	"hash/maphash"
	"maps"
)

// shardCount is how many parts a shards has: a change to one of a million
// entries copies some four thousand.
const shardCount = 256

// seed decides which shard a name falls into, in this process.
var seed = maphash.MakeSeed()

// shards is an immutable map in parts, so that a change copies one part.
type shards[V any] [shardCount]map[string]V

func shardOf(name string) int { return int(maphash.String(seed, name) % shardCount) }

func (s *shards[V]) get(name string) (V, bool) {
	v, ok := s[shardOf(name)][name]
	return v, ok
}

// shardsEdit is a shards being made out of another. It belongs to one
// goroutine.
type shardsEdit[V any] struct {
	*shards[V]
	own      [shardCount]bool // parts that were copied and may be changed
	expected int              // entries that are to come
}

func editShards[V any](s *shards[V]) *shardsEdit[V] {
	e := &shardsEdit[V]{shards: new(shards[V])}
	if s != nil {
		*e.shards = *s
	}
	return e
}

// part returns the part of a name, made this edit's own.
func (e *shardsEdit[V]) part(name string) map[string]V {
	i := shardOf(name)
	if !e.own[i] {
		e.own[i] = true
		if e.shards[i] = maps.Clone(e.shards[i]); e.shards[i] == nil {
			e.shards[i] = make(map[string]V, (e.expected+e.expected/8)/shardCount)
		}
	}
	return e.shards[i]
}

func (e *shardsEdit[V]) put(name string, v V) { e.part(name)[name] = v }

func (e *shardsEdit[V]) remove(name string) {
	if _, there := e.get(name); there {
		delete(e.part(name), name)
	}
}
