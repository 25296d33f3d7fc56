package database

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluice-api/sluice"
)

// fault is what a database's own error means to us.
type fault uint8

const (
	otherFault  fault = iota
	taken             // a unique index has this already; it is named
	referenced        // a row that another refers to, or a reference to nothing
	unstorable        // text that the database cannot hold
	diskFull          // goes by itself once there is room
	unreachable       // goes by itself once the server is back
	writeLost         // the disk did not take a write: what it holds is not known
	damaged           // the file is not as it was written
)

var errReferenced = errors.New("other rows refer to it, or it refers to one that is not there")

// inUse returns err, and a Conflict in its stead where it says that other rows
// refer to the one that was to be deleted.
func inUse(err error, code, message string) error {
	if errors.Is(err, errReferenced) {
		return sluice.Errorf(sluice.Conflict, code, "%s", message)
	}
	return err
}

// translate turns an error of the database into one that callers and users can
// act on. What it was about is kept for the log.
func (db *DB) translate(doing string, err error) error {
	var meaning error
	switch kind, index := db.dialect.classify(err); kind {
	case taken:
		if e := conflict(index); e != nil {
			return e
		}
	case unstorable:
		return sluice.Errorf(sluice.Invalid, "text.character", "The text contains a character that cannot be stored.")
	case referenced:
		meaning = errReferenced
	case diskFull:
		meaning = sluice.Errorf(sluice.Unavailable, "database.full", "The disk that holds the database is full; nothing was changed.")
	case unreachable:
		meaning = sluice.Errorf(sluice.Unavailable, "database.unreachable", "The database cannot be reached at the moment.")
	case writeLost:
		meaning = db.stop("database.write_failed", "The disk did not take a write to the database. Check the disk, then restart Sluice.")
	case damaged:
		meaning = db.stop("database.damaged", "The database is damaged. Stop Sluice and restore the database from a backup.")
	}
	if meaning == nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, meaning, err)
}

// translate is that of the database, and where the transaction was rolled back
// because its context ended, that context's error.
func (tx *Tx) translate(doing string, err error) error {
	if ended := tx.ctx.Err(); ended != nil && errors.Is(err, sql.ErrTxDone) {
		err = ended
	}
	return tx.db.translate(doing, err)
}

// stop refuses every further Update. A write that failed is not tried again and
// then called done: the kernel may have dropped it.
func (db *DB) stop(code, message string) *sluice.Error {
	e := sluice.Errorf(sluice.Unavailable, code, "%s", message)
	if db.failure.CompareAndSwap(nil, e) {
		db.log.Error("database takes no more changes", "database", db.name, "reason", code)
	}
	return e
}

// conflict returns the error for a second row with the same key in a unique
// index, nil where that is nobody's mistake but ours.
func conflict(index string) *sluice.Error {
	e := func(code, field, message string) *sluice.Error {
		return sluice.Errorf(sluice.Conflict, code, "%s", message).At(field)
	}
	switch index {
	case "organizations_id", "organizations_pkey", "organizations_name":
		return e("organization.taken", "name", "An organization has this name already.")
	case "users_organization_name":
		return e("user.taken", "name", "A user has this name already.")
	case "apis_organization_name_version":
		return e("api.exists", "name", "An API with this name and version exists already.")
	case "apis_route_key":
		return e("api.context_taken", "context", "Another API already answers at this context and version.")
	case "documents_api_id_name":
		return e("document.exists", "name", "The API has a document of this name already.")
	case "categories_organization_name_key":
		return e("category.exists", "name", "A category with this name exists already.")
	case "environments_name_key":
		return e("environment.taken", "name", "An environment has this name already.")
	case "gateways_public_key":
		return e("gateway.exists", "publicKey", "A gateway with this key is enrolled already.")
	case "applications_organization_owner_name":
		return e("application.exists", "name", "An application with this name exists already.")
	case "consumer_keys_application_id_type", "consumer_keys_consumer_key":
		return e("key.exists", "keyType", "The application has keys of this type already.")
	case "subscriptions_application_id_api_id":
		return e("subscription.exists", "apiId", "The application is subscribed to this API already.")
	case "tiers_organization_level_name":
		return e("tier.exists", "name", "A tier with this name exists already.")
	case "kept_answers_user_id_key", "kept_answers_pkey":
		return e("idempotency.key", "Idempotency-Key", "A request with this key was sent already.")
	case "management_clients_user_id_name":
		return e("client.exists", "name", "A client with this name is registered already.")
	}
	return nil
}
