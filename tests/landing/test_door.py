"""Files as people really have them: each gets a clear verdict, and what is right in them comes in exactly once."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from automation.landing import deliveries
from automation.landing.door import Step, StillWrittenError, _whole
from automation.landing.verdict import Account, Fault, LostLinesError, Verdict
from automation.workload import Workload
from tests.landing.conftest import CLAIMS, NOW, Opened, claim, csv, event, ndjson

CLEAN = csv(*map(claim, range(5)))


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


TYPED = pl.DataFrame([claim(number) for number in range(5)]).with_columns(
    pl.col("event_time", "known_time").str.to_datetime(time_zone="UTC", time_unit="us")
)
PARQUET = parquet(TYPED)


def test_a_csv_file_comes_in_row_by_row_and_is_filed_with_its_verdict(door: Opened) -> None:
    delivery = door.drop("claims/monday.csv", CLEAN)
    assert delivery.judged is not None
    assert delivery.judged.verdict is Verdict.ACCEPTED
    assert delivery.judged.account == Account(lines=5, landed={"claims": 5})
    assert delivery.judged.days == (date(2020, 6, 10),)
    assert door.ids() == ["L000", "L001", "L002", "L003", "L004"]
    [file, verdict] = door.files()
    assert file == f".done/parcel_claims/claims/{delivery.digest[:12]}-1.monday.csv"
    said = json.loads((door.door.landing.root / verdict).read_text())
    assert said["filed"] == file
    assert (said["verdict"], said["landed"], said["days"]) == ("accepted", {"claims": 5}, ["2020-06-10"])
    assert deliveries.judged_deliveries(door.door.settings, "parcel_claims") == [delivery]


def test_the_same_rows_as_parquet_and_as_events_come_in_too(door: Opened) -> None:
    assert door.drop("claims/a.parquet", PARQUET).judged.account.landed == {"claims": 5}
    events = ndjson(*(event(number) for number in range(5, 8)))
    assert door.drop("events.ndjson", events).judged.account.landed == {"claims": 3}
    assert sorted(door.ids()) == [f"L00{number}" for number in range(8)]


@pytest.mark.parametrize(
    ("file", "content", "fault", "says"),
    [
        pytest.param("claims/a.csv", b"", Fault.EMPTY, "It has no bytes", id="no bytes"),
        pytest.param("claims/a.csv", CLEAN.splitlines()[0] + "\n", Fault.EMPTY, "It has no rows", id="only a header"),
        pytest.param("e.ndjson", "\n\n", Fault.EMPTY, "It has no rows", id="only empty lines"),
        pytest.param("claims/a.parquet", parquet(TYPED.clear()), Fault.EMPTY, "It has no rows", id="parquet, no rows"),
        pytest.param("claims/a.csv", CLEAN[:-4], Fault.TRUNCATED, "Line 6, the last, does not end", id="csv cut off"),
        pytest.param(
            "claims/a.csv", CLEAN + 'L9,"north\n', Fault.TRUNCATED, "in line 7 never closes", id="csv cut off in quotes"
        ),
        pytest.param(
            "e.ndjson",
            ndjson(event(1), event(2))[:-9],
            Fault.TRUNCATED,
            "Line 2, the last, is cut off",
            id="json cut off",
        ),
        pytest.param("claims/a.parquet", PARQUET[:-20], Fault.TRUNCATED, "no Parquet footer", id="parquet cut off"),
        pytest.param("claims/a.parquet", CLEAN, Fault.UNREADABLE, "not begin as a Parquet", id="csv called parquet"),
        pytest.param(
            "claims/a.parquet",
            PARQUET[:4] + bytes(len(PARQUET) - 500) + PARQUET[-496:],
            Fault.UNREADABLE,
            "cannot be read as Parquet",
            id="parquet with its pages zeroed",
        ),
        pytest.param(
            "claims/a.csv",
            CLEAN.replace("north", "Tromsø", 1).encode("latin-1"),
            Fault.ENCODING,
            "The byte 0xf8 at offset",
            id="latin-1",
        ),
        pytest.param("claims/a.csv", CLEAN.encode("utf-16"), Fault.ENCODING, "the mark of UTF-16", id="utf-16"),
        pytest.param("claims/a.csv", CLEAN.encode("utf-16-le"), Fault.ENCODING, "is zero", id="utf-16, no mark"),
        pytest.param(
            "claims/a.csv",
            csv(claim(1, colour="red")),
            Fault.COLUMNS,
            "it has, undeclared, 'colour'",
            id="a column too many",
        ),
        pytest.param(
            "claims/a.csv",
            csv({name: value for name, value in claim(1).items() if name != "depot"}),
            Fault.COLUMNS,
            "it lacks 'depot'",
            id="a column too few",
        ),
        pytest.param("claims/a.csv", CLEAN.replace(",", ";"), Fault.COLUMNS, "separated by ';'", id="semicolons"),
        pytest.param(
            "claims/a.csv",
            CLEAN.replace("receipt", "depot"),
            Fault.COLUMNS,
            "it has twice 'depot'",
            id="a column twice",
        ),
        pytest.param(
            "claims/a.parquet",
            parquet(TYPED.drop("depot").with_columns(colour=pl.lit("red"))),
            Fault.COLUMNS,
            "it lacks 'depot'; it has, undeclared, 'colour'",
            id="parquet with other columns",
        ),
        pytest.param(
            "claims/a.parquet",
            parquet(TYPED.with_columns(depot=pl.lit(1.5))),
            Fault.COLUMNS,
            "The column depot is Float64",
            id="parquet with a column of another kind",
        ),
        pytest.param("parcels/a.csv", CLEAN, Fault.TABLE, "parcels is no feed of parcel_claims", id="unknown table"),
        pytest.param("depots/a.csv", CLEAN, Fault.TABLE, "depots is delivered whole", id="a table without days"),
        pytest.param("a.csv", CLEAN, Fault.TABLE, "It lies in no table's folder", id="no table's folder"),
        pytest.param("claims/a.xlsx", CLEAN, Fault.FORMAT, ".xlsx is none of .csv, .parquet", id="unknown format"),
        pytest.param(
            "e.ndjson",
            ndjson(event(1, dataschema=CLAIMS.replace("1.0.0", "9.9.9"))),
            Fault.VERSION,
            "claims has no contract version 9.9.9; it has 1.0.0",
            id="unknown version",
        ),
    ],
)
def test_a_file_that_cannot_come_in_is_refused_in_plain_words(
    door: Opened, file: str, content: str | bytes, fault: Fault, says: str
) -> None:
    delivery = door.drop(file, content)
    judged = delivery.judged
    assert (judged.verdict, judged.fault) == (Verdict.REFUSED, fault)
    assert says in judged.says
    assert not judged.within_limits
    assert door.ids() == []
    assert delivery.filed.startswith(".refused/parcel_claims/")
    data = content.encode() if isinstance(content, str) else content
    assert (door.door.landing.root / delivery.filed).read_bytes() == data
    assert json.loads((door.door.landing.root / f"{delivery.filed}.verdict.json").read_text())["fault"] == fault


def test_a_refused_file_stops_no_other_and_may_come_again(door: Opened) -> None:
    for _ in range(2):
        assert door.drop("claims/bad.csv", CLEAN[:-4]).judged.verdict is Verdict.REFUSED
    assert door.drop("claims/good.csv", CLEAN).judged.verdict is Verdict.ACCEPTED
    assert len(door.ids()) == 5


BAD_LINES: list[tuple[dict | str, Fault, str]] = [
    ("{not json", Fault.EVENT, "it is not JSON"),
    ('{"a": 1, "a": 2}', Fault.EVENT, "names the same thing twice"),
    ('{"a": NaN}', Fault.EVENT, "NaN is no JSON number"),
    ('{"a": "\\ud800"}', Fault.EVENT, "surrogates"),
    ("[1]", Fault.EVENT, "not a JSON object"),
    (event(9, id=None), Fault.EVENT, "id: Field required"),
    (event(9, id=""), Fault.EVENT, "id: String should have at least 1 character"),
    (event(9, source="no spaces please"), Fault.EVENT, "source: "),
    (event(9, specversion="0.3"), Fault.EVENT, "specversion: "),
    (event(9, time="yesterday"), Fault.EVENT, "time: "),
    (event(9, datacontenttype="text/xml"), Fault.EVENT, "must be JSON, not text/xml"),
    (event(9, data_base64="e30="), Fault.EVENT, "either data or data_base64"),
    (event(9, Extension="x"), Fault.EVENT, "lower-case"),
    (event(9, dataschema=None), Fault.VERSION, "has no dataschema"),
    (event(9, dataschema="https://example.com/claims.json"), Fault.VERSION, "has the dataschema https://example"),
    (event(9, dataschema=CLAIMS.replace("1.0.0", "2.0.0")), Fault.VERSION, "no contract version 2.0.0"),
    (event(9, dataschema=CLAIMS.replace("claims:1", "cargo:1")), Fault.TABLE, "cargo is no feed"),
    (event(9, dataschema=CLAIMS.replace("parcel_claims", "other")), Fault.TABLE, "for the workload other"),
    (event(9, data=claim(9, colour="red")), Fault.COLUMNS, "does not declare colour"),
    (event(9, data=claim(9, depot=["north"])), Fault.VALUE, 'depot is ["north"], not string'),
    (event(9, data=claim(9, known_time="2031-01-01T00:00:00Z")), Fault.DAY, "after 2020-06-24, the last day"),
    (event(1, data=claim(1, value_dollars=999)), Fault.EVENT_CONFLICT, "came before with other content"),
]


def test_a_bad_line_is_quarantined_with_its_text_and_the_others_come_in(door: Opened) -> None:
    bad = [line for line, _, _ in BAD_LINES]
    delivery = door.drop("e.ndjson", ndjson(event(1), event(2), *bad, event(3)))
    judged = delivery.judged
    assert judged.verdict is Verdict.PARTLY_ACCEPTED
    assert (judged.account.landed, judged.account.lines) == ({"claims": 3}, 3 + len(bad))
    assert not judged.within_limits, "the contract lets no row be quarantined"
    assert door.ids() == ["L001", "L002", "L003"]
    held = door.refused()
    assert held["line"].to_list() == list(range(3, 3 + len(bad)))
    for kept, (line, fault, says) in zip(held.iter_rows(named=True), BAD_LINES, strict=True):
        assert kept["rules"] == [f"door: {fault}"], kept
        assert says in kept["says"], kept
        if isinstance(line, str):
            assert kept["row"] == line
        else:
            assert json.loads(kept["row"]) in (line, line["data"]), "its text, or the row it held"


def test_a_csv_line_with_other_fields_is_quarantined_with_its_text_and_the_others_come_in(door: Opened) -> None:
    lines = CLEAN.splitlines(keepends=True)
    broken = 'L777,"of two\nlines",north\n'
    delivery = door.drop("claims/a.csv", "".join([*lines[:3], broken, "\n", '"x"y\n', *lines[3:]]))
    assert delivery.judged.account == Account(lines=7, landed={"claims": 5}, refused={"number of fields": 2})
    assert door.refused()["row"].to_list() == [broken, '"x"y\n']
    assert door.refused()["line"].to_list() == [4, 7]
    assert door.ids() == ["L000", "L001", "L002", "L003", "L004"]


def test_a_byte_order_mark_and_windows_line_ends_are_put_up_with_and_said(door: Opened) -> None:
    judged = door.drop("claims/a.csv", b"\xef\xbb\xbf" + CLEAN.replace("\n", "\r\n").encode()).judged
    assert judged.account.landed == {"claims": 5}
    assert "byte order mark" in judged.says


def test_the_same_bytes_under_another_name_are_a_duplicate_and_change_nothing(door: Opened) -> None:
    door.drop("claims/a.csv", CLEAN)
    again = door.drop("claims/b.csv", CLEAN, NOW + timedelta(hours=1))
    assert again.judged.verdict is Verdict.DUPLICATE
    assert "let in as parcel_claims/claims/a.csv at 2020-06-10 09:30:00 UTC" in again.judged.says
    assert door.drop("claims/a.csv", CLEAN, NOW + timedelta(hours=2)).judged.verdict is Verdict.DUPLICATE
    assert len(door.ids()) == 5
    assert len(door.files()) == 6


def test_an_event_that_came_before_is_known_by_source_and_id_wherever_it_comes_again(door: Opened) -> None:
    door.drop("a.ndjson", ndjson(event(1), event(2), event(2)))
    second = door.drop("claims/b.ndjson", ndjson(event(2), event(3), event(1, source="/counters/bergen")))
    assert second.judged.account == Account(lines=3, landed={"claims": 2}, known=1)
    assert sorted(door.ids()) == ["L001", "L001", "L002", "L003"]
    assert door.drop("c.ndjson", ndjson(event(3), event(1))).judged.verdict is Verdict.DUPLICATE


def test_a_file_that_was_refused_in_part_may_come_again_and_only_the_rest_is_new(door: Opened) -> None:
    """The refused line's contract version may be known by then; the file's other rows are not doubled."""
    content = csv(claim(1), claim(2)) + "too,few\n"
    assert door.drop("claims/a.csv", content).judged.verdict is Verdict.PARTLY_ACCEPTED
    again = door.drop("claims/a.csv", content, NOW + timedelta(days=1)).judged
    assert again.account == Account(lines=3, known=2, refused={"number of fields": 1})
    assert door.ids() == ["L001", "L002"]


def test_a_row_without_a_known_time_of_its_own_became_known_when_it_was_received(door: Opened) -> None:
    bare = {name: value for name, value in claim(1).items() if name not in ("known_time", "event_time")}
    happened = event(1, data=bare, time="2020-06-10t23:59:00+02:00")
    door.drop("a.ndjson", ndjson(happened), datetime(2020, 6, 12, 22, 30, tzinfo=UTC))
    [row] = door.landed()
    assert "known_time" not in row
    assert row["event_time"] == "2020-06-10T23:59:00+02:00"
    kept = door.door.lake.read("parcel_claims", "claims__landed")
    assert kept["known_time"].to_list() == [datetime(2020, 6, 12, 22, 30, tzinfo=UTC)]
    assert kept["day"].to_list() == [date(2020, 6, 13)], "the day in Oslo"
    # The same event, delivered again later, is still the same event.
    assert door.drop("b.ndjson", ndjson(happened, event(2))).judged.account.known == 1


def test_a_row_whose_known_time_cannot_be_read_belongs_to_the_day_of_its_delivery(door: Opened) -> None:
    judged = door.drop("claims/a.csv", csv(claim(1, known_time="soon"), claim(2, known_time=None))).judged
    assert judged.days == (NOW.date(),)


@pytest.mark.parametrize("killed_after", Step)
def test_killed_after_any_step_and_tried_again_it_comes_to_the_same_end(door: Opened, killed_after: Step) -> None:
    """Also when it is tried an hour later and killed after the same step again, and when its twin comes next day."""
    content = ndjson(event(1), "{not json", event(2), event(3, data={**claim(3), "known_time": "2020-06-11T08:00:00Z"}))
    file = door.put("a.ndjson", content)
    for attempt in range(2):
        steps = door.door.steps(file, NOW + timedelta(hours=attempt))
        reached = next((step for step in steps if step is killed_after), None)
        steps.close()
        moved = killed_after in (Step.MOVED, Step.RECORDED)
        assert reached is (None if moved and attempt else killed_after)
    done = door.door.let_in(file, NOW + timedelta(hours=5))
    assert (done is None) == moved, "once it was moved, there is nothing to take in"

    [delivery] = deliveries.judged_deliveries(door.door.settings, "parcel_claims")
    assert delivery.received_at == NOW
    assert delivery.judged.account == Account(4, {"claims": 3}, 0, {"not a CloudEvent": 1})
    assert door.ids() == ["L001", "L002", "L003"]
    assert door.refused().height == 1
    assert len(door.files()) == 2
    assert all(name.startswith(".done/") for name in door.files())

    twin = door.drop("a.ndjson", content, NOW + timedelta(days=1))
    assert (twin.arrival, twin.judged.account.landed, twin.judged.account.known) == (2, {}, 3)
    assert door.ids() == ["L001", "L002", "L003"]
    assert all(found.filed for found in deliveries.judged_deliveries(door.door.settings, "parcel_claims"))


def test_a_twin_that_overtakes_a_killed_delivery_does_not_double_it(door: Opened) -> None:
    steps = door.door.steps(door.put("claims/a.csv", CLEAN), NOW)
    while next(steps) is not Step.ROWS_LANDED:
        pass
    steps.close()
    assert door.drop("claims/b.csv", CLEAN).judged.verdict is Verdict.DUPLICATE
    finished = door.door.let_in("parcel_claims/claims/a.csv", NOW)
    assert finished.judged.verdict is Verdict.ACCEPTED
    assert len(door.ids()) == 5


def test_of_two_that_come_at_once_one_waits_for_the_other(door: Opened) -> None:
    files = [door.put(f"claims/{name}.csv", CLEAN) for name in "abcd"]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda file: door.door.let_in(file, NOW), files))
    verdicts = Counter(delivery.judged.verdict for delivery in taken)
    assert verdicts == {Verdict.ACCEPTED: 1, Verdict.DUPLICATE: 3}
    assert len(door.ids()) == 5


def test_a_file_that_changes_while_it_is_read_is_left_where_it_is(
    door: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    file = door.door.landing.root / door.put("claims/a.csv", CLEAN)
    state, looks = os.fstat, [0]

    def grown(descriptor: int) -> os.stat_result:
        looks[0] += 1
        if looks[0] == 2:
            monkeypatch.undo()
            with file.open("a") as writer:
                writer.write("L9,")
        return state(descriptor)

    monkeypatch.setattr(os, "fstat", grown)
    with pytest.raises(StillWrittenError, match=r"a\.csv changed while it was being read"):
        _whole(file)


def test_a_file_that_another_process_took_is_no_error(door: Opened) -> None:
    assert door.door.let_in("parcel_claims/claims/gone.csv", NOW) is None


def test_no_line_can_be_lost_in_the_account() -> None:
    with pytest.raises(LostLinesError):
        Account(lines=3, landed={"claims": 1}, known=1)


def test_hourly_weather_lands_as_csv_in_the_day_it_became_known_in_new_york(
    opened: Callable[[Workload], Opened], flights: Workload
) -> None:
    from automation.calendar import Days

    door = opened(flights)
    day = date(2013, 3, 2)
    rows = flights.module("feed").weather(flights.calendar, Days.one(day)).drop("day")
    text = rows.with_columns(pl.col("event_time", "known_time").dt.to_string("iso:strict")).write_csv()
    judged = door.drop("weather/late.csv", text).judged
    assert judged.verdict is Verdict.ACCEPTED
    assert judged.account.landed == {"weather": rows.height}
    assert judged.days == (day,)
    assert judged.within_limits


def test_a_run_that_names_no_file_leaves_what_has_just_changed(door: Opened) -> None:
    import os

    for name, age in (("old.csv", 120), ("new.csv", 5)):
        path = door.door.landing.root / door.put(f"claims/{name}", CLEAN)
        changed = (NOW - timedelta(seconds=age)).timestamp()
        os.utime(path, (changed, changed))
    assert door.door.landing.unchanged("parcel_claims", NOW - timedelta(minutes=1)) == ["parcel_claims/claims/old.csv"]


def test_a_file_is_put_there_whole_and_never_over_one_that_waits(door: Opened, tmp_path: Path) -> None:
    landing = door.door.landing
    (tmp_path / "a.csv").write_text(CLEAN)
    assert landing.put(tmp_path / "a.csv", "parcel_claims", "claims") == "parcel_claims/claims/a.csv"
    with pytest.raises(FileExistsError):
        landing.put(tmp_path / "a.csv", "parcel_claims", "claims")
    assert door.files() == ["parcel_claims/claims/a.csv"]
