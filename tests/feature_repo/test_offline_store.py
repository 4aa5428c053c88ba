"""The promises of `feature_repo.offline_store`, on real Delta tables."""

import pathlib
from datetime import timedelta

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import TIME, at, cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from feature_repo.store import historical_features

WEATHER = {
    "airport": pl.String,
    "event_time": TIME,
    "known_time": TIME,
    "wind_kn": pl.Float64,
    "gusts": pl.Int64,
}
AIRCRAFT = {"plane": pl.Int64, "event_time": TIME, "known_time": TIME, "seats": pl.Int64}
GATES = {"airport": pl.String, "plane": pl.Int64, "event_time": TIME, "known_time": TIME, "gate": pl.String}
NETWORK = {"event_time": TIME, "known_time": TIME, "delayed": pl.Int64}
WIND = ["toy_weather:wind", "toy_weather:gusts"]


@pytest.fixture
def tables(write):
    """Write the toy tables; what is not given is empty."""

    def tables(weather=(), aircraft=(), gates=(), mode="append"):
        write("toy/weather", WEATHER, weather, mode)
        write("toy/aircraft", AIRCRAFT, aircraft, mode)
        write("toy/gates", GATES, gates, mode)

    return tables


def winds(store, *times) -> list:
    """The wind that each decision at New York's JFK would have seen."""
    frame = cases(*(("JFK", 1, time) for time in times))
    return historical_features(store, "toy_v1", frame)["wind"].to_list()


def test_every_entity_row_comes_back_once_in_the_order_given(store, tables):
    tables(
        weather=[("JFK", at(0), at(0), 12.0, None)],
        aircraft=[(1, at(-100), at(-100), 180)],
        gates=[("JFK", 1, at(0), at(0), "B7")],
    )
    frame = cases(
        ("JFK", 1, at(1)),
        (None, 1, at(1)),
        ("JFK", None, at(1)),
        ("LGA", 2, at(1)),
        ("JFK", 1, at(1)),
        ("JFK", 1, None),
        ("JFK", 1, at(-200)),
    )
    assert historical_features(store, "toy_v1", frame).rows() == [
        ("JFK", 1, at(1), 12.0, None, 180, "B7"),
        (None, 1, at(1), None, None, 180, None),
        ("JFK", None, at(1), 12.0, None, None, None),
        ("LGA", 2, at(1), None, None, None, None),
        ("JFK", 1, at(1), 12.0, None, 180, "B7"),
        ("JFK", 1, None, None, None, None, None),
        ("JFK", 1, at(-200), None, None, None, None),
    ]


def test_an_empty_frame_and_empty_tables_keep_their_types(store, tables):
    tables()
    result = historical_features(store, "toy_v1", cases())
    assert dict(result.schema) == {
        "airport": pl.String,
        "plane": pl.Int64,
        "event_timestamp": TIME,
        "wind": pl.Float64,
        "gusts": pl.Int64,
        "seats": pl.Int64,
        "gate": pl.String,
    }


def test_a_row_known_after_the_decision_is_never_used(store, tables):
    tables(weather=[("JFK", at(0), at(2), 12.0, 1)])
    assert winds(store, at(1), at(2) - timedelta(microseconds=1), at(2)) == [None, None, 12.0]


def test_a_forecast_is_not_used_before_the_event_it_is_about(store, tables):
    tables(weather=[("JFK", at(2), at(0), 12.0, 1)])
    assert winds(store, at(1), at(2)) == [None, 12.0]


def test_a_row_of_which_nobody_says_when_it_was_known_is_never_used(store, tables):
    tables(weather=[("JFK", at(0), None, 12.0, 1), ("JFK", None, at(0), 13.0, 1)])
    assert winds(store, at(1)) == [None]


def test_of_two_forecasts_the_later_known_wins(store, tables):
    tables(weather=[("JFK", at(2), at(0), 99.0, 1), ("JFK", at(2), at(1), 12.0, 1)])
    assert winds(store, at(2)) == [12.0]


