"""A rollback goes to what was good, proved byte for byte, or says what differs; killed anywhere, one decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from automation import database
from automation.ledger.store import Ledger
from automation.models import BoostedModel
from automation.policy.activation import NotAuthorizedError
from automation.policy.authorization import Automation
from automation.registry import ModelRegistry
from automation.rollout import kept, promotion
from automation.rollout.golden import GoldenSet
from automation.rollout.machine import Champion, Kind, State
from automation.rollout.promotion import NotAllowedError, PromotionConflictError
from automation.rollout.rollback import NothingToRollBackToError, RollbackRefusedError, RolledBack, roll_back
from automation.settings import Settings
from automation.workload import Workload
from tests.rollout.conftest import (
    APRIL,
    JUNE,
    MARCH,
    MAY,
    NAME,
    NOW,
    OPERATOR,
    REVIEWER,
    RUNNING,
    KilledError,
    standing,
)

Promoted = Callable[..., Champion]


def back(settings: Settings, workload: Workload, **given: Any) -> RolledBack:
    words = {"by": OPERATOR, "why": "it misses the evening flights", "as_of": MAY, "views": dict, "now": lambda: NOW}
    return roll_back(settings, workload, **{**words, **given})


def champions(settings: Settings) -> dict[str, int]:
    found = standing(settings)
    return {f"{day:%B}": change.version for day in (MARCH, APRIL, MAY, JUNE) if (change := found.deciding(day))}


def changed_model(settings: Settings, digest: str, content: bytes) -> None:
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE kept_contents SET content = %s WHERE digest = %s", (content, digest))


def test_the_version_before_decides_again_from_the_day_on_and_no_day_before_it_changes(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    first, second = promoted(1, MARCH), promoted(2, APRIL)
    done = back(settings, workload)
    assert (done.change.version, done.leaves) == (1, 2)
    assert done.golden == "all 256 vectors of the golden set have the scores they had, byte for byte"
    assert champions(settings) == {"March": 1, "April": 2, "May": 1, "June": 1}
    found = standing(settings)
    assert (found.state(1), found.state(2)) == (State.CHAMPION, State.ROLLED_BACK)
    [begun, ended] = [each for each in found.changes if each.kind in (Kind.ROLLING_BACK, Kind.ROLLED_BACK)]
    assert (begun.leaves, ended.leaves, ended.evidence["begun"]) == (2, 2, begun.number)
    assert ended.champion == Champion(NAME, 1, first.digest, MAY)
    assert ended.pinned is not None
    assert begun.pinned is not None
    assert ended.pinned.golden == begun.pinned.golden
    assert (ended.by, ended.why) == (OPERATOR, "it misses the evening flights")
    # What is not as it was is said: in the tests the code and the policy were pinned to others.
    assert "the code changed" in done.notes
    with pytest.raises(NotAllowedError, match="Version 2 of flight_disruption was rolled back: it cannot be promoted"):
        promotion.promote(settings, NAME, second, RUNNING, {}, NOW)


def test_it_takes_no_mlflow_and_scoring_loads_the_version_without_it(
    settings: Settings, workload: Workload, promoted: Promoted, rows: pl.DataFrame, models: dict[int, BoostedModel]
) -> None:
    champion = promoted(1, MARCH)
    promoted(2, APRIL)
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA mlflow CASCADE")
    began = time.perf_counter()
    back(settings, workload)
    assert time.perf_counter() - began < 5
    loaded = ModelRegistry(settings, NAME, NAME).load(1, champion.digest)
    assert loaded.predict(rows).tobytes() == models[1].predict(rows).tobytes()


def test_a_golden_set_that_is_scored_otherwise_refuses_it_and_the_champion_stays(
    settings: Settings, workload: Workload, promoted: Promoted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the last bit of one score, as another LightGBM or another machine might have it."""
    promoted(1, MARCH)
    promoted(2, APRIL)
    honest = BoostedModel.predict

    def another(model: BoostedModel, frame: pl.DataFrame) -> np.ndarray:
        scores = honest(model, frame).copy()
        scores[17] = np.nextafter(scores[17], 1)
        return scores

    monkeypatch.setattr(BoostedModel, "predict", another)
    with pytest.raises(RollbackRefusedError, match="1 of 256 vectors of the golden set are scored otherwise") as raised:
        back(settings, workload)
    assert "the first, number 17" in raised.value.message
    assert "Version 2 goes on deciding" in raised.value.message
    assert champions(settings)["June"] == 2
    found = standing(settings)
    assert found.changes[-1].kind is Kind.ROLLBACK_REFUSED
    assert "number 17" in found.changes[-1].evidence["differs"][0]
    assert (found.state(1), found.state(2), found.rolling_back) == (State.RETIRED, State.CHAMPION, None)
    monkeypatch.undo()
    assert back(settings, workload).change.version == 1


