-- +goose Up

ALTER TABLE applications ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';

-- permission is JSON: null where every subscriber may use the tier.
ALTER TABLE tiers ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE tiers ADD COLUMN permission TEXT NOT NULL DEFAULT 'null';
ALTER TABLE tiers ADD COLUMN row_version BIGINT NOT NULL DEFAULT 1;

-- Users whose first login was.
CREATE TABLE welcomed_users (
	user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	at      BIGINT NOT NULL
);
CREATE INDEX applications_by_tier ON applications (organization, tier);
CREATE INDEX subscriptions_by_tier ON subscriptions (organization, tier);
