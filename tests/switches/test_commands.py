"""``warrant switch``, in this process: what each command says, with which exit code, as words and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner

from automation.cli import warrant
from automation.errors import WarrantError
from automation.ledger.store import Ledger
from automation.policy.activation import NotAuthorizedError
from automation.replay import Platform
from automation.settings import Settings
from automation.settings import settings as of_this_process
from automation.switches.standing import SafeActionError, SwitchConflictError, UnknownSwitchError, standing
from automation.workload import Workload
from tests.switches.conftest import DAY, LATER, NAME, OPERATOR, REVIEWER, VERSION

Run = Callable[..., str]


@pytest.fixture
def switch(
    settings: Settings, deciding: Workload, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """Runs ``warrant switch`` in the test's database, on the pilot. Returns what it prints."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(("WARRANT_", "DAGSTER_"))]:
        del os.environ[name]
    address = settings.database_url
    assert address is not None
    home = str(tmp_path_factory.mktemp("switches"))
    os.environ |= {"WARRANT_HOME": home, "WARRANT_DATABASE_URL": address.get_secret_value()}
    of_this_process.cache_clear()
    monkeypatch.setattr(Platform, "workload", lambda *_: deciding)

    def run(*words: str, by: str | None = None, why: str = "no seats are left") -> str:
        more = ["--by", by, "--reason", why] if by else []
        result = CliRunner().invoke(warrant, ["switch", *words, "--workload", NAME, *more])
        if isinstance(result.exception, WarrantError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    yield run
    os.environ.clear()
    os.environ.update(before)
    of_this_process.cache_clear()


def test_each_says_what_is_off_from_when_on_by_whom_and_why(switch: Run, deciding: Workload) -> None:
    start = deciding.calendar.start
    assert switch("list") == f"On {start}, nothing of {NAME} is off."
    # Nothing was decided yet: so from the first day on.
    assert switch("off", "--action", "protect", by=OPERATOR) == f"Of {NAME}, the action protect is off from {start} on."
    made = json.loads(switch("off", "--model", str(VERSION), "--first-day", str(DAY), "--json", by="T. Novak"))
    assert {**made, "time": ""} == {
        "number": 2,
        "turned": "switched_off",
        "kind": "model",
        "name": str(VERSION),
        "first_day": str(DAY),
        "by": "T. Novak",
        "why": "no seats are left",
        "time": "",
    }
    assert switch("off", "--first-day", str(DAY), by=OPERATOR) == f"Of {NAME}, the workload is off from {DAY} on."
    on = switch("on", "--action", "protect", "--first-day", str(LATER), by=OPERATOR, why="seats again")
    assert on == f"Of {NAME}, the action protect is on from {LATER} on."

    listed = json.loads(switch("list", "--json", "--day", str(DAY)))
    assert [(each["kind"], each["name"]) for each in listed["off"]] == [
        ("action", "protect"),
        ("model", str(VERSION)),
        ("workload", ""),
    ]
    assert [each["turned"] for each in listed["changes"]] == ["switched_off"] * 3 + ["switched_on"]
    told = switch("list", "--day", str(LATER))
    assert told.startswith(f"On {LATER}, 2 switches of {NAME} are off.")
    assert "seats again" in told


def test_what_is_refused_says_why_and_changes_nothing(switch: Run, ledger: Ledger) -> None:
    for words, by, error in (
        (("off", "--action", "protest"), OPERATOR, UnknownSwitchError),
        (("off", "--action", "proceed"), OPERATOR, SafeActionError),
        (("off", "--model", "8"), OPERATOR, UnknownSwitchError),
        (("off",), REVIEWER, NotAuthorizedError),
        (("on",), REVIEWER, NotAuthorizedError),
        (("on",), OPERATOR, SwitchConflictError),
        (("off", "--action", ""), OPERATOR, WarrantError),
    ):
        with pytest.raises(error):
            switch(*words, by=by)
    with pytest.raises(SwitchConflictError, match="Give --by and --reason"):
        switch("off", by=OPERATOR, why=" ")
    with pytest.raises(AssertionError, match="Give --action or --model"):
        switch("off", "--action", "protect", "--model", "7", by=OPERATOR)
    assert standing(ledger, NAME).changes == ()