def test_a_late_correction_replaces_its_event_but_never_a_newer_one(store, tables):
    tables(
        weather=[
            ("JFK", at(0), at(0), 10.0, 1),
            ("JFK", at(1), at(1), 11.0, 1),
            ("JFK", at(0), at(1.5), 99.0, 1),
            ("JFK", at(1), at(2), 12.0, 1),
        ]
    )
    assert winds(store, at(0.5), at(1.5), at(1.75), at(2)) == [10.0, 11.0, 11.0, 12.0]


def test_a_value_lives_until_its_ttl_and_not_a_microsecond_longer(store, tables):
    tables(weather=[("JFK", at(0), at(0), 12.0, 1)], aircraft=[(1, at(-9000), at(-9000), 180)])
    assert winds(store, at(3), at(3) + timedelta(microseconds=1)) == [12.0, None]
    assert historical_features(store, "toy_v1", cases(("JFK", 1, at(0))))["seats"].to_list() == [180]


def test_an_expired_newest_value_does_not_bring_back_an_older_one(store, tables):
    tables(weather=[("JFK", at(0), at(5), 12.0, 1), ("JFK", at(-1), at(-1), 10.0, 1)])
    assert winds(store, at(2), at(5)) == [10.0, None]


def test_nanoseconds_and_milliseconds_do_not_hide_or_leak_a_row(store, tables):
    just_after = at(0) + timedelta(microseconds=500)
    tables(weather=[("JFK", just_after, just_after, 12.0, 1)])
    frame = pd.DataFrame(
        {
            "airport": "JFK",
            "event_timestamp": pd.to_datetime(
                [just_after - timedelta(microseconds=1), just_after, just_after + timedelta(hours=3)]
            ).astype("datetime64[ns, UTC]")
            + pd.to_timedelta([999, 0, 0], unit="ns"),
        }
    )
    result = store.get_historical_features(frame, WIND).to_arrow()
    assert result["wind"].to_pylist() == [None, 12.0, 12.0]


def test_the_layout_of_the_files_does_not_change_a_byte(store, tables):
    rows = [("JFK", at(0), at(0), wind, gusts) for wind in (1.0, 3.0, 2.0, None) for gusts in (5, None, 7)]
    frame = cases(("JFK", 1, at(1)), ("LGA", 1, at(1))).to_pandas()
    seen = []
    for layout in ([rows], [rows[::-1]], [[row] for row in rows], [rows[5:], rows[:5]]):
        tables(mode="overwrite")
        for part in layout:
            tables(weather=part)
        result = store.get_historical_features(frame, WIND).to_arrow()
        seen.append(result.select(["wind", "gusts"]))
    assert all(other.equals(seen[0]) for other in seen)
    assert seen[0].schema.field("gusts").type == pa.int64()


def test_a_tie_is_settled_alike_whichever_features_are_asked_for(store, tables):
    tables(weather=[("JFK", at(0), at(0), 1.0, 9), ("JFK", at(0), at(0), 2.0, 3)])
    frame = cases(("JFK", 1, at(1))).to_pandas()
    whole, part = (store.get_historical_features(frame, refs).to_arrow() for refs in (WIND, WIND[1:]))
    assert (whole["wind"].to_pylist(), whole["gusts"].to_pylist()) == ([2.0], [3])
    assert part["gusts"].to_pylist() == [3]


# Few keys and whole hours, so that ties, equal times and the end of a ttl are common.
hours = st.integers(-3, 3)
airports = st.sampled_from(["JFK", "JFK", "LGA", None])
planes = st.sampled_from([1, 1, 2, None])
moments = st.tuples(hours, st.one_of(hours, hours, st.none()))
weather_rows = st.lists(
    st.tuples(airports, moments, st.tuples(st.sampled_from([1.0, 2.0, None]), st.sampled_from([1, 2, None]))),
    max_size=40,
)
gate_rows = st.lists(st.tuples(airports, planes, moments, st.tuples(st.sampled_from(["B7", "C1", None]))), max_size=40)
case_rows = st.lists(st.tuples(airports, planes, hours), min_size=1, max_size=30)


