"""Two majors of a table side by side: readers move one by one, and the old major goes when its day has come.

The toy's claims get a second major that counts in cents; the first, in dollars, is derived from it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

import assets
from assets.stages import raw
from assets.stages.features import derived
from automation.calendar import Days
from automation.contract.consumers import in_text
from automation.lakehouse import Lakehouse
from automation.lineage.consumers import consumers
from automation.lineage.graph import Kind, column, graph
from automation.majors import MajorError, judge_support, old_majors, readers
from automation.resources import LakehouseResource
from automation.workload import Stage, Workload, WorkloadSpec
from contracts.document import ContractError, load

ROOT = Path(__file__).parent.parent.parent
TOY = ROOT / "tests" / "workloads" / "parcel_claims"
UNTIL, NEXT = "2020-06-05", "2020-06-06"

MIGRATIONS = '''
def claims_v1(tables, window):
    """Claims in whole dollars, as they were before they were counted in cents."""
    claims = tables["claims"]
    return claims.select(
        "claim_id", "depot", "receipt", "event_time", "known_time", value_dollars=claims.value_cents // 100
    )
'''
IN_CENTS = 'value_cents=pl.col("value_dollars") * 100, receipt="receipt"'


@dataclass
class Layout:
    """A workload's files in a folder of their own, to edit before they are loaded."""

    folder: Path
    package: str
    declaration: dict[str, Any] = field(default_factory=dict)

    @property
    def contracts(self) -> Path:
        return self.folder / "contracts" / "parcel_claims"

    def edit(self, path: Path, *changes: tuple[str, str]) -> None:
        text = path.read_text()
        for old, new in changes:
            assert old in text, (path, old)
            text = text.replace(old, new)
        path.write_text(text)

    def workload(self) -> Workload:
        return Workload(
            WorkloadSpec.model_validate(self.declaration), f"assets.{self.package}", self.folder / "contracts"
        )

    def publish_second_major(self) -> None:
        """Claims 2.0.0 in cents, and claims_v1 derived from it, which everything reads."""
        code = self.folder / "assets" / self.package
        first = self.contracts / "claims_v1.odcs.yaml"
        shutil.copy(self.contracts / "claims.odcs.yaml", first)
        ends = f'slaProperties: [{{property: endOfSupport, value: "{UNTIL}"}}]\nschema:'
        self.edit(first, ("name: claims\n    physical", "name: claims_v1\n    physical"), ("schema:", ends))
        second = self.contracts / "claims.odcs.yaml"
        self.edit(second, ('"1.0.0"', '"2.0.0"'), ("value_dollars", "value_cents"))
        self.edit(code / "feed.py", ('"value_dollars", "receipt", event_time', f"{IN_CENTS}, event_time"))
        self.edit(code / "features.py", ('tables["claims"]', 'tables["claims_v1"]'))
        (code / "migrations.py").write_text(MIGRATIONS)
        self.declaration["migrations"] = [{"table": "claims_v1", "reads": ["claims"]}]
        self.declaration["cases"]["reads"] = ["claims_v1"]
        self.declaration["features"]["views"][0]["reads"] = ["claims_v1"]

    def move_cases(self) -> None:
        features = self.folder / "assets" / self.package / "features.py"
        self.edit(features, ('claims = tables["claims_v1"]', 'claims = tables["claims"]'))
        self.declaration["cases"]["reads"] = ["claims"]

    def move_claim_facts(self) -> None:
        features = self.folder / "assets" / self.package / "features.py"
        old = 'tables["claims_v1"].select("claim_id", "value_dollars", '
        new = 'tables["claims"].select("claim_id", value_dollars=tables["claims"].value_cents // 100, '
        self.edit(features, (old, new), ('"receipt", "event_time", "known_time")', f"{KEPT})"))
        self.declaration["features"]["views"][0]["reads"] = ["claims"]


KEPT = ", ".join(f'{name}=tables["claims"].{name}' for name in ("receipt", "event_time", "known_time"))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Layout]]:
    """Lays the toy out under a name of its own, so that an edited copy is another module."""
    monkeypatch.setattr(assets, "__path__", [*assets.__path__, str(tmp_path / "assets")])

    def lay(package: str) -> Layout:
        made = Layout(tmp_path, package, yaml.safe_load((TOY / "assets" / "defs.yaml").read_text())["attributes"])
        shutil.copytree(TOY / "assets", tmp_path / "assets" / package)
        shutil.rmtree(tmp_path / "contracts", ignore_errors=True)
        shutil.copytree(TOY / "contracts", made.contracts)
        shutil.copytree(ROOT / "contracts" / "platform", tmp_path / "contracts" / "platform")
        return made

    yield lay
    for name in [name for name in sys.modules if name.startswith("assets.parcel_")]:
        del sys.modules[name]


