"""The JSON Schema of single events: what it says, what it leaves to enforcement, and what a validator makes of it."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import polars as pl
import pytest

from contracts.contract import Column, Contract, LogicalType
from contracts.document import load
from contracts.enforcement import enforce
from contracts.json_schema import broken_rules, event_schema, event_validator, instant, schema_id

ROOT = Path(__file__).parent.parent.parent
EVENT = {
    "parcel_id": "P001",
    "scan": 1,
    "weight": 2.5,
    "service": "standard",
    "fragile": None,
    "note": None,
    "day": "2024-06-01",
    "sent_at": "2024-06-01T12:00:00Z",
    "delivered_at": None,
    "known_time": "2024-06-01T12:00:00Z",
}


def test_the_schema_says_what_a_row_is(parcel: Contract) -> None:
    schema = event_schema(parcel)
    assert schema["$id"] == schema_id(parcel) == "urn:warrant:contract:parcels:parcel:1.4.0"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["parcel_id", "scan", "weight", "service", "day", "known_time"]
    assert schema["properties"]["parcel_id"]["pattern"] == "^(?:P[0-9]{3})$"
    assert schema["properties"]["scan"] == {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
    assert schema["properties"]["weight"] == {
        "type": "number",
        "description": "Weight on the depot's scales.",
        "minimum": 0,
        "maximum": 31.5,
        "x-unit": "kg",
    }
    assert schema["properties"]["service"] == {"type": "string", "enum": ["standard", "express"]}
    assert schema["properties"]["sent_at"] == {"type": ["string", "null"], "format": "date-time"}
    assert schema["properties"]["day"] == {"type": "string", "format": "date", "formatMinimum": "2020-01-01"}


def test_what_an_event_cannot_show_is_told_and_not_enforced(parcel: Contract) -> None:
    schema = event_schema(parcel)
    assert schema["x-key"] == ["parcel_id", "scan"]
    assert [rule["predicate"] for rule in schema["x-row-rules"]] == ["sent_at <= delivered_at"]
    assert "not enforced here" in schema["$comment"]
    assert broken_rules(EVENT | {"delivered_at": "2024-01-01T00:00:00Z"}, parcel) == []


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({}, []),
        ({"scan": 1.0, "weight": 3}, []),
        ({"sent_at": "2024-06-01T14:00:00.123456+02:00"}, []),
        ({"sent_at": "2024-06-01T12:00:00"}, ["sent_at: type timestamp"]),
        ({"sent_at": "2024-06-01T12:00:00.1234567Z"}, ["sent_at: type timestamp"]),
        ({"sent_at": "2024-02-30T12:00:00Z"}, ["sent_at: type timestamp"]),
        ({"sent_at": 1717243200}, ["sent_at: type timestamp"]),
        ({"day": "20240601"}, ["day: type date"]),
        ({"day": "2024-06-31"}, ["day: type date"]),
        ({"day": "2019-12-31"}, ["day: minimum 2020-01-01"]),
        # The same instant as 2020-01-01T00:00:00Z, and one before it: bounds compare instants, not texts.
        ({"known_time": "2019-12-31T22:00:00-02:00"}, []),
        ({"known_time": "2020-01-01T01:59:59+02:00"}, ["known_time: minimum 2020-01-01 00:00:00+00:00"]),
        ({"weight": math.nan}, ["weight: finite"]),
        ({"weight": math.inf}, ["weight: finite"]),
        ({"weight": 10**400}, ["weight: finite"]),
        ({"weight": "2.5"}, ["weight: type number"]),
        ({"weight": True}, ["weight: type number"]),
        ({"scan": 2**31}, ["scan: type integer"]),
        ({"scan": 1.5}, ["scan: type integer"]),
        ({"parcel_id": "P001\n"}, ["parcel_id: pattern"]),
        ({"parcel_id": "P\u0660\u0660\u0661"}, ["parcel_id: pattern"]),
        ({"service": None, "colour": "red"}, ["colour: undeclared column", "service: required"]),
    ],
)
def test_an_event_breaks_rules_by_the_names_that_enforcement_gives_them(parcel, change, rules) -> None:
    assert broken_rules(EVENT | change, parcel) == rules


def test_the_instant_that_an_event_passes_with_is_the_one_that_is_stored(parcel: Contract) -> None:
    """A file may be read more leniently (a time without an offset is UTC), never differently."""
    days, seconds = ["2024-06-01", "2024-02-30", "24-06-01"], ["12:00:00", "24:00:00", "12:00:60", "12:00"]
    fractions, zones = ["", ".5", ".123456", ".1234567", ".120000000", "."], ["Z", "z", "+02:00", "-23:59", "+25:00"]
    texts = ["".join(parts) for parts in itertools.product(days, ["T", " ", "t", ""], seconds, fractions, zones)]
    rows = [EVENT | {"parcel_id": f"P{at // 999:03}", "scan": at, "sent_at": each} for at, each in enumerate(texts)]
    split = enforce(pl.DataFrame(rows), parcel)
    read = dict(split.valid.select("scan", "sent_at").iter_rows())
    passed = {row["scan"]: instant(row["sent_at"]) for row in rows if not broken_rules(row, parcel)}
    assert passed.items() <= read.items()
    assert 0 < len(passed) < len(texts)


def test_a_column_may_be_left_out_if_it_need_not_have_a_value(parcel: Contract) -> None:
    short = {name: value for name, value in EVENT.items() if name not in ("note", "weight")}
    assert broken_rules(short, parcel) == ["weight: missing column"]


@pytest.mark.parametrize("event", [None, [], "text", 3])
def test_what_is_no_object_is_no_event(parcel: Contract, event: object) -> None:
    assert broken_rules(event, parcel) == ["event: object"]
    assert not event_validator(parcel).is_valid(event)


def test_an_instant_among_valid_ones_may_be_spelt_in_any_zone(parcel: Contract) -> None:
    known = parcel.column("known_time")
    only = replace(known, valid_values=(known.minimum,) if known.minimum is not None else ())
    contract = replace(parcel, columns=(*(c for c in parcel.columns if c != known), only), digest="another")
    assert broken_rules(EVENT | {"known_time": "2020-01-01T01:00:00+01:00"}, contract) == []
    assert broken_rules(EVENT | {"known_time": "2020-01-01T01:00:00Z"}, contract) == ["known_time: valid values"]


def test_a_number_of_32_bits_may_be_spelt_as_written_or_as_held(parcel: Contract) -> None:
    narrow = Column("narrow", LogicalType.NUMBER, "float32", minimum=0.1, maximum=0.1, valid_values=(0.1,))
    contract = replace(parcel, columns=(narrow,), key=(), row_rules=(), expectations=(), digest="narrow")
    assert [broken_rules({"narrow": value}, contract) for value in (0.1, 0.10000000149011612, None)] == [[], [], []]
    assert broken_rules({"narrow": 1e39}, contract) == ["narrow: finite"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("contracts/*/*.odcs.yaml")), ids=lambda path: path.name)
def test_every_schema_is_one_that_any_validator_takes(path: Path) -> None:
    schema = event_schema(load(path))
    assert json.loads(json.dumps(schema)) == schema
    jsonschema.Draft202012Validator.check_schema(schema)
    assert load(path).version in schema["$id"]
