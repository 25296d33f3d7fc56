-- +goose Up

-- search_text is name and summary, folded.
CREATE TABLE documents (
	id          TEXT PRIMARY KEY,
	api_id      TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	name        TEXT COLLATE "binary" NOT NULL,
	type        TEXT NOT NULL,
	other_type  TEXT NOT NULL,
	summary     TEXT NOT NULL,
	source      TEXT NOT NULL,
	url         TEXT NOT NULL,
	file_name   TEXT NOT NULL,
	media_type  TEXT NOT NULL,
	visibility  TEXT NOT NULL,
	created_by  TEXT NOT NULL,
	updated_by  TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL,
	row_version BIGINT NOT NULL,
	search_text TEXT NOT NULL,
	content     BYTEA
);
CREATE UNIQUE INDEX documents_api_id_name ON documents (api_id, name);

CREATE TABLE thumbnails (
	api_id     TEXT PRIMARY KEY REFERENCES apis (id) ON DELETE CASCADE,
	media_type TEXT NOT NULL,
	body       BYTEA NOT NULL,
	updated_at BIGINT NOT NULL
);

-- name_key is the folded name.
CREATE TABLE categories (
	id           TEXT PRIMARY KEY,
	organization TEXT NOT NULL,
	name         TEXT NOT NULL,
	name_key     TEXT COLLATE "binary" NOT NULL,
	description  TEXT NOT NULL,
	row_version  BIGINT NOT NULL
);
CREATE UNIQUE INDEX categories_organization_name_key ON categories (organization, name_key);
