"""``warrant model``, in this process: what each command says, with which exit code, as words and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import date

import pytest
from click.testing import CliRunner

from automation.cli import warrant
from automation.errors import WarrantError
from automation.replay import Platform
from automation.rollout import promotion
from automation.rollout.machine import Champion, State
from automation.settings import Settings
from automation.settings import settings as of_this_process
from automation.workload import Workload
from tests.rollout.conftest import APRIL, MARCH, MAY, NAME, NOW, OPERATOR, REVIEWER, standing, workload_with

Made = Callable[..., Champion]
Run = Callable[..., str]


@pytest.fixture
def declared(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Workload], None]]:
    """Has the commands work in the test's database, on the pilot as it is handed over."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("WARRANT_", "DAGSTER_"))]:
        del os.environ[name]
    address = settings.database_url
    assert address is not None
    os.environ |= {"WARRANT_HOME": str(settings.home), "WARRANT_DATABASE_URL": address.get_secret_value()}
    of_this_process.cache_clear()
    yield lambda workload: monkeypatch.setattr(Platform, "workload", lambda *_: workload)
    os.environ.clear()
    os.environ.update(before)
    of_this_process.cache_clear()


@pytest.fixture
def model(declared: Callable[[Workload], None], workload: Workload) -> Run:
    """Runs ``warrant model``; ``by`` is whoever does it. Returns what it prints."""
    declared(workload)

    def run(*words: str, by: str | None = None, why: str = "long enough") -> str:
        more = ["--by", by, "--reason", why] if by else []
        result = CliRunner().invoke(warrant, ["model", *words, "--workload", NAME, *more])
        if result.exception is not None:
            raise result.exception
        return result.stdout.strip()

    return run


def test_each_says_where_versions_are_and_the_last_approval_makes_one_decide(
    settings: Settings,
    model: Run,
    promoted: Made,
    gated: Made,
    declared: Callable[[Workload], None],
) -> None:
    assert model("list") == f"No version of {NAME} was registered yet: materialize candidate_model of a day."
    promoted(1, MARCH)
    gated(2, APRIL)
    promotion.register(settings, NAME, Champion(NAME, 3, "d" * 64, MAY), {}, NOW)
    declared(workload_with(materiality="high", approvals={"high": 2}))

    waits = json.loads(model("explain", "2", "--json"))
    assert (waits["state"], waits["live"], waits["gates"]) == ("gated", False, [])
    assert waits["says"].endswith("A promotion needs 2 approvals (high materiality) and has 0.")
    assert model("promote", "2", by=OPERATOR) == f"Version 2 of {NAME} has 1 of 2 approvals: {OPERATOR}."
    assert json.loads(model("promote", "2", "--json", by=OPERATOR))["approved_by"] == [OPERATOR]
    done = json.loads(model("promote", "2", "--json", by="T. Novak"))
    assert done == {"version": 2, "promoted": True, "from": str(APRIL), "approved_by": [OPERATOR, "T. Novak"]}

    assert "is aborted" not in model("explain", "3")
    assert model("abort", "3", by=OPERATOR, why="never judged") == f"Version 3 of {NAME} is aborted."
    assert model("abort", "3", by=OPERATOR, why="again") == f"Version 3 of {NAME} was aborted before."
    assert standing(settings).state(3) is State.ABORTED
    assert model("rollback", by=OPERATOR, why="too many notices").startswith(
        f"Version 1 decides again from {APRIL} on, in place of version 2: all 256 vectors of the golden set have the "
    )
    rows = json.loads(model("list", "--json"))
    assert [(row["version"], row["state"], row["by"], row["why"]) for row in rows] == [
        (3, "aborted", OPERATOR, "never judged"),
        (2, "rolled_back", OPERATOR, "too many notices"),
        (1, "champion", OPERATOR, "too many notices"),
    ]
    shown = json.loads(model("show", "2", "--json"))
    assert [each["kind"] for each in shown["events"]] == [
        "registered",
        "gated",
        "approved",
        "approved",
        "promoted",
        "rolling_back",
        "rolled_back",
    ]
    assert shown["pinned"]["tables"] == {"training_set": 2}
    said = model("show", "2")
    assert f"rolled back from {APRIL} on, version 1 in its place, by {OPERATOR}: too many notices" in said
    assert f"golden set  {shown['pinned']['golden']}" in said


def test_what_is_refused_says_why(settings: Settings, model: Run, promoted: Made) -> None:
    promoted(1, MARCH)
    promotion.register(settings, NAME, Champion(NAME, 2, "d" * 64, APRIL), {}, NOW)
    before = standing(settings)
    for words, by, says in (
        (("promote", "2"), OPERATOR, "has not passed its gates: it cannot be promoted"),
        (("promote", "1"), OPERATOR, "is the champion already"),
        (("promote", "2"), REVIEWER, "no policy permits it"),
        (("abort", "2"), REVIEWER, "no policy permits it"),
        (("abort", "1"), OPERATOR, "is the champion: it cannot be aborted"),
        (("rollback",), REVIEWER, "no policy permits it"),
        (("rollback",), OPERATOR, "No other version of flight_disruption decided before"),
        (("rollback", "--to", "2"), OPERATOR, "Version 2 of flight_disruption is registered"),
        (("explain", "9"), None, "knows no version 9"),
        (("show", "9"), None, "knows no version 9"),
    ):
        with pytest.raises(WarrantError, match=says):
            model(*words, by=by)
    assert standing(settings) == before
    assert before.champion is not None
    assert before.champion.as_of == date(2013, 3, 1)


def test_who_and_why_are_given(model: Run, promoted: Made) -> None:
    promoted(1, MARCH)
    for by, why in ((" ", "long enough"), (OPERATOR, " ")):
        with pytest.raises(SystemExit):
            model("rollback", by=by, why=why)
