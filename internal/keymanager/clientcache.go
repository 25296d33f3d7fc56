package keymanager

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// rememberClient is how long what was read of a client may be used: as long
	// as another control plane's change to it may go unnoticed. Those of this
	// process count at once.
	rememberClient = 250 * time.Millisecond

	maxRemembered = 10_000 // clients
)

// clientCache remembers clients as they were read last, so that tokens can be
// issued without the database. Whatever this process commits empties it. It may
// be used by many goroutines.
type clientCache struct {
	mu      sync.Mutex // guards the fields below
	commits uint64     // of the database, when the clients were read
	clients map[string]*knownClient
}

// knownClient is what was read of one client. It does not change.
type knownClient struct {
	client op.Client // nil: there is none
	hashes []string  // of its secrets
	earned map[string]bool
	read   time.Time // by the process's own clock
}

// get returns a client that was read since the last commit, nil where none was.
func (c *clientCache) get(id string, commits uint64) *knownClient {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.clients[id]
	if known == nil || c.commits != commits || time.Since(known.read) > rememberClient {
		return nil
	}
	return known
}

// put remembers a client that was read while the database had so many commits.
// In place of the clients of before, where there are new ones or too many.
func (c *clientCache) put(id string, known *knownClient, commits uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients == nil || c.commits < commits || len(c.clients) >= maxRemembered {
		c.clients, c.commits = make(map[string]*knownClient), commits
	}
	if c.commits == commits {
		c.clients[id] = known
	}
}

// findClient returns the client of an id and the hashes of its secrets, none
// where there is no such client.
func (s *Server) findClient(ctx context.Context, id string) (op.Client, []string, error) {
	known, err := s.knownClient(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	return known.client, known.hashes, nil
}

// knownClient returns a client with the scopes that its own tokens may have.
func (s *Server) knownClient(ctx context.Context, id string) (*knownClient, error) {
	commits := s.db.Commits() // before it is read: a commit in between makes it old
	if known := s.clients.get(id, commits); known != nil {
		return known, nil
	}
	known := &knownClient{read: time.Now()}
	err := s.db.View(ctx, func(tx *database.Tx) error {
		key, err := tx.ConsumerKey(id)
		if err == nil {
			known.client, known.hashes = &applicationClient{confidential(id), key}, key.SecretHashes
			known.earned, err = earnedScopes(tx, key, nil)
			return err
		}
		if !sluice.IsNotFound(err) {
			return err
		}
		manager, err := tx.ManagementClient(id)
		if err == nil {
			known.client, known.hashes = &managementClient{confidential(id), manager}, manager.SecretHashes
			return nil
		}
		if sluice.IsNotFound(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if known.client != nil {
		s.clients.put(id, known, commits)
	}
	return known, nil
}
