"""What was decided about retraining: said once a day, in the ledger, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from automation.drift import asking
from automation.drift.asking import Answer, Asking, AskingConflictError
from automation.drift.worth.plan import Window
from automation.ledger import store
from automation.ledger.store import Happened
from automation.rollout import promotion
from automation.rollout.machine import Champion
from automation.settings import Settings
from tests.rollout.conftest import APRIL, MARCH, NAME, NOW, standing

DAY = APRIL - timedelta(days=1)
RECENT = Window(name="recent", last_days=60)


def asked(day: date = DAY, window: Window | None = RECENT) -> Asking:
    saved = {"recent": {day - timedelta(days=2): 12.5, day - timedelta(days=1): -3.0}}
    return Asking(day, Answer.ASKED, ("harm",), window, {"expected": 1200.5}, "It is retrained.", saved)


def declined(day: date) -> Asking:
    return Asking(day, Answer.DECLINED, ("inputs",), None, {"expected": -3.0}, "Nothing is retrained.")


def test_what_is_said_of_a_day_is_kept_and_stays_as_it_was_said(settings: Settings) -> None:
    with store.opened(settings) as ledger:
        assert asking.said(ledger, NAME, asked(), NOW) == asked()
        assert asking.said(ledger, NAME, declined(DAY), NOW) == asked(), "looked into again"
        assert asking.said(ledger, NAME, declined(DAY + timedelta(days=9)), NOW).answer is Answer.DECLINED
        assert asking.askings(ledger, NAME) == (asked(), declined(DAY + timedelta(days=9)))
        assert asking.askings(ledger, "another") == ()


def test_of_two_at_the_same_time_one_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(found: object, workload: object) -> tuple[Asking, ...]:
        with store.opened(settings) as ledger:
            ledger.append(asking.stream(NAME), 0, [Happened(Answer.ASKED, asked(MARCH).as_data(), NOW)])
        return ()

    with store.opened(settings) as ledger:
        monkeypatch.setattr(asking, "askings", another)
        with pytest.raises(AskingConflictError, match="at the same time"):
            asking.said(ledger, NAME, asked(), NOW)


def test_what_was_asked_for_is_waited_for_until_a_candidate_is_trained() -> None:
    found = (asked(MARCH), declined(MARCH + timedelta(days=3)), asked(DAY))
    assert asking.waiting(found, frozenset()) == (asked(MARCH), asked(DAY))
    assert asking.waiting(found, {(MARCH + timedelta(days=1)).isoformat()}) == (asked(DAY),)


def test_a_model_learns_from_the_window_it_was_asked_for_with() -> None:
    found = (declined(MARCH), asked(DAY))
    assert asking.window_of(found, APRIL) == RECENT
    assert asking.window_of(found, MARCH + timedelta(days=1)) is None
    assert asking.window_of((asked(window=None),), APRIL) is None


def test_a_try_came_to_something_if_its_version_became_champion_and_to_nothing_if_it_was_stopped(
    settings: Settings, promoted: Callable[..., Champion], gated: Callable[..., Champion]
) -> None:
    found = (declined(MARCH), asked(DAY))
    later = APRIL + timedelta(days=1)
    promoted(1, MARCH)

    def came() -> bool | None:
        rollout = standing(settings)
        assert asking.tries(found, rollout, DAY) == [], "a look that came to nothing is no try"
        [tried] = asking.tries(found, rollout, later)
        assert tried.day == DAY
        return tried.came_to_something

    assert came() is None
    assert "is asked for" in asking.came_to(asked(), standing(settings))
    candidate = gated(2, APRIL)
    assert came() is None
    assert asking.on_its_way(standing(settings)) == (2,)
    promotion.shadow(settings, NAME, 2, as_of=APRIL, why="as planned", now=NOW)
    assert came() is None
    promotion.abort(settings, NAME, candidate.version, by="M. Okafor", why="no", as_of=APRIL, now=NOW)
    assert came() is False
    assert asking.on_its_way(standing(settings)) == ()
    assert "is aborted" in asking.came_to(asked(), standing(settings))
    promoted(3, APRIL)
    assert came() is True
    assert asking.came_to(declined(DAY), standing(settings)) == "Nothing was trained."


def test_the_looks_of_a_day_are_those_before_it() -> None:
    found = (declined(MARCH), asked(DAY))
    assert asking.looks(found, DAY) == (declined(MARCH),)
    assert asking.looks(found, APRIL) == found
