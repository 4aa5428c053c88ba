"""What follows from a verdict is done once, from the next day on, and by whom the policy lets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from automation.policy.authorization.requests import Automation
from automation.rollout import moving, promotion
from automation.rollout.contests import Contest, Judged, Move, Role, contests
from automation.rollout.machine import Champion, Kind, State
from automation.rollout.moving import Evidence, moved
from automation.settings import Settings
from automation.workload import Workload
from tests.rollout.conftest import APRIL, MARCH, NAME, NOW, standing, workload_with

PLAN = {"shadow": True, "canary": True, "shares": [5, 50]}
EVIDENCE = Evidence(12, 1234.5, {"saves": {"log10": 1.4, "needed": 20.0, "says": "it saves"}})
Made = Callable[..., Champion]


@pytest.fixture
def planned() -> Workload:
    return workload_with(**PLAN)


def watched(settings: Settings, workload: Workload, day: date) -> Contest:
    [contest] = contests(standing(settings), workload.spec.rollout, day)
    return contest


def do(settings: Settings, workload: Workload, contest: Contest, move: Move, day: date) -> str:
    follows = Judged(move, "the outcomes say so")
    return moved(settings, workload, contest, follows, EVIDENCE, day, views=dict, now=lambda: NOW)


def kinds(settings: Settings, version: int) -> list[tuple[Kind, date]]:
    return [(each.kind, each.as_of) for each in standing(settings).of(version)]


def test_a_shadow_goes_on_to_each_share_and_to_champion_from_the_day_after_the_one_that_was_judged(
    settings: Settings, planned: Workload, promoted: Made, gated: Made
) -> None:
    promoted(1, MARCH)
    gated(2, APRIL)
    promotion.shadow(settings, NAME, 2, as_of=APRIL, why="as planned", now=NOW)
    day = APRIL + timedelta(days=10)
    for expected in ((Kind.CANARIED, 5.0), (Kind.CANARIED, 50.0), (Kind.PROMOTED, None)):
        contest = watched(settings, planned, day)
        assert do(settings, planned, contest, Move.WAIT, day) == "nothing"
        assert do(settings, planned, contest, Move.ADVANCE, day).startswith("goes on; promoted: ")
        last = standing(settings).of(2)[-1]
        assert (last.kind, last.share, last.as_of) == (*expected, day + timedelta(days=1))
        assert last.evidence["claims"]["saves"]["says"] == "it saves"
        # The day is judged again: nothing more comes of it.
        before = len(standing(settings).changes)
        assert do(settings, planned, contest, Move.ADVANCE, day).startswith("nothing: it was done before")
        assert len(standing(settings).changes) == before
        day += timedelta(days=5)
    assert standing(settings).champion.version == 2  # type: ignore[union-attr]


def test_an_abort_is_done_once_and_the_champion_goes_on(
    settings: Settings, planned: Workload, promoted: Made, gated: Made
) -> None:
    promoted(1, MARCH)
    gated(2, APRIL)
    promotion.shadow(settings, NAME, 2, as_of=APRIL, why="as planned", now=NOW)
    contest = watched(settings, planned, APRIL)
    assert do(settings, planned, contest, Move.ABORT, APRIL) == "aborted"
    assert do(settings, planned, contest, Move.ABORT, APRIL).startswith("nothing: ")
    assert standing(settings).state(2) is State.ABORTED
    assert kinds(settings, 2)[-1] == (Kind.ABORTED, APRIL + timedelta(days=1))
    assert contests(standing(settings), planned.spec.rollout, APRIL + timedelta(days=1)) == ()


def test_a_champion_that_does_harm_is_rolled_back_with_its_predecessors_golden_set_proved_first(
    settings: Settings, planned: Workload, promoted: Made
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL)
    day = APRIL + timedelta(days=9)
    contest = watched(settings, planned, day)
    assert (contest.role, contest.version) == (Role.CHAMPION, 2)
    said = do(settings, planned, contest, Move.ROLL_BACK, day)
    assert said.startswith("rolled back to version 1: all ")
    assert said.endswith("have the scores they had, byte for byte")
    assert do(settings, planned, contest, Move.ROLL_BACK, day).startswith("nothing: ")
    found = standing(settings)
    assert (found.state(1), found.state(2)) == (State.CHAMPION, State.ROLLED_BACK)
    assert found.changes[-1].by == f"the automation of {NAME}"
    assert found.changes[-1].as_of == day + timedelta(days=1)
    # Who was brought back is not guarded against whom it replaced.
    assert contests(found, planned.spec.rollout, day + timedelta(days=2)) == ()


def test_where_it_may_not_be_done_nothing_is_and_the_reason_is_told(
    settings: Settings, planned: Workload, promoted: Made, gated: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(1, MARCH)
    for version in (2, 3):
        gated(version, APRIL)
        promotion.shadow(settings, NAME, version, as_of=APRIL, why="as planned", now=NOW)
    first, second = contests(standing(settings), planned.spec.rollout, APRIL)
    assert do(settings, planned, first, Move.ADVANCE, APRIL).startswith("goes on")
    assert do(settings, planned, second, Move.ADVANCE, APRIL) == (
        f"not done: Version 2 of {NAME} is the canary, so version 3 cannot be one."
    )
    promoted(2, APRIL + timedelta(days=20))
    day = APRIL + timedelta(days=25)
    [guarded] = [each for each in contests(standing(settings), planned.spec.rollout, day) if each.version == 2]
    monkeypatch.setattr(moving, "Automation", lambda _: Automation("another_workload"))
    assert do(settings, planned, guarded, Move.ROLL_BACK, day).startswith("not done: ")
    assert standing(settings).champion.version == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("point", range(1, 10))
def test_two_promoters_at_once_one_of_them_killed_at_every_step_leave_one_champion(
    settings: Settings,
    workload: Workload,
    models: dict[int, Any],
    rows: Any,
    monkeypatch: pytest.MonkeyPatch,
    point: int,
) -> None:
    """Where the first is killed, before or after each thing it keeps and appends, the second has just been through."""
    from automation.ledger.store import Ledger
    from automation.rollout import kept
    from tests.rollout.conftest import KilledError
    from tests.rollout.test_machine import enter

    enter(settings, workload, 1, MARCH, models[1], rows)
    reached, honest = [0], {"append": Ledger.append, "keep": kept.keep}

    def rival() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "append", honest["append"])
            patch.setattr(kept, "keep", honest["keep"])
            enter(settings, workload, 3, APRIL, models[3], rows)

    def killed(named: str) -> Callable:
        def run(*given: Any) -> Any:
            if reached[0] == point:
                rival()
                raise KilledError
            reached[0] += 1
            result = honest[named](*given)
            if reached[0] == point:
                rival()
                raise KilledError
            reached[0] += 1
            return result

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", killed("append"))
        patch.setattr(kept, "keep", killed("keep"))
        with pytest.raises(KilledError):
            enter(settings, workload, 2, APRIL, models[2], rows)

    def champions() -> list[int]:
        found = standing(settings)
        return [version for version in found.versions if found.state(version) is State.CHAMPION]

    assert champions() == [3], "the rival came through, and whoever was killed did not undo it"
    entering_again = enter(settings, workload, 2, APRIL, models[2], rows)
    assert champions() == [entering_again.champion]
