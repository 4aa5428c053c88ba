-- Waivers of failed gates: who let what lie under a failed gate go on, why and until when. Rows are only ever added;
-- a waiver ends when its time is over, or earlier by a row that revokes it.
CREATE TABLE IF NOT EXISTS warrant.gate_waivers (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset           text        NOT NULL,
    gate            text        NOT NULL,
    -- Both null for a table without partitions.
    first_partition text,
    last_partition  text,
    waived_by       text        NOT NULL CHECK (waived_by <> ''),
    reason          text        NOT NULL CHECK (reason <> ''),
    waived_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL CHECK (expires_at > waived_at),
    CHECK ((first_partition IS NULL) = (last_partition IS NULL) AND first_partition <= last_partition)
);
CREATE INDEX IF NOT EXISTS gate_waivers_asset ON warrant.gate_waivers (asset);

CREATE TABLE IF NOT EXISTS warrant.gate_waiver_revocations (
    waiver     bigint      PRIMARY KEY REFERENCES warrant.gate_waivers (id),
    revoked_by text        NOT NULL CHECK (revoked_by <> ''),
    revoked_at timestamptz NOT NULL
);

CREATE OR REPLACE FUNCTION warrant.refuse_to_change_a_waiver() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A waiver is evidence: % of % is refused.', TG_OP, TG_TABLE_NAME;
END $$;
CREATE OR REPLACE TRIGGER kept BEFORE UPDATE OR DELETE OR TRUNCATE ON warrant.gate_waivers
    EXECUTE FUNCTION warrant.refuse_to_change_a_waiver();
CREATE OR REPLACE TRIGGER kept BEFORE UPDATE OR DELETE OR TRUNCATE ON warrant.gate_waiver_revocations
    EXECUTE FUNCTION warrant.refuse_to_change_a_waiver();
