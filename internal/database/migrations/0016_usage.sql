-- +goose Up

-- What is counted together over time; the id is a digest of all the others but
-- seen_at, which is the last day on which something was counted.
CREATE TABLE usage_series (
	id             TEXT PRIMARY KEY,
	organization   TEXT COLLATE "binary" NOT NULL,
	environment_id TEXT NOT NULL,
	gateway_id     TEXT NOT NULL,
	api_id         TEXT NOT NULL,
	api_name       TEXT NOT NULL,
	api_version    TEXT NOT NULL,
	revision       BIGINT NOT NULL,
	operation      TEXT NOT NULL,
	application_id TEXT NOT NULL,
	key_type       TEXT NOT NULL,
	status         BIGINT NOT NULL,
	refusal        TEXT NOT NULL,
	seen_at        BIGINT NOT NULL
);
CREATE INDEX usage_series_by_api ON usage_series (organization, api_id);
CREATE INDEX usage_series_by_application ON usage_series (application_id);

-- A minute, an hour or a day of a series: span is its length in seconds, at its
-- beginning. Each call is in one point of each span. The histograms are those of
-- sluice.Histogram.
CREATE TABLE usage_points (
	series    TEXT NOT NULL REFERENCES usage_series (id) ON DELETE CASCADE,
	span      BIGINT NOT NULL,
	at        BIGINT NOT NULL,
	requests  BIGINT NOT NULL,
	bytes_in  BIGINT NOT NULL,
	bytes_out BIGINT NOT NULL,
	latency   BYTEA NOT NULL,
	backend   BYTEA NOT NULL,
	PRIMARY KEY (series, span, at)
);
CREATE INDEX usage_points_by_time ON usage_points (span, at);

-- The last record that was stored of a run of a gateway's process, and how many
-- calls that run has lost.
CREATE TABLE usage_runs (
	gateway_id TEXT NOT NULL REFERENCES gateways (id) ON DELETE CASCADE,
	run        TEXT NOT NULL,
	sequence   BIGINT NOT NULL,
	lost       BIGINT NOT NULL,
	heard_at   BIGINT NOT NULL,
	PRIMARY KEY (gateway_id, run)
);

-- Up to when everything that a gateway has counted is stored.
CREATE TABLE usage_gateways (
	gateway_id TEXT PRIMARY KEY REFERENCES gateways (id) ON DELETE CASCADE,
	until      BIGINT NOT NULL
);
