-- What came in by the door: one row an arrival. `verdict` is null while it is being processed, `filed` until the file
-- was moved away. The same bytes again, under whatever name, are another arrival.
CREATE TABLE IF NOT EXISTS deliveries (
    workload    text        NOT NULL,
    digest      text        NOT NULL,
    arrival     integer     NOT NULL,
    file        text        NOT NULL,
    place       text        NOT NULL,
    size        bigint      NOT NULL,
    received_at timestamptz NOT NULL,
    verdict     text,
    says        text,
    fault       text,
    lines       bigint,
    landed      jsonb,
    known       bigint,
    refused     jsonb,
    days        date[],
    within      boolean,
    filed       text,
    PRIMARY KEY (workload, digest, arrival)
);
