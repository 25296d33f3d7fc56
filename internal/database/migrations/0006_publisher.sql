-- +goose Up

-- Who sees an API, how it is filed, and how its lifecycle went.
--   search_categories has a line break before and after every category.
--   restricted says that api_roles has rows of the purpose "change".
ALTER TABLE apis ADD COLUMN search_categories TEXT NOT NULL DEFAULT '';
ALTER TABLE apis ADD COLUMN restricted BOOLEAN NOT NULL DEFAULT FALSE;

-- A page of the list, and how many there are, are found in this index alone.
DROP INDEX apis_by_search_name;
CREATE INDEX apis_by_list ON apis (organization, search_name, id, state, visibility, restricted);
CREATE INDEX apis_by_created ON apis (organization, created_at, search_name, id);

-- purpose is "see" (in the API Store) or "change" (in the API Publisher).
CREATE TABLE api_roles (
	api_id  TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	purpose TEXT NOT NULL,
	role    TEXT NOT NULL,
	PRIMARY KEY (api_id, purpose, role)
);

-- Moves are numbered for each API; from_state is empty where it was made.
CREATE TABLE lifecycle_changes (
	api_id     TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
	number     BIGINT NOT NULL,
	from_state TEXT NOT NULL,
	to_state   TEXT NOT NULL,
	actor      TEXT NOT NULL,
	at         BIGINT NOT NULL,
	PRIMARY KEY (api_id, number)
);
-- APIs from before this table have no history but that they were made.
INSERT INTO lifecycle_changes (api_id, number, from_state, to_state, actor, at)
	SELECT id, 1, '', 'CREATED', '', created_at FROM apis;
