-- +goose Up

-- parent_id is NULL where a comment answers no other.
CREATE TABLE comments (
	id          TEXT PRIMARY KEY,
	api_id      TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	parent_id   TEXT REFERENCES comments (id) ON DELETE CASCADE,
	content     TEXT NOT NULL,
	category    TEXT NOT NULL,
	entry       TEXT NOT NULL,
	author      TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	row_version BIGINT NOT NULL
);
CREATE INDEX comments_by_api ON comments (api_id, parent_id, created_at);
CREATE INDEX comments_by_parent ON comments (parent_id, created_at);

CREATE TABLE ratings (
	id          TEXT PRIMARY KEY,
	api_id      TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	user_name   TEXT COLLATE "binary" NOT NULL,
	stars       BIGINT NOT NULL,
	at          BIGINT NOT NULL,
	row_version BIGINT NOT NULL
);
CREATE UNIQUE INDEX ratings_api_id_user_name ON ratings (api_id, user_name);
