-- Which model version decides from which day on: one row a promotion, never changed.
-- MLflow's alias `champion` is a projection of it.
CREATE TABLE IF NOT EXISTS promotions (
    workload    text        NOT NULL,
    sequence    integer     NOT NULL,
    as_of       date        NOT NULL,
    model       text        NOT NULL,
    version     integer     NOT NULL,
    digest      text        NOT NULL,
    evidence    jsonb       NOT NULL,
    promoted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workload, sequence)
);
