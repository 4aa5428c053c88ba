-- The row of `source` that each of `cases` could have seen, and nothing that was known later.
--
-- source  (key, event, known, position, payload)   one feature view's rows; times in microseconds
-- cases   (key, at, position)                      one row for each row wanted, in the order wanted
-- $ttl    microseconds after which a value is too old to use, NULL for never
--
-- A row is visible from greatest(event, known) on. Among the visible rows of a key the one with the
-- greatest (event, known) is right. A late correction of an old event therefore never beats a newer
-- event, so a row matters only if it is in the lead at the moment it becomes visible: these rows,
-- ordered by that moment, are the key's timeline, and one ASOF join finds the leader at any time.
WITH arrivals AS (
    SELECT key, event, known, position, greatest(event, known) AS visible_from
    FROM source SEMI JOIN cases USING (key)
    WHERE event IS NOT NULL AND known IS NOT NULL
),
leaders AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY key ORDER BY visible_from RANGE BETWEEN CURRENT ROW AND CURRENT ROW
        ) AS arrived_together
    FROM arrivals
    QUALIFY event = max(event) OVER (
        PARTITION BY key ORDER BY visible_from RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
-- Rows that became visible at one moment: the later known wins, then the greater payload, so that the
-- answer does not depend on the order in which files or threads deliver the rows.
settled AS (
    SELECT leaders.key, leaders.visible_from, leaders.event, leaders.position
    FROM leaders INNER JOIN source USING (position)
    WHERE arrived_together > 1
    QUALIFY row_number() OVER (
        PARTITION BY leaders.key, visible_from ORDER BY leaders.known DESC, source.payload DESC
    ) = 1
),
timeline AS (
    SELECT key, visible_from, event, position FROM leaders WHERE arrived_together = 1
    UNION ALL
    SELECT key, visible_from, event, position FROM settled
)
SELECT CASE WHEN $ttl IS NULL OR timeline.event >= cases.at - $ttl THEN timeline.position END AS position
FROM cases ASOF LEFT JOIN timeline ON cases.key = timeline.key AND cases.at >= timeline.visible_from
ORDER BY cases.position
