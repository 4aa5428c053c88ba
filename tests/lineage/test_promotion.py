"""Promotion: one event a version, whoever tries at once; each day is decided by the champion of that day."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from automation import database
from automation.ledger import store
from automation.rollout import promotion
from automation.rollout.machine import Champion, Kind, NoChampionError, rollout
from automation.rollout.pinned import Pinned, Running
from automation.rollout.promotion import PromotionConflictError, champion_on
from automation.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    chosen = Settings(home=tmp_path_factory.mktemp("promotion") / "home")
    database.prepare(chosen)
    yield chosen
    database.stop(chosen)


def champion(version: int, as_of: date = date(2013, 3, 1)) -> Champion:
    return Champion("toy", version, f"{version:064d}", as_of)


NOW = datetime(2013, 3, 1, tzinfo=UTC)
RUNNING = Running("p" * 64, "0.1.0+c", None)


def promote(settings: Settings, workload: str, chosen: Champion, evidence: dict[str, object]) -> bool:
    """From its registration on."""
    promotion.register(settings, workload, chosen, {}, NOW)
    promotion.gate(settings, workload, chosen, Pinned("g" * 64, {}, {}, {}, RUNNING), {}, NOW)
    return promotion.promote(settings, workload, chosen, RUNNING, evidence, NOW)


def rows(settings: Settings, workload: str) -> list[tuple]:
    """Promotions in order: each numbered, with its version."""
    with store.opened(settings) as ledger:
        held = rollout(ledger, workload).changes
    made = [change.version for change in held if change.kind is Kind.PROMOTED]
    return list(enumerate(made, start=1))


def test_many_promoters_at_once_leave_one_row_a_sequence_and_the_losers_are_told(settings: Settings) -> None:
    """On a database in which nobody has promoted yet, which is when the table is made, too."""
    start = threading.Barrier(6)
    outcomes: list[object] = []

    def attempt(version: int) -> None:
        start.wait()
        try:
            outcomes.append(promote(settings, "race", champion(version), {}))
        except PromotionConflictError as conflict:
            outcomes.append(conflict)

    threads = [threading.Thread(target=attempt, args=(version,)) for version in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6, "a promoter failed in a way that names no conflict"
    held = rows(settings, "race")
    assert [sequence for sequence, _ in held] == list(range(1, len(held) + 1))
    assert len(held) == outcomes.count(True) >= 1


def test_of_two_that_saw_the_same_state_one_wins(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second promotes between the first one's look and its append."""
    promote(settings, "pair", champion(1), {})
    rival: list[object] = []
    for version in (2, 3):
        promotion.register(settings, "pair", champion(version), {}, NOW)
        promotion.gate(settings, "pair", champion(version), Pinned("g" * 64, {}, {}, {}, RUNNING), {}, NOW)

    def append(ledger: store.Ledger, *given: object) -> None:
        monkeypatch.undo()
        thread = threading.Thread(target=lambda: rival.append(promote(settings, "pair", champion(3), {})))
        thread.start()
        thread.join()
        ledger.append(*given)

    monkeypatch.setattr(store.Ledger, "append", append)
    with pytest.raises(PromotionConflictError, match="while version 2 was being promoted"):
        promote(settings, "pair", champion(2), {})
    assert rival == [True]
    assert rows(settings, "pair") == [(1, 1), (2, 3)]


def test_promoting_twice_changes_nothing(settings: Settings) -> None:
    assert promote(settings, "twice", champion(1), {})
    assert not promote(settings, "twice", champion(1), {"another": "run"})
    assert rows(settings, "twice") == [(1, 1)]


def test_each_day_is_decided_by_the_newest_champion_as_of_it(settings: Settings) -> None:
    promote(settings, "days", champion(1, date(2013, 3, 1)), {})
    promote(settings, "days", champion(2, date(2013, 5, 1)), {})
    # Promoted last, for a day between: it decides from then until the next, whatever the order of promotions.
    promote(settings, "days", champion(3, date(2013, 4, 1)), {})
    found = {day: champion_on(settings, "days", day).version for day in map(date.fromisoformat, CASES)}
    assert found == {date.fromisoformat(day): version for day, version in CASES.items()}


CASES = {"2013-03-01": 1, "2013-03-31": 1, "2013-04-01": 3, "2013-04-30": 3, "2013-05-01": 2, "2013-12-31": 2}


def test_a_second_promotion_for_a_day_replaces_the_first_and_keeps_its_row(settings: Settings) -> None:
    promote(settings, "again", champion(1), {})
    promote(settings, "again", champion(2), {})
    assert champion_on(settings, "again", date(2013, 3, 1)).version == 2
    assert rows(settings, "again") == [(1, 1), (2, 2)]


def test_a_day_before_any_champion_has_none_and_the_error_says_what_to_do(settings: Settings) -> None:
    promote(settings, "late", champion(1), {})
    with pytest.raises(NoChampionError, match="No model of late was promoted as of 2013-02-28 or earlier") as raised:
        champion_on(settings, "late", date(2013, 2, 28))
    assert "materialize training_set, candidate_model and champion of late" in raised.value.remedy


def test_workloads_have_champions_of_their_own(settings: Settings) -> None:
    promote(settings, "mine", champion(1), {})
    with pytest.raises(NoChampionError):
        champion_on(settings, "yours", date(2013, 3, 1))