@pytest.fixture
def lake(tmp_path: Path) -> Lakehouse:
    return Lakehouse(str(tmp_path / "lakehouse"))


def run(workload: Workload, lake: Lakehouse, day: str) -> dg.ExecuteInProcessResult:
    """Raw claims and what is computed from them, for one day. The claims of the day before are there already."""
    spec = workload.spec
    chosen = [
        *(asset for asset in raw.build(workload) if asset.key.path[-1] in spec.daily_raw_tables),
        derived(workload, spec.cases, Stage.FEATURES),
        derived(workload, spec.features.views[0], Stage.FEATURES),
    ]
    given = {"resources": {"lakehouse": LakehouseResource(url=lake.url)}, "raise_on_error": False}
    with dg.DagsterInstance.ephemeral() as instance:
        before = str(date.fromisoformat(day) - timedelta(days=1))
        dg.materialize(chosen, instance=instance, partition_key=before, selection=_raw(workload), **given)
        return dg.materialize(chosen, instance=instance, partition_key=day, **given)


def _raw(workload: Workload) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*([workload.name, table] for table in workload.spec.daily_raw_tables))


def supported(result: dg.ExecuteInProcessResult) -> tuple[bool, str]:
    [found] = [check for check in result.get_asset_check_evaluations() if check.check_name == "supported"]
    return found.passed, str(found.description)


def test_readers_of_the_old_major_read_what_they_always_read_until_they_have_moved(
    layout: Callable[[str], Layout], tmp_path: Path
) -> None:
    before = Lakehouse(str(tmp_path / "before"))
    assert run(layout("parcel_before").workload(), before, UNTIL).success
    expected = before.read("parcel_claims", "claim_facts")
    assert expected.height == 32

    beside, both = layout("parcel_beside"), Lakehouse(str(tmp_path / "both"))
    beside.publish_second_major()
    result = run(beside.workload(), both, UNTIL)
    assert result.success
    day = Days.one(date.fromisoformat(UNTIL))
    cents = both.read("parcel_claims", "claims", day)["value_cents"]
    assert cents.max() == 100 * expected["value_dollars"].max()
    assert both.read("parcel_claims", "claims_v1", day).height == 32
    [written] = [
        found.step_materialization_data.materialization
        for found in result.get_asset_materialization_events()
        if found.asset_key == dg.AssetKey(["parcel_claims", "claims_v1"])
    ]
    shown = written.metadata["dagster/column_lineage"].value
    assert [str(dep.column_name) for dep in shown.deps_by_column["value_dollars"]] == ["value_cents"]
    assert both.digest("parcel_claims", "claim_facts") == before.digest("parcel_claims", "claim_facts")
    assert supported(result) == (
        True,
        f"Warning: claims_v1 is supported until {UNTIL}, 0 days more, and is still read by cases, claim_facts.",
    )

    moved, alone = layout("parcel_moved"), Lakehouse(str(tmp_path / "alone"))
    moved.publish_second_major()
    moved.move_cases()
    moved.move_claim_facts()
    result = run(moved.workload(), alone, NEXT)
    assert result.success
    assert supported(result) == (True, "Nothing reads claims_v1: it can be removed.")

    retired, last = layout("parcel_retired"), Lakehouse(str(tmp_path / "last"))
    retired.publish_second_major()
    retired.move_cases()
    retired.move_claim_facts()
    retired.declaration["migrations"] = []
    (retired.contracts / "claims_v1.odcs.yaml").unlink()
    assert old_majors(retired.workload()) == ()
    assert run(retired.workload(), last, UNTIL).success
    assert last.digest("parcel_claims", "claim_facts") == before.digest("parcel_claims", "claim_facts")


def test_the_day_after_its_last_an_old_major_stops_whoever_still_reads_it_by_name(
    layout: Callable[[str], Layout], lake: Lakehouse
) -> None:
    half = layout("parcel_half")
    half.publish_second_major()
    half.move_cases()
    result = run(half.workload(), lake, NEXT)
    assert not result.success
    assert supported(result) == (
        False,
        f"claims_v1 was supported until {UNTIL}, and is still read by claim_facts: move them to the new major.",
    )
    assert not lake.exists("parcel_claims", "claim_facts")
    assert lake.exists("parcel_claims", "cases")


