-- +goose Up

ALTER TABLE users ADD COLUMN row_version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE organizations ADD COLUMN row_version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE gateways ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE gateways ADD COLUMN row_version BIGINT NOT NULL DEFAULT 1;

-- One row for each audit entry, in the same order: its hash, and that of the
-- entry before it. The counter "seal" is the newest sealed sequence; whoever
-- seals holds its row.
CREATE TABLE audit_seals (
	sequence      BIGINT PRIMARY KEY,
	previous_hash TEXT NOT NULL,
	hash          TEXT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('seal', 0);

-- What a request with an Idempotency-Key was answered. status is 0 while the
-- first one is under way; the answer is sealed.
CREATE TABLE kept_answers (
	user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	key        TEXT NOT NULL,
	digest     TEXT NOT NULL,
	status     BIGINT NOT NULL,
	answer     BYTEA,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, key)
);
CREATE INDEX kept_answers_by_time ON kept_answers (created_at);
