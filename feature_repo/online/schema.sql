-- The newest row of each view's key, as materialized and as pushed since. Times in microseconds since the epoch.
CREATE TABLE IF NOT EXISTS online_records (
    slot text NOT NULL,
    key text NOT NULL,
    pushed boolean NOT NULL,
    event bigint NOT NULL,
    known bigint NOT NULL,
    "values" text NOT NULL,
    PRIMARY KEY (slot, key, pushed)
);
CREATE INDEX IF NOT EXISTS online_records_by_event ON online_records (slot, event);
CREATE TABLE IF NOT EXISTS online_marks (
    slot text PRIMARY KEY,
    until bigint NOT NULL,
    version bigint NOT NULL
);
