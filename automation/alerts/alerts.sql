-- What has failed: one row for each asset, gate and partition ('' where there is none) that ever did.
CREATE TABLE IF NOT EXISTS alerts (
    id              bigserial   PRIMARY KEY,
    asset           text        NOT NULL,
    gate            text        NOT NULL,
    partition       text        NOT NULL,
    failing         boolean     NOT NULL,
    fingerprint     text        NOT NULL,
    count           integer     NOT NULL,
    since           timestamptz NOT NULL,
    sent_at         timestamptz NOT NULL,
    event           bigint      NOT NULL,
    acknowledged_by text,
    alert           jsonb       NOT NULL,
    UNIQUE (asset, gate, partition)
);
CREATE INDEX IF NOT EXISTS alerts_failing ON alerts (id) WHERE failing;

-- What is to be said about it: one row a message, never changed.
CREATE TABLE IF NOT EXISTS alert_messages (
    id    bigserial PRIMARY KEY,
    alert jsonb     NOT NULL
);

-- To whom: one row for each message and sink. A delivery without `done_at` waits until `due_at`.
CREATE TABLE IF NOT EXISTS alert_deliveries (
    message  bigint      NOT NULL REFERENCES alert_messages (id),
    sink     text        NOT NULL,
    attempts integer     NOT NULL DEFAULT 0,
    due_at   timestamptz NOT NULL,
    done_at  timestamptz,
    error    text,
    PRIMARY KEY (message, sink)
);
CREATE INDEX IF NOT EXISTS alert_deliveries_waiting ON alert_deliveries (sink, due_at) WHERE done_at IS NULL;

-- How far the event log has been read: one row. See automation/alerts/watch.py.
CREATE TABLE IF NOT EXISTS alert_position (
    only_one boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
    settled  bigint      NOT NULL,
    seen     bigint      NOT NULL,
    seen_at  timestamptz NOT NULL
);
