-- The rows of `source` (event, known, position, payload) with an event in [$since, $until] that were known by
-- $until, in an order that depends only on what they hold. A bound of NULL is open.
SELECT position
FROM source
WHERE ($since IS NULL OR event >= $since) AND ($until IS NULL OR (event <= $until AND known <= $until))
ORDER BY event, payload, position