def test_a_kept_model_that_was_changed_or_is_gone_refuses_it(
    settings: Settings, workload: Workload, promoted: Promoted, models: dict[int, BoostedModel]
) -> None:
    first = promoted(1, MARCH)
    promoted(2, APRIL)
    changed_model(settings, first.digest, models[2].text.encode())
    with pytest.raises(RollbackRefusedError, match="it was changed"):
        back(settings, workload)
    with database.connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM kept_contents WHERE digest = %s", (first.digest,))
    with pytest.raises(RollbackRefusedError, match="Nothing is kept under the digest"):
        back(settings, workload)
    assert champions(settings)["June"] == 2


def test_views_that_mean_something_else_refuse_it_since_scoring_would(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    promoted(1, MARCH, {"weather": "a"})
    promoted(2, APRIL)
    with pytest.raises(RollbackRefusedError, match="weather means something else now than when it was trained"):
        back(settings, workload, views=lambda: {"weather": "b"})
    assert back(settings, workload, views=lambda: {"weather": "a"}).change.version == 1


def test_twice_goes_further_back_and_never_to_what_was_rolled_back(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    for version, day in ((1, MARCH), (2, APRIL), (3, MAY)):
        promoted(version, day)
    assert back(settings, workload).change.version == 2
    assert back(settings, workload, as_of=JUNE).change.version == 1
    with pytest.raises(
        NothingToRollBackToError, match="No other version of flight_disruption decided before version 1"
    ):
        back(settings, workload, as_of=JUNE)
    for version in (2, 3):
        with pytest.raises(NothingToRollBackToError, match=f"Version {version} .* is rolled back"):
            back(settings, workload, to=version, as_of=JUNE)


def test_it_goes_to_the_version_that_is_named(settings: Settings, workload: Workload, promoted: Promoted) -> None:
    for version, day in ((1, MARCH), (2, APRIL), (3, MAY)):
        promoted(version, day)
    assert back(settings, workload, to=1).change.version == 1
    assert standing(settings).state(2) is State.RETIRED


def test_one_that_would_not_last_is_refused(settings: Settings, workload: Workload, promoted: Promoted) -> None:
    promoted(1, MARCH)
    promoted(2, MAY)
    with pytest.raises(NothingToRollBackToError, match="would end on 2013-05-01"):
        back(settings, workload, as_of=APRIL)
    assert [each.kind for each in standing(settings).changes].count(Kind.ROLLING_BACK) == 0


def test_without_a_version_before_there_is_nothing_to_go_back_to(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    with pytest.raises(NothingToRollBackToError, match="has no champion"):
        back(settings, workload)
    promoted(1, MARCH)
    with pytest.raises(NothingToRollBackToError, match="No other version"):
        back(settings, workload)
    assert champions(settings)["June"] == 1


def test_whom_the_policy_does_not_let_changes_nothing_and_the_automation_may(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL)
    before = len(standing(settings).changes)
    for person in (REVIEWER, "Nobody"):
        with pytest.raises(NotAuthorizedError):
            back(settings, workload, by=person)
    assert len(standing(settings).changes) == before
    assert back(settings, workload, by=Automation(NAME)).change.by == "the automation of flight_disruption"


@pytest.mark.parametrize("point", range(4))
def test_killed_at_each_point_where_something_is_kept_one_version_decides_and_the_same_command_finishes_it(
    settings: Settings, workload: Workload, promoted: Promoted, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    """Before and after each of the two events."""
    promoted(1, MARCH)
    promoted(2, APRIL)
    honest, calls = Ledger.append, [0]

    def append(ledger: Ledger, *given: Any) -> None:
        if calls[0] == point:
            raise KilledError
        honest(ledger, *given)
        if calls[0] + 1 == point:
            raise KilledError
        calls[0] += 2

    monkeypatch.setattr(Ledger, "append", append)
    with pytest.raises(KilledError):
        back(settings, workload)
    monkeypatch.undo()
    done = point == 3
    assert champions(settings) == {"March": 1, "April": 2, "May": 1 if done else 2, "June": 1 if done else 2}
    states = [standing(settings).state(version) for version in (1, 2)]
    assert states.count(State.CHAMPION) == 1
    if done:
        with pytest.raises(NothingToRollBackToError):
            back(settings, workload)
    else:
        assert back(settings, workload).change.version == 1
    kinds = [each.kind for each in standing(settings).changes]
    assert (kinds.count(Kind.ROLLING_BACK), kinds.count(Kind.ROLLED_BACK)) == (1, 1)
    assert champions(settings)["June"] == 1


def test_a_promotion_while_it_is_proved_wins_and_the_rollback_is_told(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL, {"weather": "a"})
    promoted(3, MAY)

    def views() -> dict[str, str]:
        promotion.promote(
            settings, NAME, Champion(NAME, 1, standing(settings).of(1)[0].champion.digest, JUNE), RUNNING, {}, NOW
        )
        return {"weather": "a"}

    with pytest.raises(PromotionConflictError, match="while version 2 was being proved"):
        back(settings, workload, views=views)
    assert champions(settings) == {"March": 1, "April": 2, "May": 3, "June": 1}
    assert [each.kind for each in standing(settings).changes].count(Kind.ROLLED_BACK) == 0


def test_of_two_at_once_one_is_done_and_the_other_told(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL)
    start, outcomes = threading.Barrier(3), []

    def attempt(number: int) -> None:
        # At one instant for one reason it would be one event, said three times.
        start.wait()
        try:
            outcomes.append(back(settings, workload, now=lambda: NOW + timedelta(microseconds=number)))
        except (PromotionConflictError, NothingToRollBackToError) as told:
            outcomes.append(told)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    assert len([each for each in outcomes if isinstance(each, RolledBack)]) == 1
    assert [each.kind for each in standing(settings).changes].count(Kind.ROLLED_BACK) == 1
    assert champions(settings)["June"] == 1


def test_a_golden_set_is_kept_to_the_bit(rows: pl.DataFrame, models: dict[int, BoostedModel]) -> None:
    made = GoldenSet.of(models[1], rows)
    again = GoldenSet.read(made.content())
    assert again.scores.tobytes() == made.scores.tobytes()
    assert again.vectors.equals(made.vectors)
    assert again.content() == made.content()
    assert again.compared(models[1]).equal
    assert again.compared(models[2]).different > 200
    narrower = BoostedModel(models[1].booster, ("delay", "wind"))
    assert again.compared(narrower).says == "the model and its golden set have not the same features: noise"


def test_what_is_kept_is_found_by_its_digest_or_not_at_all(settings: Settings) -> None:
    digest = kept.keep(settings, b"a")
    assert kept.keep(settings, b"a") == digest
    assert kept.read(settings, digest) == b"a"
    changed_model(settings, digest, b"b")
    with pytest.raises(kept.KeptChangedError):
        kept.read(settings, digest)
    with pytest.raises(kept.NotKeptError):
        kept.read(settings, "0" * 64)


def test_a_day_is_asked_as_of_that_day_whatever_was_promoted_since(
    settings: Settings, workload: Workload, promoted: Promoted
) -> None:
    promoted(1, MARCH)
    promoted(3, MAY)
    promoted(2, APRIL)  # Promoted last, for days in between: it never is the champion of the days to come.
    found = standing(settings)
    assert (found.state(2), found.state(3)) == (State.RETIRED, State.CHAMPION)
    # Back to who decided the day before, not to whom was promoted before.
    assert back(settings, workload, as_of=MAY + timedelta(days=9)).change.version == 2
    assert champions(settings) == {"March": 1, "April": 2, "May": 3, "June": 2}
    assert standing(settings).deciding(date(2013, 5, 9)).version == 3