def by_definition(rows, time: float, ttl: float) -> tuple | None:
    """The payload to use of one key's ((event, known), payload), or nothing, straight from the definition."""
    visible = [row for row in rows if row[0][1] is not None and max(row[0]) <= time]
    # A null in a payload counts as the greatest value, as in PostgreSQL.
    winner = max(visible, key=lambda row: (row[0], [(v is None, v or 0) for v in row[1]]), default=None)
    return winner[1] if winner and winner[0][0] >= time - ttl else None


def instants(moment: tuple) -> tuple:
    return tuple(None if hour is None else at(hour) for hour in moment)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weather=weather_rows, gates=gate_rows, frame=case_rows, later=st.randoms(use_true_random=False))
def test_retrieval_is_what_its_definition_says(store, write, *, weather, gates, frame, later):
    features = [*WIND, "toy_gates:gate"]
    asked = cases(*((airport, plane, at(hour)) for airport, plane, hour in frame)).to_pandas()
    write("toy/weather", WEATHER, [(key, *instants(when), *what) for key, when, what in weather], "overwrite")
    write("toy/gates", GATES, [(*key, *instants(when), *what) for *key, when, what in gates], "overwrite")
    result = store.get_historical_features(asked, features).to_arrow()

    assert result.num_rows == len(frame)
    for (airport, plane, hour), got in zip(frame, result.to_pylist(), strict=True):
        # A null key is no key: it finds nothing, not even rows whose key is null too.
        winds_there = [row[1:] for row in weather if row[0] == airport and airport]
        gates_there = [row[2:] for row in gates if row[:2] == (airport, plane) and airport and plane]
        wind, gate = by_definition(winds_there, hour, 3), by_definition(gates_there, hour, 24)
        assert (got["airport"], got["event_timestamp"]) == (airport, at(hour))
        assert (got["wind"], got["gusts"], got["gate"]) == (*(wind or (None, None)), *(gate or (None,)))

    # Whatever is known only after the last decision may say anything: nothing changes.
    last = max(hour for *_, hour in frame)
    rewritten = [
        (key, *instants(when), *what)
        if when[1] is not None and max(when) <= last
        else (key, at(when[0]), at(last + later.uniform(0.001, 99)), later.random(), later.randint(0, 9))
        for key, when, what in weather
    ]
    write("toy/weather", WEATHER, rewritten, "overwrite")
    assert store.get_historical_features(asked, features).to_arrow().equals(result)


def test_a_source_without_known_time_is_refused(store, tables):
    from feast import FeatureView, Field, FileSource
    from feast.data_format import DeltaFormat
    from feast.types import Float64

    from feature_repo.offline_store import KnownTimeMissingError, SourceError

    tables()
    toy = store.get_entity("toy_airport")
    event = {"timestamp_field": "event_time"}
    known = {**event, "created_timestamp_column": "known_time"}
    for source, error in (
        (FileSource(path="toy/weather", file_format=DeltaFormat(), **event), KnownTimeMissingError),
        (FileSource(path="/toy/weather", file_format=DeltaFormat(), **known), SourceError),
        (FileSource(path="toy/../weather", file_format=DeltaFormat(), **known), SourceError),
        (FileSource(path="s3://toy/weather", file_format=DeltaFormat(), **known), SourceError),
        (FileSource(path="toy/weather.parquet", **known), SourceError),
    ):
        view = FeatureView(
            name="toy_unknown", entities=[toy], schema=[Field(name="wind_kn", dtype=Float64)], source=source
        )
        with pytest.raises(error):
            store.provider.offline_store.get_historical_features(
                store.config,
                [view],
                ["toy_unknown:wind_kn"],
                cases(("JFK", 1, at(0))).to_pandas(),
                store.registry,
                store.project,
            )
        with pytest.raises(error):
            store.provider.offline_store.validate_data_source(store.config, source)


