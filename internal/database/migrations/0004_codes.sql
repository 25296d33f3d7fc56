-- +goose Up

-- A revocation of a user is of one organization; empty: of any.
ALTER TABLE revocations ADD COLUMN organization TEXT NOT NULL DEFAULT '';

-- What was revoked on request, and which gateways have proved it.
CREATE TABLE revocation_acts (
	id           TEXT PRIMARY KEY,
	organization TEXT NOT NULL,
	kind         TEXT NOT NULL,
	subject      TEXT NOT NULL,
	actor        TEXT NOT NULL,
	environments TEXT NOT NULL,
	everywhere   BIGINT NOT NULL,
	created_at   BIGINT NOT NULL
);
CREATE INDEX revocation_acts_by_time ON revocation_acts (created_at);

-- Codes of the authorization code grant. A used one is kept until it expires, so
-- that a second use is recognized.
CREATE TABLE authorization_codes (
	hash            TEXT PRIMARY KEY,
	client_id       TEXT NOT NULL,
	user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	password_digest TEXT NOT NULL,
	redirect_uri    TEXT NOT NULL,
	challenge       TEXT NOT NULL,
	scopes          TEXT NOT NULL,
	nonce           TEXT NOT NULL,
	created_at      BIGINT NOT NULL,
	expires_at      BIGINT NOT NULL,
	used_at         BIGINT NOT NULL,
	access_token_id TEXT NOT NULL,
	access_until    BIGINT NOT NULL,
	family          TEXT NOT NULL
);
CREATE INDEX authorization_codes_by_user ON authorization_codes (user_id);
CREATE INDEX authorization_codes_by_client ON authorization_codes (client_id);
CREATE INDEX authorization_codes_by_expiry ON authorization_codes (expires_at);

-- The newest application token of a consumer key, which a regenerated one ends.
CREATE TABLE application_tokens (
	consumer_key TEXT PRIMARY KEY REFERENCES consumer_keys (consumer_key) ON DELETE CASCADE,
	token_id     TEXT NOT NULL,
	expires_at   BIGINT NOT NULL
);

CREATE INDEX refresh_tokens_by_client ON refresh_tokens (client_id);
