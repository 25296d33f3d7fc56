package control

import (
	"context"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// keepAnswers is how long an answer is kept to be given again.
const keepAnswers = 24 * time.Hour

// longestRequest is after how long a request without an answer was cut off.
const longestRequest = 2 * time.Minute

// BeginRequest reserves a key, by which the actor may repeat a request with the
// given digest. Where the request was answered before it returns that answer;
// else the caller carries the request out and calls EndRequest. Conflict: the
// key is another request's, or the first one with it has not come to its end.
func (p *Plane) BeginRequest(ctx context.Context, key, digest string) (kept sluice.KeptAnswer, answered bool, err error) {
	actor, err := known(ctx)
	if err != nil {
		return kept, false, err
	}
	if actor.UserID == "" {
		return kept, false, sluice.Errorf(sluice.Invalid, "idempotency.user", "Only requests of users can be repeated.").At("Idempotency-Key")
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		kept, err = tx.KeptAnswer(actor.UserID, key)
		switch old := err == nil && p.now().Sub(kept.CreatedAt) > keepAnswers; {
		case err != nil && !sluice.IsNotFound(err):
			return err
		case err == nil && !old:
			return nil
		case old:
			if err := tx.DeleteKeptAnswer(actor.UserID, key); err != nil {
				return err
			}
		}
		kept = sluice.KeptAnswer{}
		return tx.AddKeptAnswer(&sluice.KeptAnswer{UserID: actor.UserID, Key: key, Digest: digest, CreatedAt: p.now()})
	})
	conflict := func(code, message string) error {
		return sluice.Errorf(sluice.Conflict, code, "%s", message).At("Idempotency-Key")
	}
	switch {
	case err != nil || kept.Key == "":
		return kept, false, err
	case kept.Digest != digest:
		return kept, false, conflict("idempotency.key", "Another request was sent with this key.")
	case kept.Status != 0:
		return kept, true, nil
	case p.now().Sub(kept.CreatedAt) > longestRequest:
		return kept, false, conflict("idempotency.unfinished", "The first request with this key was cut off; look whether it took effect, and use another key.")
	}
	return kept, false, conflict("idempotency.running", "The first request with this key is still under way.")
}

// EndRequest keeps the answer to a request that BeginRequest reserved the key of,
// for 24 hours. status 0: it was refused and changed nothing, the key is free.
func (p *Plane) EndRequest(ctx context.Context, key string, status int, answer []byte) error {
	actor, err := known(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		if status == 0 {
			return tx.DeleteKeptAnswer(actor.UserID, key)
		}
		return tx.PutKeptAnswer(actor.UserID, key, status, answer)
	})
}