def test_what_cannot_be_answered_is_refused_in_plain_words(store, tables):
    from feature_repo.offline_store import EntityFrameError, UnsupportedRetrievalError

    tables()
    frame = cases(("JFK", 1, at(0)))
    with pytest.raises(UnsupportedRetrievalError, match="list"):
        store.get_historical_features([1], WIND)
    with pytest.raises(EntityFrameError, match="plane"):
        historical_features(store, "toy_v1", frame.drop("plane"))
    with pytest.raises(EntityFrameError, match="timestamps"):
        historical_features(store, "toy_v1", frame.with_columns(event_timestamp=pl.lit("noon")))
    with pytest.raises(EntityFrameError, match="twice"):
        historical_features(store, "toy_v1", frame.with_columns(wind=pl.lit(1.0)))
    with pytest.raises(EntityFrameError, match="toy_aircraft"):
        historical_features(store, "toy_v1", frame.with_columns(plane=pl.lit("N1")))
    with pytest.raises(UnsupportedRetrievalError, match="join is"):
        store.get_historical_features(frame.to_pandas(), WIND).to_sql()


def test_a_missing_column_of_a_table_is_named(store, tables, write):
    from feature_repo.offline_store import TableColumnsError

    tables()
    write("toy/gates", {name: kind for name, kind in GATES.items() if name != "gate"}, (), "overwrite")
    with pytest.raises(TableColumnsError, match="'gate'"):
        historical_features(store, "toy_v1", cases(("JFK", 1, at(0))))


def test_views_can_be_renamed_and_joined_on_other_columns(store, tables):
    tables(weather=[("JFK", at(0), at(0), 12.0, 1), ("LAX", at(0), at(0), 3.0, 1)])
    frame = pl.DataFrame({"origin": ["JFK", "LAX"], "dest": ["LAX", "SFO"], "event_timestamp": [at(1), at(1)]})
    result = store.get_historical_features(
        frame.to_pandas(), store.get_feature_service("variants_route"), full_feature_names=True
    ).to_arrow()
    assert result.column_names == ["origin", "dest", "event_timestamp", "origin__wind", "dest__wind"]
    assert result["origin__wind"].to_pylist() == [12.0, 3.0]
    assert result["dest__wind"].to_pylist() == [3.0, None]


def test_a_view_without_entities_holds_for_every_row(store, write):
    write("toy/network", NETWORK, [(at(0), at(0.5), 7), (at(1), at(1), 9)])
    frame = pl.DataFrame({"event_timestamp": [at(0), at(0.5), at(2)]})
    assert historical_features(store, "variants_whole_network", frame)["delayed"].to_list() == [None, 7, 9]


def test_on_demand_features_are_computed_from_what_was_retrieved(store, tables):
    tables(weather=[("JFK", at(0), at(0), 40.0, 1)])
    frame = pl.DataFrame({"airport": ["JFK", "LGA"], "event_timestamp": [at(1), at(1)]})
    assert historical_features(store, "variants_on_demand", frame)["gale"].to_list() == [1, 0]


def test_times_without_a_zone_are_in_utc_and_ints_stay_ints(store, tables):
    tables(weather=[("JFK", at(0), at(0), 12.0, 3)])
    frame = pd.DataFrame({"airport": ["JFK", "LGA"], "event_timestamp": [at(1).replace(tzinfo=None)] * 2})
    job = store.get_historical_features(frame, WIND)
    assert job.to_arrow()["gusts"].type == pa.int64()
    assert job.to_arrow()["gusts"].to_pylist() == [3, None]
    assert job.to_df()["wind"].tolist()[0] == 12.0
    assert job.metadata.keys == ["airport"]
    assert job.metadata.features == WIND


def test_the_latest_rows_are_those_a_decision_at_the_end_would_see(store, tables):
    tables(
        weather=[
            ("JFK", at(0), at(0), 10.0, 1),
            ("JFK", at(1), at(1), 11.0, 1),
            ("JFK", at(0), at(1.5), 99.0, 1),
            ("JFK", at(2), at(9), 13.0, 1),
            ("LGA", at(-9), at(-9), 14.0, 1),
            (None, at(1), at(1), 15.0, 1),
        ]
    )
    offline, source = store.provider.offline_store, store.get_data_source("toy/weather")
    asked = (store.config, source, ["airport"], ["wind_kn"], "event_time", "known_time")
    latest = offline.pull_latest_from_table_or_query(*asked, at(-1), at(2)).to_arrow()
    assert latest.to_pylist() == [{"airport": "JFK", "wind_kn": 11.0, "event_time": at(1), "known_time": at(1)}]
    everything = offline.pull_all_from_table_or_query(*asked, at(0), at(1)).to_arrow()
    # The correction of the first event was known only after the end.
    assert everything["wind_kn"].to_pylist() == [10.0, 11.0, 15.0]
    assert offline.pull_all_from_table_or_query(*asked).to_arrow().num_rows == 6


