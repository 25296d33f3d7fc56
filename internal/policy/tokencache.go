package policy

import (
	"crypto/sha256"
	"sync"
)

const (
	cacheShards = 64

	// cacheShardSize is how many tokens one shard remembers; all together
	// 131,072, of some 350 bytes each.
	cacheShardSize = 2048
)

// tokenCache remembers verified tokens by their SHA-256, which stands for the
// token itself: no other text with it can be found. It is bounded. The zero
// value is empty. It may be used by many goroutines.
type tokenCache [cacheShards]struct {
	mu     sync.Mutex // guards tokens
	tokens map[[sha256.Size]byte]*accessToken
}

// get returns the token with a digest, nil where it is not remembered.
func (c *tokenCache) get(digest *[sha256.Size]byte) *accessToken {
	s := &c[digest[0]%cacheShards]
	s.mu.Lock()
	a := s.tokens[*digest]
	s.mu.Unlock()
	return a
}

// put remembers a token. In a full shard it takes the place of some that had
// expired at the time given, or else of any one.
func (c *tokenCache) put(digest *[sha256.Size]byte, a *accessToken, now int64) {
	s := &c[digest[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = make(map[[sha256.Size]byte]*accessToken)
	}
	if len(s.tokens) >= cacheShardSize {
		looked := 0
		for d, old := range s.tokens { // in random order
			if looked++; old.expires < now || looked == 8 {
				delete(s.tokens, d)
				break
			}
		}
	}
	s.tokens[*digest] = a
}
