"""Compaction and retention on real tables: what is kept can be read exactly, what need not be is gone."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from automation.calendar import Days
from automation.lakehouse import TABLE_CONFIGURATION, Lakehouse, quarantine_of
from automation.upkeep.compaction import compact
from automation.upkeep.retention import past, retain
from contracts.contract import Contract
from contracts.document import load

ROOT = Path(__file__).parent.parent.parent
FIRST = date(2013, 1, 1)
AT_ONCE = timedelta(0)


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    return Lakehouse(str(tmp_path / "lakehouse"))


@pytest.fixture
def contract() -> Contract:
    found = load(ROOT / "contracts" / "flight_disruption" / "weather.odcs.yaml")
    return dataclasses.replace(found, name="weather", retention=timedelta(days=2))


def days(count: int, value: int) -> pl.DataFrame:
    dates = [FIRST + timedelta(days=n) for n in range(count)]
    return pl.DataFrame({"value": [value] * count, "day": dates})


def written(lake: Lakehouse, versions: int, count: int = 3, table: str = "weather") -> list[str]:
    """So many versions of the table, each replacing all days; their digests."""
    found = []
    for value in range(versions):
        lake.replace_days("toy", table, days(count, value), Days(FIRST, FIRST + timedelta(days=count - 1)))
        found.append(lake.digest("toy", table))
    return found


def scattered(lake: Lakehouse, parts: int, table: str = "weather") -> None:
    """The days' rows in many small files."""
    for value in range(parts):
        write_deltalake(
            lake.location("toy", table),
            days(2, value).to_arrow(compat_level=pl.CompatLevel.oldest()),
            mode="append",
            partition_by=["day"],
            configuration=TABLE_CONFIGURATION if not value else None,
        )


def test_small_files_of_a_day_become_one_and_no_row_changes(lake: Lakehouse) -> None:
    scattered(lake, 5)
    before = lake.digest("toy", "weather")
    would = compact(lake, "toy", "weather", dry_run=True)
    assert (would.before.files, would.after.files) == (10, 10)
    done = compact(lake, "toy", "weather")
    assert (done.before.files, done.after.files, done.after.stored_files) == (10, 2, 12)
    assert done.after.bytes < done.before.bytes
    version = lake.version("toy", "weather")
    assert compact(lake, "toy", "weather").after.files == 2
    assert lake.version("toy", "weather") == version
    assert lake.digest("toy", "weather") == before
    assert lake.counts("toy", "weather") == {FIRST: 5, FIRST + timedelta(days=1): 5}


def test_a_pinned_version_is_read_exactly_after_retention_and_others_are_gone(lake: Lakehouse) -> None:
    digests = written(lake, 6)
    would = retain(lake, "toy", "weather", None, {1: ("model 1",), 3: ("model 2",)}, kept=AT_ONCE, dry_run=True)
    assert (would.files_removed, would.before, would.after) == (9, would.before, would.before)
    done = retain(lake, "toy", "weather", None, {1: ("model 1",), 3: ("model 2",), 99: ("no",)}, kept=AT_ONCE)
    assert (done.files_removed, done.after.stored_files, done.pinned) == (9, 9, {1: ("model 1",), 3: ("model 2",)})
    for version in (1, 3, 5):
        assert _digest_at(lake, version) == digests[version]
    for version in (0, 2, 4):
        with pytest.raises(FileNotFoundError):
            _digest_at(lake, version)
    again = retain(lake, "toy", "weather", None, {1: ("model 1",), 3: ("model 2",)}, kept=AT_ONCE)
    assert (again.files_removed, lake.digest("toy", "weather")) == (0, digests[5])


def test_what_can_still_be_gone_back_to_is_kept(lake: Lakehouse) -> None:
    written(lake, 3)
    assert retain(lake, "toy", "weather", None, {}).files_removed == 0


def test_days_past_the_promise_go_from_table_and_quarantine_alike(lake: Lakehouse, contract: Contract) -> None:
    written(lake, 1, count=5)
    written(lake, 1, count=4, table=quarantine_of("weather"))
    kept = [FIRST + timedelta(days=n) for n in (2, 3, 4)]
    for table, left in (("weather", kept), (quarantine_of("weather"), kept[:2])):
        done = retain(lake, "toy", table, contract, {}, dry_run=True)
        assert (done.days_removed, done.rows_removed, len(lake.counts("toy", table))) == (2, 2, len(left) + 2)
        done = retain(lake, "toy", table, contract, {})
        assert (done.days_removed, done.rows_removed, list(lake.counts("toy", table))) == (2, 2, left)
        assert retain(lake, "toy", table, contract, {}).days_removed == 0


def test_a_contract_that_promises_nothing_keeps_every_day(lake: Lakehouse, contract: Contract) -> None:
    written(lake, 1, count=5)
    assert past(lake, "toy", "weather", dataclasses.replace(contract, retention=None)) == {}
    assert past(lake, "toy", "weather", None) == {}


def _digest_at(lake: Lakehouse, version: int) -> str:
    from automation.lakehouse import digest

    return digest(lake.at("toy", "weather", version))


KILLED = """
import os, signal, sys
import deltalake.table
from datetime import timedelta
from automation.lakehouse import Lakehouse
from automation.upkeep.compaction import compact
from automation.upkeep.retention import retain

def die(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)

lake, point = Lakehouse(sys.argv[1]), sys.argv[2]
if point == "before the compaction's commit":
    deltalake.table.TableOptimizer.compact = die
elif point == "after the compaction's commit":
    deltalake.table.DeltaTable.create_checkpoint = die
elif point == "before files are removed":
    deltalake.table.DeltaTable.vacuum = die
compact(lake, "toy", "weather")
if point == "while files are removed":
    # The first file of those that go is gone, nothing else, and no commit says so.
    table = lake.opened("toy", "weather")
    [first, *_] = table.vacuum(0, dry_run=True, enforce_retention_duration=False, full=True)
    os.unlink(os.path.join(lake.location("toy", "weather"), first))
    die()
retain(lake, "toy", "weather", None, {}, kept=timedelta(0))
"""


@pytest.mark.parametrize(
    "point",
    [
        "before the compaction's commit",
        "after the compaction's commit",
        "before files are removed",
        "while files are removed",
    ],
)
def test_killed_at_any_point_it_is_run_again_and_nothing_is_lost(lake: Lakehouse, point: str) -> None:
    scattered(lake, 3)
    before = lake.digest("toy", "weather")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, lake.url, point], cwd=ROOT, env=os.environ, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert lake.digest("toy", "weather") == before
    compact(lake, "toy", "weather")
    done = retain(lake, "toy", "weather", None, {}, kept=AT_ONCE)
    assert (done.after.files, done.after.stored_files) == (2, 2)
    assert lake.digest("toy", "weather") == before