# ---------------------------------------------------------------- the rest of Feast's interface


def test_entity_rows_come_from_sql_over_the_lakehouse(store, tables, write):
    tables(weather=[("JFK", at(0), at(0), 12.0, 1)])
    write("asked/cases", {"airport": pl.String, "due": TIME}, [("LGA", at(3)), ("JFK", at(2)), ("JFK", at(1))])
    sql = "SELECT airport, due - INTERVAL 1 HOUR AS event_timestamp, 7 AS seven FROM \"asked/cases\" WHERE due < '{}'"
    job = store.get_historical_features(sql.format(at(3)) + " ORDER BY due", WIND)
    assert job.to_arrow().to_pylist() == [
        {"airport": "JFK", "event_timestamp": at(hour), "seven": 7, "wind": 12.0, "gusts": 1} for hour in (0, 1)
    ]
    assert (job.metadata.min_event_timestamp, job.metadata.max_event_timestamp) == (at(0), at(1))
    assert job.metadata.keys == ["airport", "seven"]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT airport", "airport"),
        ("SELECT 'JFK' AS airport, now() AS event_timestamp FROM \"no/table\"", "no/table"),
        ("SELECT * FROM read_csv('/etc/hosts')", "disabled"),
        ("SELEC", "syntax error"),
        ("SELECT 'JFK' AS airport, now() AS event_timestamp FROM \"../outside\"", "outside"),
    ],
)
def test_sql_that_cannot_be_run_or_reaches_elsewhere_is_refused(store, tables, lakehouse, sql, says):
    from feature_repo.offline_store import EntityQueryError

    tables()
    pl.DataFrame({"x": [1]}).write_delta(str(lakehouse.parent / "outside"))
    with pytest.raises(EntityQueryError, match=says) as refused:
        store.get_historical_features(sql, WIND)
    assert "FROM" in str(refused.value)


def test_sql_without_a_key_is_refused_as_a_frame_is(store, tables):
    from feature_repo.offline_store import EntityFrameError

    tables()
    with pytest.raises(EntityFrameError, match="airport"):
        store.get_historical_features("SELECT now() AS event_timestamp", WIND)


def test_a_range_asks_for_every_key_as_known_at_its_end(store, tables):
    tables(
        weather=[
            ("JFK", at(0), at(0), 10.0, 1),
            ("JFK", at(1), at(9), 11.0, 1),
            ("LGA", at(2), at(9), 12.0, 1),
            ("EWR", at(-1), at(-1), 13.0, 1),
            (None, at(1), at(1), 14.0, 1),
        ],
        gates=[("JFK", 1, at(1), at(1), "B7"), ("EWR", 2, at(2), at(2), "A1")],
    )
    job = store.get_historical_features(features=[*WIND, "toy_gates:gate"], start_date=at(0), end_date=at(2))
    rows = [(row["airport"], row["plane"], row["wind"], row["gate"]) for row in job.to_arrow().to_pylist()]
    assert rows == [("EWR", 2, 13.0, "A1"), ("JFK", 1, 10.0, "B7"), ("JFK", None, 10.0, None)]
    assert set(job.to_arrow()["event_timestamp"].to_pylist()) == {at(2)}


def test_a_range_of_views_without_keys_is_one_row(store, write):
    write("toy/network", NETWORK, [(at(0), at(0), 7), (at(1), at(5), 9)])
    service = store.get_feature_service("variants_whole_network")
    job = store.get_historical_features(features=service, start_date=at(-1), end_date=at(2))
    assert job.to_arrow().to_pylist() == [{"event_timestamp": at(2), "delayed": 7}]


