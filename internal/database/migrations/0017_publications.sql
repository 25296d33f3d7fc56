-- +goose Up

ALTER TABLE publications ADD COLUMN plan_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE publications ADD COLUMN reverts TEXT NOT NULL DEFAULT '';
-- undo is JSON.
ALTER TABLE publications ADD COLUMN undo TEXT NOT NULL DEFAULT '{}';
