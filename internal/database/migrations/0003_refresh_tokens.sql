-- +goose Up

-- repeat_until is 0 in a token that was not used yet; answer is what its use was
-- answered, sealed, and goes when repeat_until is past.
CREATE TABLE refresh_tokens (
	id              TEXT PRIMARY KEY,
	hash            TEXT NOT NULL,
	family          TEXT NOT NULL,
	client_id       TEXT NOT NULL,
	user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	password_digest TEXT NOT NULL,
	scopes          TEXT NOT NULL,
	access_token_id TEXT NOT NULL,
	access_until    BIGINT NOT NULL,
	created_at      BIGINT NOT NULL,
	expires_at      BIGINT NOT NULL,
	repeat_until    BIGINT NOT NULL,
	answer          BYTEA
);
CREATE UNIQUE INDEX refresh_tokens_hash ON refresh_tokens (hash);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
CREATE INDEX refresh_tokens_by_answer ON refresh_tokens (repeat_until) WHERE answer IS NOT NULL;