def test_a_result_in_batches_is_the_result(store, tables):
    tables(weather=[("JFK", at(hour), at(hour), float(30 + hour), 1) for hour in range(9)])
    frame = pd.DataFrame({"airport": ["JFK", "LGA"] * 10, "event_timestamp": [at(hour / 2) for hour in range(20)]})
    job = store.get_historical_features(frame, store.get_feature_service("variants_on_demand"))
    batches = list(job.to_arrow_batches(7))
    assert [batch.num_rows for batch in batches] == [7, 7, 6]
    assert pa.concat_tables(batches).equals(job.to_arrow())
    assert sum(pa.concat_tables(batches)["gale"].to_pylist()) == 5
    nothing = store.get_historical_features(frame.head(0), WIND).to_arrow_batches()
    assert [batch.num_rows for batch in nothing] == [0]


def test_a_saved_dataset_is_read_back_as_it_was(store, tables):
    from feast.data_format import DeltaFormat
    from feast.errors import SavedDatasetLocationAlreadyExists
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    from feature_repo.offline_store import SourceError, WriteRefusedError

    tables(weather=[("JFK", at(0), at(0), 40.0, None)])
    storage = SavedDatasetFileStorage("datasets/first", DeltaFormat())
    service = store.get_feature_service("variants_on_demand")
    frame = pd.DataFrame({"airport": ["JFK", "LGA", "JFK"], "event_timestamp": [at(1), at(2), at(3)]})
    store.create_saved_dataset(store.get_historical_features(frame, service), "first", storage)
    tables(weather=[("JFK", at(0), at(0.5), 1.0, 1)])
    kept = store.get_saved_dataset("first").to_df()
    assert kept["airport"].tolist() == ["JFK", "LGA", "JFK"]
    assert kept["gale"].tolist() == [1, 0, 1]
    again = store.get_historical_features(frame, service)
    with pytest.raises(SavedDatasetLocationAlreadyExists, match="datasets/first"):
        again.persist(storage)
    again.persist(storage, allow_overwrite=True)
    assert store.get_saved_dataset("first").to_df()["gale"].tolist() == [0, 0, 0]
    with pytest.raises(SourceError, match="relative"):
        again.persist(SavedDatasetFileStorage("/elsewhere", DeltaFormat()))
    untimed = frame.assign(event_timestamp=pd.Series([at(1), None, at(3)]))
    with pytest.raises(WriteRefusedError, match="1 entity rows"):
        store.get_historical_features(untimed, service).persist(storage, allow_overwrite=True)
    assert store.get_saved_dataset("first").to_df()["gale"].tolist() == [0, 0, 0]


def test_rows_are_written_to_a_view_and_used_from_when_they_were_known(store, tables):
    from feature_repo.offline_store import WriteRefusedError

    tables(weather=[("JFK", at(0), at(0), 12.0, 1)])
    row = {"airport": ["JFK"], "event_time": [at(0)], "known_time": [at(1)], "wind_kn": [13.0], "gusts": [None]}
    store.write_to_offline_store("toy_weather", pd.DataFrame(row))
    frame = pd.DataFrame({"airport": ["JFK"] * 2, "event_timestamp": [at(0.5), at(1)]})
    assert store.get_historical_features(frame, WIND).to_arrow()["wind"].to_pylist() == [12.0, 13.0]
    for wrong, says in (
        ({"known_time": [None]}, "known_time"),
        ({"gusts": ["strong"]}, "does not fit"),
    ):
        with pytest.raises(WriteRefusedError, match=says):
            store.write_to_offline_store("toy_weather", pd.DataFrame(row | wrong))
    view, told = store.get_feature_view("toy_weather"), []
    write_batch = store.provider.offline_store.offline_write_batch
    with pytest.raises(WriteRefusedError, match="lack gusts"):
        write_batch(store.config, view, pa.table({k: v for k, v in row.items() if k != "gusts"}), None)
    write_batch(store.config, view, pa.table(row | {"gusts": [3]}), told.append)
    assert told == [1]


