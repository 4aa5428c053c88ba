"""Claims made up by arithmetic, the same each time: 32 a day, found true or false a day and a half later."""

from datetime import UTC, datetime, timedelta

import polars as pl

FIRST = datetime(2020, 6, 1, tzinfo=UTC)
CLAIMS_A_DAY = 32
DAYS = 24
DEPOTS = ("north", "south", "harbour")


def _all() -> pl.DataFrame:
    rows = []
    for number in range(CLAIMS_A_DAY * DAYS):
        made = FIRST + timedelta(minutes=45 * number)
        value, noise = 10 + number * 7919 % 400, number * 104729 % 100
        receipt = number * 31 % 5 != 0
        is_false = (value > 250) + (not receipt) + (noise > 70) >= 2
        # One claim in forty comes without its value: it breaks the vector's contract.
        rows.append(
            (f"C{number:05d}", DEPOTS[number % 3], None if number % 40 == 7 else value, receipt, is_false, made)
        )
    columns = ["claim_id", "depot", "value_dollars", "receipt", "is_false", "made"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _on(rows: pl.DataFrame, calendar, days) -> pl.DataFrame:
    day = pl.col("known_time").dt.convert_time_zone(calendar.timezone).dt.date()
    return rows.with_columns(day=pl.max_horizontal(day, pl.lit(calendar.start))).filter(
        pl.col("day").is_between(days.first, days.last)
    )


def claims(calendar, days) -> pl.DataFrame:
    made = _all().select(
        "claim_id", "depot", "value_dollars", "receipt", event_time=pl.col("made"), known_time=pl.col("made")
    )
    return _on(made, calendar, days)


def findings(calendar, days) -> pl.DataFrame:
    found = pl.col("made") + timedelta(hours=36)
    return _on(_all().select("claim_id", "depot", "is_false", event_time=found, known_time=found), calendar, days)


def depots() -> pl.DataFrame:
    return pl.DataFrame({"depot": DEPOTS, "city": ["Tromso", "Oslo", "Bergen"]})


def fingerprint(calendar) -> dict[str, str]:
    return dict.fromkeys(calendar.days().keys, "the first and only delivery")
