-- The ledger's tables. Two roles: one owns them and is nobody's to log in as; the other is what the application works as,
-- which may read everything, call append and sequence, and add tiles, checkpoints and cosignatures. It can change nothing.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warrant_ledger') THEN
        CREATE ROLE warrant_ledger NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warrant_ledger_writer') THEN
        CREATE ROLE warrant_ledger_writer NOLOGIN;
    END IF;
END
$$;
GRANT warrant_ledger, warrant_ledger_writer TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS ledger AUTHORIZATION warrant_ledger;
SET LOCAL ROLE warrant_ledger;
SET LOCAL search_path = ledger, pg_temp;

-- One row an event. `leaf` is the event in canonical JSON (RFC 8785): stream, version, time and type stand in it, too.
CREATE TABLE events (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream  text        NOT NULL,
    version integer     NOT NULL CHECK (version > 0),
    time    timestamptz NOT NULL,
    type    text        NOT NULL,
    leaf    text        NOT NULL CHECK (octet_length(leaf) <= 65535),
    UNIQUE (stream, version)
);

-- Events that have no leaf yet. No evidence: a row goes when its event gets its leaf, in one transaction.
CREATE TABLE pending (
    id bigint PRIMARY KEY REFERENCES events
);

-- The leaves of the tree, in order and without a gap.
CREATE TABLE leaves (
    position bigint PRIMARY KEY CHECK (position >= 0),
    event    bigint NOT NULL UNIQUE REFERENCES events,
    hash     bytea  NOT NULL CHECK (octet_length(hash) = 32)
);

-- Full tiles of 256 hashes (C2SP tlog-tiles): of leaves on level 0, of roots of tiles below on the others.
CREATE TABLE tiles (
    level  smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    index  bigint   NOT NULL CHECK (index >= 0),
    hashes bytea    NOT NULL CHECK (octet_length(hashes) = 8192),
    root   bytea    NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (level, index)
);

-- Signed heads of the tree (C2SP tlog-checkpoint).
CREATE TABLE checkpoints (
    size   bigint      PRIMARY KEY CHECK (size >= 0),
    note   text        NOT NULL,
    signed timestamptz NOT NULL
);

-- What witnesses signed (C2SP tlog-cosignature): one line a checkpoint and witness.
CREATE TABLE cosignatures (
    size    bigint NOT NULL REFERENCES checkpoints,
    witness text   NOT NULL,
    line    text   NOT NULL,
    PRIMARY KEY (size, witness)
);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The ledger is only added to: % of % is refused.', TG_OP, TG_TABLE_NAME;
END
$$;

DO $$
DECLARE
    held text;
BEGIN
    FOREACH held IN ARRAY ARRAY['events', 'leaves', 'tiles', 'checkpoints', 'cosignatures'] LOOP
        EXECUTE format(
            'CREATE TRIGGER added_to_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse()', held);
    END LOOP;
END
$$;

-- Appends events to a stream whose newest version is `expected`, or none of them (SQLSTATE WL001, with what it is).
CREATE FUNCTION append(stream text, expected integer, times timestamptz[], types text[], leaves text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    newest integer;
BEGIN
    SELECT coalesce(max(version), 0) INTO newest FROM events WHERE events.stream = append.stream;
    IF newest <> expected THEN
        RAISE EXCEPTION USING ERRCODE = 'WL001', MESSAGE = newest::text;
    END IF;
    WITH added AS (
        INSERT INTO events (stream, version, time, type, leaf)
        SELECT append.stream, expected + given.nth, given.time, given.type, given.leaf
        FROM unnest(times, types, leaves) WITH ORDINALITY AS given (time, type, leaf, nth)
        ORDER BY given.nth
        RETURNING id
    )
    INSERT INTO pending SELECT id FROM added;
END
$$;

-- Gives waiting events, at most so many, the next leaves of a tree of `size` leaves; returns their hashes.
CREATE FUNCTION sequence(size bigint, most integer)
RETURNS SETOF bytea LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
BEGIN
    IF (SELECT coalesce(max(position) + 1, 0) FROM leaves) <> size THEN
        RAISE EXCEPTION 'The tree does not have % leaves.', size;
    END IF;
    RETURN QUERY
    WITH taken AS (
        DELETE FROM pending WHERE id IN (SELECT id FROM pending ORDER BY id LIMIT most) RETURNING id
    ),
    placed AS (
        INSERT INTO leaves (position, event, hash)
        SELECT
            size + row_number() OVER (ORDER BY id) - 1,
            id,
            sha256('\x00'::bytea || convert_to(leaf, 'UTF8'))
        FROM taken JOIN events USING (id)
        RETURNING position, hash
    )
    SELECT hash FROM placed ORDER BY position;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO warrant_ledger_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO warrant_ledger_writer;
GRANT INSERT ON tiles, checkpoints, cosignatures TO warrant_ledger_writer;
GRANT EXECUTE ON FUNCTION append, sequence TO warrant_ledger_writer;
RESET ROLE;
