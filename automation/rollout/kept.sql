-- What scoring and a rollback need, by the SHA-256 of its bytes: models and their golden sets. Rows are only added.
CREATE TABLE IF NOT EXISTS kept_contents (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    content bytea NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
