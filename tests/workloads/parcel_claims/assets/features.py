"""Cases, labels and what is known of a claim."""

import ibis


def cases(tables, window):
    claims = tables["claims"]
    decided = claims.known_time + ibis.interval(hours=1)
    return claims.select("claim_id", "depot", event_time=decided, known_time=decided)


def labels(tables, window):
    findings = tables["findings"]
    outcome = findings.is_false.ifelse("false", "true")
    return findings.select("claim_id", "event_time", "known_time", outcome=outcome, label=findings.is_false)


def claim_facts(tables, window):
    return tables["claims"].select("claim_id", "value_dollars", "receipt", "event_time", "known_time")


def depot_record(tables, window):
    findings = tables["findings"]
    seconds = findings.known_time.epoch_seconds()
    week = ibis.range_window(preceding=7 * 86400, following=0, group_by=findings.depot, order_by=seconds)
    return findings.select(
        "depot",
        "event_time",
        # Two findings of one second are in each other's week: both are known when the later one is.
        known_time=findings.known_time.max().over(week),
        false_share_7d=findings.is_false.cast("int64").sum().over(week).cast("float64")
        / findings.count().over(week).cast("float64"),
    )
