-- +goose Up

-- One schema for SQLite and PostgreSQL.
--   Times are BIGINT: microseconds since 1970 in UTC, 0 where there is none.
--   Lists and documents are JSON in TEXT; ids are TEXT.
--   The collation "binary" compares bytes: SQLite's own, in PostgreSQL made
--   before the first migration from "C".
--   A unique index is named for its table and its columns: that is how its
--   violation is recognised.

CREATE TABLE counters (
	name  TEXT PRIMARY KEY,
	value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('audit', 0), ('event', 0);

CREATE TABLE organizations (
	id           TEXT PRIMARY KEY,
	name         TEXT COLLATE "binary" NOT NULL,
	display_name TEXT NOT NULL
);
CREATE UNIQUE INDEX organizations_name ON organizations (name);

CREATE TABLE users (
	id            TEXT PRIMARY KEY,
	organization  TEXT NOT NULL,
	name          TEXT COLLATE "binary" NOT NULL,
	email         TEXT NOT NULL,
	roles         TEXT NOT NULL,
	password_hash TEXT NOT NULL,
	must_change   BOOLEAN NOT NULL,
	created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_organization_name ON users (organization, name);

-- The document is the whole API but its definition, its opaque fields and its
-- row version. search_* are folded for searching and sorting; search_tags has a
-- line break before and after every tag.
CREATE TABLE apis (
	id                 TEXT PRIMARY KEY,
	organization       TEXT NOT NULL,
	name               TEXT NOT NULL,
	version            TEXT NOT NULL,
	state              TEXT NOT NULL,
	visibility         TEXT NOT NULL,
	route_key          TEXT NOT NULL,
	search_name        TEXT COLLATE "binary" NOT NULL,
	search_version     TEXT COLLATE "binary" NOT NULL,
	search_context     TEXT COLLATE "binary" NOT NULL,
	search_provider    TEXT COLLATE "binary" NOT NULL,
	search_description TEXT NOT NULL,
	search_tags        TEXT NOT NULL,
	document           TEXT NOT NULL,
	definition         BYTEA,
	opaque             BYTEA,
	last_revision      BIGINT NOT NULL,
	row_version        BIGINT NOT NULL,
	created_at         BIGINT NOT NULL,
	updated_at         BIGINT NOT NULL
);
CREATE UNIQUE INDEX apis_organization_name_version ON apis (organization, name, version);
CREATE UNIQUE INDEX apis_route_key ON apis (route_key);
CREATE INDEX apis_by_search_name ON apis (organization, search_name);

CREATE TABLE revisions (
	id          TEXT PRIMARY KEY,
	api_id      TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	number      BIGINT NOT NULL,
	description TEXT NOT NULL,
	digest      TEXT NOT NULL,
	document    TEXT NOT NULL,
	definition  BYTEA,
	opaque      BYTEA,
	row_version BIGINT NOT NULL,
	created_at  BIGINT NOT NULL,
	created_by  TEXT NOT NULL
);
CREATE UNIQUE INDEX revisions_api_id_number ON revisions (api_id, number);

CREATE TABLE environments (
	id          TEXT PRIMARY KEY,
	name        TEXT NOT NULL,
	name_key    TEXT NOT NULL,
	type        TEXT NOT NULL,
	description TEXT NOT NULL,
	vhosts      TEXT NOT NULL,
	console     BOOLEAN NOT NULL,
	position    BIGINT NOT NULL,
	configured  BOOLEAN NOT NULL,
	epoch       BIGINT NOT NULL,
	generation  BIGINT NOT NULL,
	row_version BIGINT NOT NULL,
	created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX environments_name_key ON environments (name_key);

CREATE TABLE gateways (
	id             TEXT PRIMARY KEY,
	environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
	name           TEXT COLLATE "binary" NOT NULL,
	public_key     TEXT NOT NULL,
	address        TEXT NOT NULL,
	server_url     TEXT NOT NULL,
	version        TEXT NOT NULL,
	enrolled_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX gateways_public_key ON gateways (public_key);
CREATE INDEX gateways_by_environment ON gateways (environment_id);

CREATE TABLE enrolment_tokens (
	id             TEXT PRIMARY KEY,
	environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
	name           TEXT NOT NULL,
	hash           TEXT NOT NULL,
	server_url     TEXT NOT NULL,
	created_by     TEXT NOT NULL,
	created_at     BIGINT NOT NULL,
	expires_at     BIGINT NOT NULL,
	used_at        BIGINT NOT NULL
);
CREATE UNIQUE INDEX enrolment_tokens_hash ON enrolment_tokens (hash);
CREATE INDEX enrolment_tokens_by_environment ON enrolment_tokens (environment_id);

-- A revision or an environment that is in use cannot be deleted.
CREATE TABLE deployments (
	api_id          TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	environment_id  TEXT NOT NULL REFERENCES environments (id),
	revision_id     TEXT NOT NULL REFERENCES revisions (id),
	revision_number BIGINT NOT NULL,
	vhost           TEXT NOT NULL,
	store           BOOLEAN NOT NULL,
	digest          TEXT NOT NULL,
	skipped         TEXT NOT NULL,
	deployed_at     BIGINT NOT NULL,
	live_at         BIGINT NOT NULL,
	PRIMARY KEY (api_id, environment_id)
);
CREATE INDEX deployments_by_environment ON deployments (environment_id);
CREATE INDEX deployments_by_revision ON deployments (revision_id);
CREATE INDEX deployments_by_digest ON deployments (digest);

CREATE TABLE artifacts (
	digest TEXT PRIMARY KEY,
	body   BYTEA NOT NULL
);

-- Publications outlive their API.
CREATE TABLE publications (
	id              TEXT PRIMARY KEY,
	organization    TEXT NOT NULL,
	api_id          TEXT NOT NULL,
	action          TEXT NOT NULL,
	mode            TEXT NOT NULL,
	state           TEXT NOT NULL,
	reason          TEXT NOT NULL,
	revision_id     TEXT NOT NULL,
	revision_number BIGINT NOT NULL,
	actor           TEXT NOT NULL,
	targets         TEXT NOT NULL,
	created_at      BIGINT NOT NULL,
	committed_at    BIGINT NOT NULL,
	finished_at     BIGINT NOT NULL
);
CREATE INDEX publications_by_api ON publications (organization, api_id, created_at);
CREATE INDEX publications_by_time ON publications (organization, created_at);
CREATE INDEX publications_by_state ON publications (state, created_at);

CREATE TABLE applications (
	id           TEXT PRIMARY KEY,
	organization TEXT NOT NULL,
	owner        TEXT NOT NULL,
	name         TEXT NOT NULL,
	search_name  TEXT COLLATE "binary" NOT NULL,
	description  TEXT NOT NULL,
	tier         TEXT NOT NULL,
	token_type   TEXT NOT NULL,
	row_version  BIGINT NOT NULL,
	created_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX applications_organization_owner_name ON applications (organization, owner, name);
CREATE INDEX applications_by_search_name ON applications (organization, search_name);

CREATE TABLE consumer_keys (
	id             TEXT PRIMARY KEY,
	organization   TEXT NOT NULL,
	application_id TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	consumer_key   TEXT NOT NULL,
	type           TEXT NOT NULL,
	grants         TEXT NOT NULL,
	callback_url   TEXT NOT NULL,
	token_ttl      BIGINT NOT NULL, -- nanoseconds
	scopes         TEXT NOT NULL,
	secret_hashes  TEXT NOT NULL,
	sealed_secret  BYTEA,
	row_version    BIGINT NOT NULL,
	created_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX consumer_keys_consumer_key ON consumer_keys (consumer_key);
CREATE UNIQUE INDEX consumer_keys_application_id_type ON consumer_keys (application_id, type);

CREATE TABLE subscriptions (
	id             TEXT PRIMARY KEY,
	organization   TEXT NOT NULL,
	application_id TEXT NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
	api_id         TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	tier           TEXT NOT NULL,
	state          TEXT NOT NULL,
	row_version    BIGINT NOT NULL,
	created_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX subscriptions_application_id_api_id ON subscriptions (application_id, api_id);
CREATE INDEX subscriptions_by_api ON subscriptions (api_id);
CREATE INDEX subscriptions_by_organization ON subscriptions (organization, created_at);

CREATE TABLE tiers (
	id            TEXT PRIMARY KEY,
	organization  TEXT NOT NULL,
	level         TEXT NOT NULL,
	name          TEXT COLLATE "binary" NOT NULL,
	display_name  TEXT NOT NULL,
	description   TEXT NOT NULL,
	requests      BIGINT NOT NULL,
	time_window   BIGINT NOT NULL, -- nanoseconds
	billing_plan  TEXT NOT NULL,
	stop_on_quota BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX tiers_organization_level_name ON tiers (organization, level, name);

CREATE TABLE access_tokens (
	id         TEXT PRIMARY KEY,
	hash       TEXT NOT NULL,
	name       TEXT NOT NULL,
	user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	client_id  TEXT NOT NULL,
	scopes     TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX access_tokens_hash ON access_tokens (hash);
CREATE INDEX access_tokens_by_user ON access_tokens (user_id);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at);

CREATE TABLE management_clients (
	id            TEXT PRIMARY KEY,
	organization  TEXT NOT NULL,
	user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name          TEXT NOT NULL,
	callback_url  TEXT NOT NULL,
	grants        TEXT NOT NULL,
	secret_hashes TEXT NOT NULL,
	created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX management_clients_user_id_name ON management_clients (user_id, name);

CREATE TABLE revocations (
	id         TEXT PRIMARY KEY,
	kind       TEXT NOT NULL,
	subject    TEXT NOT NULL,
	before     BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX revocations_by_expiry ON revocations (expires_at);

CREATE TABLE sealed (
	name TEXT PRIMARY KEY,
	body BYTEA NOT NULL
);

CREATE TABLE audit_entries (
	sequence     BIGINT PRIMARY KEY,
	time         BIGINT NOT NULL,
	organization TEXT NOT NULL,
	actor        TEXT NOT NULL,
	client       TEXT NOT NULL,
	address      TEXT NOT NULL,
	action       TEXT NOT NULL,
	object_type  TEXT NOT NULL,
	object_id    TEXT NOT NULL,
	object_name  TEXT NOT NULL,
	before       TEXT NOT NULL,
	after        TEXT NOT NULL,
	result       TEXT NOT NULL,
	trace_id     TEXT NOT NULL
);
CREATE INDEX audit_entries_by_organization ON audit_entries (organization, sequence);

CREATE TABLE events (
	sequence       BIGINT PRIMARY KEY,
	environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
	generation     BIGINT NOT NULL,
	kind           TEXT NOT NULL,
	subject        TEXT NOT NULL,
	body           BYTEA,
	created_at     BIGINT NOT NULL
);
CREATE INDEX events_by_environment ON events (environment_id);
