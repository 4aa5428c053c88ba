"""A broken feed is told from a changed world."""

import numpy as np
import polars as pl
import pytest

from assets.stages.feature_faults import units_of
from automation.drift.inputs.faults import FaultKind, OtherUsualError, Usual, unit_of
from automation.workload import Workload

FEATURES = ("temperature", "delay", "carrier")
UNITS = {"temperature": "degrees Fahrenheit"}


def cases(number: int) -> pl.DataFrame:
    random = np.random.default_rng(number)
    return pl.DataFrame(
        {
            "temperature": random.normal(55 + 6 * random.normal(), 5, 200).round(1),
            "delay": random.exponential(20, 200).round(),
            "carrier": random.choice(list("ABCDEFGH"), 200),
        }
    )


@pytest.fixture(scope="module")
def usual() -> Usual:
    usual = Usual.of(FEATURES, UNITS)
    for number in range(20):
        usual = usual.after(cases(number))
    return usual


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (pl.lit(None, dtype=pl.Float64).alias("delay"), FaultKind.NULLS),
        (pl.lit(7.0).alias("delay"), FaultKind.STUCK),
        (pl.lit("A").alias("carrier"), FaultKind.STUCK),
        ((pl.col("temperature") * 5 / 9 - 160 / 9).alias("temperature"), FaultKind.UNIT),
    ],
)
def test_what_breaks_is_told_by_its_kind_on_its_first_day(usual: Usual, broken: pl.Expr, kind: FaultKind) -> None:
    (fault,) = usual.faults(cases(50).with_columns(broken))
    assert (fault.feature, fault.kind) == (broken.meta.output_name(), kind)
    assert fault.says.startswith(f"{fault.feature}: ")


def test_usual_days_and_shifts_are_no_faults(usual: Usual) -> None:
    for number in range(50, 80):
        assert usual.faults(cases(number)) == ()
        shifted = cases(number).with_columns(pl.col("temperature") + 8, pl.col("delay") * 1.4)
        assert usual.faults(shifted) == ()


def test_a_conversion_is_not_looked_for_without_a_unit() -> None:
    usual = Usual.of(FEATURES, {})
    for number in range(20):
        usual = usual.after(cases(number))
    assert usual.faults(cases(50).with_columns(pl.col("temperature") * 5 / 9 - 160 / 9)) == ()


def test_a_fault_never_becomes_usual(usual: Usual) -> None:
    for number in range(20, 60):
        broken = cases(number).with_columns(delay=pl.lit(7.0))
        usual = usual.after(broken)
        if number < 40:
            assert [one.kind for one in usual.faults(broken)] == [FaultKind.STUCK]


def test_nothing_is_said_of_the_first_days_or_of_few_cases(usual: Usual) -> None:
    broken = cases(9).with_columns(delay=pl.lit(7.0))
    assert Usual.of(FEATURES, UNITS).after(cases(0)).faults(broken) == ()
    assert usual.faults(broken.head(10)) == ()
    assert usual.after(broken.head(10)) is usual


def test_what_is_usual_is_kept_and_read_again(usual: Usual) -> None:
    text = usual.after(cases(30).with_columns(delay=pl.lit(7.0))).as_bytes()
    again = Usual.of_bytes(text)
    assert again.as_bytes() == text
    broken = cases(50).with_columns(delay=pl.lit(7.0))
    assert again.faults(broken) == usual.faults(broken) or again.faults(broken)[0].kind == FaultKind.STUCK
    for other in (b"", b"{}", b'{"features":["a"],"units":{},"days":[[1]]}'):
        with pytest.raises(OtherUsualError):
            Usual.of_bytes(other)


def test_an_unknown_unit_and_a_lacking_feature_are_refused(usual: Usual) -> None:
    with pytest.raises(OtherUsualError, match="cannot be in furlongs"):
        Usual.of(FEATURES, {"delay": "furlongs"})
    with pytest.raises(OtherUsualError, match="lack delay"):
        usual.faults(cases(1).drop("delay"))


def test_units_are_known_as_contracts_write_them(workload: Workload) -> None:
    found = units_of(workload.contract(workload.spec.model.contract), workload.model_features)
    assert found["temperature_f"] == "degrees Fahrenheit"
    assert found["wind_speed_mph"] == "miles an hour"
    assert found["relative_humidity"] == "per cent"
    assert "seats" not in found, "it comes in no other unit"
    assert unit_of("mph") == unit_of("miles an hour") == "miles an hour"
    assert unit_of("furlongs") is unit_of("") is unit_of(None) is None
