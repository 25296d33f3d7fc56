package database

import (
	"time"

	"github.com/sluice-api/sluice"
)

const keptAnswerColumns = `user_id, key, digest, status, answer, created_at`

func keptAnswerFields(k *sluice.KeptAnswer) []any {
	return []any{&k.UserID, &k.Key, &k.Digest, &k.Status, &k.Answer, (*instant)(&k.CreatedAt)}
}

// AddKeptAnswer reserves a user's idempotency key; Conflict "idempotency.key" where
// it is there already. The answer itself comes by PutKeptAnswer.
func (tx *Tx) AddKeptAnswer(k *sluice.KeptAnswer) error {
	return tx.add(`insert into kept_answers (`+keptAnswerColumns+`) values ($1, $2, $3, $4, $5, $6)`, keptAnswerFields(k)...)
}

// KeptAnswer returns what is kept for a user's idempotency key, its answer in clear.
func (tx *Tx) KeptAnswer(userID, key string) (sluice.KeptAnswer, error) {
	k, err := one(tx, "answer", keptAnswerFields, `select `+keptAnswerColumns+` from kept_answers where user_id = $1 and key = $2`, userID, key)
	if err == nil && len(k.Answer) > 0 {
		k.Answer, err = tx.db.Unseal("answer "+userID+" "+key, k.Answer)
	}
	return k, err
}

// PutKeptAnswer stores the answer to a key that AddKeptAnswer reserved, sealed.
func (tx *Tx) PutKeptAnswer(userID, key string, status int, answer []byte) error {
	return tx.change("answer", `update kept_answers set status = $3, answer = $4 where user_id = $1 and key = $2`,
		userID, key, status, tx.db.Seal("answer "+userID+" "+key, answer))
}

// DeleteKeptAnswer lets go of a user's idempotency key.
func (tx *Tx) DeleteKeptAnswer(userID, key string) error {
	return tx.change("answer", `delete from kept_answers where user_id = $1 and key = $2`, userID, key)
}

// DeleteKeptAnswers deletes what was kept before a time.
func (tx *Tx) DeleteKeptAnswers(before time.Time) error {
	_, err := tx.exec(`delete from kept_answers where created_at < $1`, instant(before))
	return err
}
