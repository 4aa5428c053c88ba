-- Events that were pushed before their day came: what is derived for a key rests on them until the tables hold it.
CREATE TABLE IF NOT EXISTS pushed_events (
    workload text NOT NULL,
    feed text NOT NULL,
    digest text NOT NULL,
    known timestamptz NOT NULL,
    event jsonb NOT NULL,
    PRIMARY KEY (workload, feed, digest)
)
