-- +goose Up

-- dropped: the configuration named it once and does so no longer. Until now all
-- environments came from there.
ALTER TABLE environments ADD COLUMN dropped BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE environments ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE environments ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE environments ADD COLUMN properties TEXT NOT NULL DEFAULT '[]';
ALTER TABLE environments ADD COLUMN permissions TEXT NOT NULL DEFAULT '{}';
UPDATE environments SET dropped = TRUE WHERE configured = FALSE;
