INSERT INTO online_records (slot, key, pushed, event, known, "values")
SELECT %(slot)s, key, %(pushed)s, event, known, "values"
FROM unnest(%(key)s::text[], %(event)s::bigint[], %(known)s::bigint[], %(values)s::text[])
    AS given (key, event, known, "values")
ORDER BY key
ON CONFLICT (slot, key, pushed) DO UPDATE
SET event = excluded.event, known = excluded.known, "values" = excluded."values"
WHERE (excluded.event, excluded.known) >= (online_records.event, online_records.known)
    AND (excluded.event, excluded.known, excluded."values")
        IS DISTINCT FROM (online_records.event, online_records.known, online_records."values")
