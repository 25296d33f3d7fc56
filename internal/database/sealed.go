package database

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
)

// A sealed value is: version (1 byte), key id (8 bytes), nonce (12 bytes), and
// the text encrypted with AES-256-GCM. The additional data is the first nine
// bytes and the context, so that a value cannot be put in another one's place.
const (
	sealVersion = 1
	keyIDSize   = 8
	sealHeader  = 1 + keyIDSize
)

// newSeal returns the cipher of a key, which makes its own random nonces, and
// the key's id.
func newSeal(key [32]byte) (cipher.AEAD, [keyIDSize]byte) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for other key sizes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for other block sizes
	}
	sum := sha256.Sum256(append([]byte("sluice key id"), key[:]...))
	return aead, [keyIDSize]byte(sum[:])
}

// Seal encrypts plain with the database's key. Only Unseal with the same context
// opens it again; the context says what the value is and whose.
func (db *DB) Seal(context string, plain []byte) []byte {
	header := append([]byte{sealVersion}, db.keyID[:]...)
	return db.aead.Seal(header, nil, plain, append(bytes.Clone(header), context...))
}

// Unseal opens what Seal made. The error says whether another key is needed or
// the value was altered.
func (db *DB) Unseal(context string, sealed []byte) ([]byte, error) {
	switch {
	case len(sealed) < sealHeader || sealed[0] != sealVersion:
		return nil, errors.New("not a sealed value")
	case !bytes.Equal(sealed[1:sealHeader], db.keyID[:]):
		return nil, fmt.Errorf("sealed with another key (%x; the key in use is %x): give the key file of the first start", sealed[1:sealHeader], db.keyID)
	}
	plain, err := db.aead.Open(nil, nil, sealed[sealHeader:], append(bytes.Clone(sealed[:sealHeader]), context...))
	if err != nil {
		return nil, errors.New("the sealed value was altered or belongs elsewhere")
	}
	return plain, nil
}

// Unseal is DB.Unseal, for who has the transaction alone.
func (tx *Tx) Unseal(context string, sealed []byte) ([]byte, error) {
	return tx.db.Unseal(context, sealed)
}

type sealedRow struct {
	name string
	body []byte
}

func sealedFields(r *sealedRow) []any { return []any{&r.name, &r.body} }

// PutSealed stores plain under name, encrypted with the database's key and bound
// to the name. What was there is replaced.
func (tx *Tx) PutSealed(name string, plain []byte) error {
	return tx.add(`insert into sealed (name, body) values ($1, $2)
		on conflict (name) do update set body = excluded.body`, name, tx.db.Seal(name, plain))
}

// Sealed returns what PutSealed stored under name.
func (tx *Tx) Sealed(name string) ([]byte, error) {
	row, err := one(tx, "sealed", sealedFields, `select name, body from sealed where name = $1`, name)
	if err != nil {
		return nil, err
	}
	plain, err := tx.db.Unseal(row.name, row.body)
	if err != nil {
		return nil, fmt.Errorf("sealed %s: %w", name, err)
	}
	return plain, nil
}

// checkKey makes sure, by one sealed value, that the key is the one the database
// was sealed with.
func (tx *Tx) checkKey() error {
	rows, err := query(tx, sealedFields, `select name, body from sealed order by name limit 1`)
	if err != nil || len(rows) == 0 {
		return err
	}
	_, err = tx.db.Unseal(rows[0].name, rows[0].body)
	return err
}
