-- +goose Up

-- Either application_id or api_id is empty.
CREATE TABLE api_keys (
	id             TEXT PRIMARY KEY,
	organization   TEXT NOT NULL,
	application_id TEXT NOT NULL,
	api_id         TEXT NOT NULL,
	type           TEXT NOT NULL,
	name           TEXT NOT NULL,
	hash           TEXT NOT NULL,
	prefix         TEXT NOT NULL,
	addresses      TEXT NOT NULL,
	referers       TEXT NOT NULL,
	created_at     BIGINT NOT NULL,
	expires_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
CREATE INDEX api_keys_by_application ON api_keys (application_id);
CREATE INDEX api_keys_by_api ON api_keys (api_id);
CREATE INDEX api_keys_by_expiry ON api_keys (expires_at);

ALTER TABLE tiers ADD COLUMN burst BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tiers ADD COLUMN burst_window BIGINT NOT NULL DEFAULT 0; -- nanoseconds