def test_what_a_service_served_is_logged_and_read_back(store, tables, lakehouse, tmp_path):
    import pyarrow.parquet as pq
    from feast import FeatureService
    from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
    from feast.infra.offline_stores.file_source import FileLoggingDestination

    from feature_repo.offline_store import DeltaLoggingDestination, SourceError, WriteRefusedError

    def service(destination) -> FeatureService:
        view = store.get_feature_view("variants_weather")
        return FeatureService(name="logged", features=[view], logging_config=LoggingConfig(destination=destination))

    tables()
    store.apply([service(DeltaLoggingDestination("served/logged"))])
    logged = store.get_feature_service("logged")
    schema = FeatureServiceLoggingSource(logged, store.project).get_schema(store.registry)
    values = {field.name: [None] for field in schema} | {"airport": ["JFK"], "__request_id": ["a"]}
    values |= {"__log_timestamp": [at(0)], "__log_date": [at(0).date()], "variants_weather__wind": [12.0]}
    rows = pa.table(values, schema=schema)
    store.write_logged_features(rows, logged)
    (tmp_path / "chunk").mkdir()
    pq.write_table(rows, tmp_path / "chunk" / "0.parquet")
    store.write_logged_features(tmp_path / "chunk", logged)
    with pytest.raises(WriteRefusedError, match="lack __request_id"):
        store.write_logged_features(rows.drop_columns(["__request_id"]), logged)
    read = store.provider.retrieve_feature_service_logs(logged, at(-1), at(1), store.config, store.registry)
    assert read.to_arrow()["variants_weather__wind"].to_pylist() == [12.0, 12.0]
    with pytest.raises(SourceError, match="DeltaLoggingDestination"):
        store.write_logged_features(rows, service(FileLoggingDestination(path="x")))


def test_a_days_join_opens_the_files_of_its_days_alone(store, tables, monkeypatch):
    """Each append is a file; all of those that no row can come from are removed: were one opened, it would fail."""
    for day in range(10):
        tables(weather=[("JFK", at(24 * day), at(24 * day), float(day), day)])
    lake = store.config.offline_store.lakehouse
    from deltalake import DeltaTable

    table = DeltaTable(f"{lake}/toy/weather")
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    for path, wind in actions.select("path", "max.wind_kn").iter_rows():
        if wind != 7.0:
            (pathlib.Path(lake) / "toy" / "weather" / path).unlink()
    assert winds(store, at(24 * 7 + 1)) == [7.0]
    with pytest.raises(Exception, match=r"not found|No such file"):
        winds(store, at(24 * 6 + 1))


def test_a_days_online_features_are_those_of_the_latest_known_rows():
    """Feast's default would materialize every row of the range, newest event last, whenever it was known."""
    from feature_repo.store import feature_store

    assert feature_store("sqlite://", "unused").config.materialization_config.pull_latest_features


def test_the_answers_are_those_of_feasts_duckdb_store_where_their_meanings_agree(tmp_path):
    """On the pilot: one event a key and instant, a known time at each event, every key given."""
    from benchmarks import point_in_time as rig

    rig.prepare("pilot", str(tmp_path), 0.02)
    answers = []
    for kind in (rig.OURS, rig.FEAST):
        rig.retrieve(kind, "pilot", str(tmp_path), str(tmp_path / f"{kind}.answer"))
        answers.append(pl.read_parquet(tmp_path / f"{kind}.answer"))
    ours, feasts = (found.unique().sort(found.columns[:5]) for found in answers)
    keyed = pl.col("tail_number").is_not_null()
    assert ours.filter(keyed).height > 1000
    features = [name for name in ours.columns if "__" in name]
    given = ours.filter(keyed).select(features)
    assert all(given[name].drop_nulls().len() for name in features)
    assert_frame_equal(ours.filter(keyed), feasts.filter(keyed).select(ours.columns), check_dtypes=False)


def test_what_became_known_a_moment_after_the_end_is_held_back(store, tables):
    """Within the second that files are read with to spare."""
    tables(weather=[("JFK", at(1), at(1), 1.0, 1), ("JFK", at(1), at(1) + timedelta(microseconds=1), 2.0, 1)])
    offline, source = store.provider.offline_store, store.get_data_source("toy/weather")
    asked = (store.config, source, ["airport"], ["wind_kn"], "event_time", "known_time")
    assert offline.pull_all_from_table_or_query(*asked, at(0), at(1)).to_arrow()["wind_kn"].to_pylist() == [1.0]