def test_the_end_is_announced_thirty_days_ahead_and_judged_by_the_day_not_the_clock(
    layout: Callable[[str], Layout],
) -> None:
    made = layout("parcel_announced")
    made.publish_second_major()
    made.edit(made.contracts / "claims_v1.odcs.yaml", (UNTIL, "2020-07-10"))
    workload = made.workload()
    days = Days(date(2020, 6, 9), date(2020, 6, 11))
    says = [judgement.says for judgement in judge_support(workload, "claims_v1", days)]
    assert says[0].startswith("claims_v1 is supported until 2020-07-10; read by")
    assert says[1].startswith("claims_v1 is supported until 2020-07-10; read by")
    assert says[2].startswith("Warning: claims_v1 is supported until 2020-07-10, 29 days more")
    assert judge_support(workload, "claims", days) == []


def test_the_old_major_and_its_end_are_shown_and_its_readers_are_in_the_lineage(
    layout: Callable[[str], Layout],
) -> None:
    made = layout("parcel_shown")
    made.publish_second_major()
    workload = made.workload()
    [asset] = [asset for asset in raw.build(workload) if asset.key.path[-1] == "claims_v1"]
    spec = next(iter(asset.specs))
    assert spec.metadata["supported until"] == UNTIL
    assert spec.group_name == "raw"
    assert {check.name for check in asset.check_specs} == {"contract", "expectations", "supported"}
    assert readers(workload, "claims_v1") == ("cases", "claim_facts")
    told = in_text(workload, consumers(workload, (), "claims_v1"), [])
    assert told.startswith(f"claims_v1 (claims_v1 1.0.0)\n  may be read up to and with {UNTIL}\n")
    cents = graph(workload).consumers([column("claims", "value_cents")])
    assert {str(c.node) for c in cents if c.node.kind is Kind.TABLE} == {
        "claims_v1.value_dollars",
        "claim_facts.value_dollars",
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda made: made.edit(made.contracts / "claims_v1.odcs.yaml", ("endOfSupport", "endOfLife")),
            "slaProperties",
        ),
        (
            lambda made: made.edit(
                made.contracts / "claims_v1.odcs.yaml",
                (f'slaProperties: [{{property: endOfSupport, value: "{UNTIL}"}}]\n', ""),
            ),
            "does not say until when it may be read",
        ),
        (
            lambda made: made.edit(made.contracts / "claims_v1.odcs.yaml", ('"1.0.0"', '"3.0.0"')),
            "is named for major 1, and its contract has version 3.0.0",
        ),
        (
            lambda made: made.edit(made.contracts / "claims.odcs.yaml", ('"2.0.0"', '"1.1.0"')),
            "claims has version 1.1.0, which is not newer",
        ),
        (
            lambda made: made.edit(
                made.contracts / "depots.odcs.yaml",
                ("schema:", 'slaProperties: [{property: endOfSupport, value: "2020-06-05"}]\nschema:'),
            ),
            "depots is not a raw table with days",
        ),
    ],
)
def test_majors_that_do_not_add_up_are_refused_when_the_workload_is_loaded(
    layout: Callable[[str], Layout], change: Callable[[Layout], None], says: str
) -> None:
    made = layout("parcel_refused")
    made.publish_second_major()
    change(made)
    with pytest.raises((MajorError, ContractError), match=says):
        raw.build(made.workload())


@pytest.mark.parametrize("reads", ["depots", "nothing", "claims_v1"])
def test_a_migration_reads_tables_with_days_that_are_there_before_it(
    layout: Callable[[str], Layout], reads: str
) -> None:
    made = layout("parcel_order")
    made.publish_second_major()
    made.declaration["migrations"] = [{"table": "claims_v1", "reads": [reads]}]
    with pytest.raises(ValueError, match=f"the migration claims_v1 reads '{reads}'"):
        made.workload()


def test_the_last_day_of_support_is_one_day(layout: Callable[[str], Layout]) -> None:
    made = layout("parcel_days")
    made.publish_second_major()
    first = made.contracts / "claims_v1.odcs.yaml"
    assert load(first).end_of_support == date.fromisoformat(UNTIL)
    made.edit(first, (UNTIL, "next year"))
    with pytest.raises(ContractError, match="'next year' is not a day"):
        load(first)
