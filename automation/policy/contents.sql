-- The texts of policies that were activated or shadowed, by the digest of what they say. Rows are only added; a text is
-- held against its version when it is read.
CREATE TABLE IF NOT EXISTS policy_contents (
    version text PRIMARY KEY CHECK (version ~ '^[0-9a-f]{64}$'),
    content text NOT NULL
);
