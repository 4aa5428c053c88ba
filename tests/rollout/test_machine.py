"""The states of versions: which edges there are, and that one version decides whatever is tried, killed or raced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from automation.ledger import store
from automation.ledger.store import Ledger
from automation.models import BoostedModel
from automation.policy.authorization.requests import Automation
from automation.rollout import entering, kept, promotion
from automation.rollout.entering import Entered, Passed
from automation.rollout.machine import (
    DECIDING,
    EDGES,
    Champion,
    Kind,
    NoChampionError,
    State,
    UnknownModelVersionError,
    deciding_on,
    rollout,
    stream,
)
from automation.rollout.promotion import NotAllowedError, NotApprovedError, PromotionConflictError
from automation.settings import Settings
from automation.workload import Workload
from tests.rollout.conftest import (
    APRIL,
    JUNE,
    MARCH,
    MAY,
    NAME,
    NOW,
    RUNNING,
    KilledError,
    standing,
    workload_with,
)

Made = Callable[..., Champion]


def enter(
    settings: Settings, workload: Workload, version: int, as_of: date, model: BoostedModel, rows: pl.DataFrame
) -> Entered:
    candidate = Champion(NAME, version, model.digest, as_of)
    return entering.enter(
        settings, workload, Passed(candidate, model, rows, {}, {"training_set": 1}, {"run": "r"}), NOW
    )


def state(settings: Settings, version: int) -> State | None:
    return standing(settings).state(version)


def test_a_version_goes_from_registered_to_champion_and_the_one_before_retires_in_the_same_event(
    settings: Settings, promoted: Made
) -> None:
    promoted(1, MARCH)
    assert state(settings, 1) is State.CHAMPION
    promoted(2, APRIL)
    found = standing(settings)
    assert [(each.kind, each.version) for each in found.changes] == [
        (kind, version) for version in (1, 2) for kind in (Kind.REGISTERED, Kind.GATED, Kind.PROMOTED)
    ]
    assert found.changes[-1].leaves == 1
    assert (found.state(1), found.state(2)) == (State.RETIRED, State.CHAMPION)


def test_shadow_and_canary_count_from_their_day_on_and_end_with_the_promotion(settings: Settings, gated: Made) -> None:
    champion, other = gated(1, MARCH), gated(2, APRIL)
    promotion.promote(settings, NAME, champion, RUNNING, {}, NOW)
    promotion.shadow(settings, NAME, 2, as_of=APRIL, why="planned", now=NOW)
    assert state(settings, 2) is State.SHADOW
    for share, day in ((1.0, MAY), (5.0, date(2013, 5, 9))):
        said = {"share": share, "as_of": day, "why": "no harm", "evidence": {"e": 21.5}, "now": NOW}
        assert promotion.canary(settings, NAME, 2, **said)
        assert not promotion.canary(settings, NAME, 2, **said)
    promotion.promote(settings, NAME, Champion(NAME, 2, other.digest, JUNE), RUNNING, {}, NOW)
    found = standing(settings)
    assert [each.version for each in found.shadows(date(2013, 4, 20))] == [2]
    assert found.canary(date(2013, 4, 20)) is None
    shares = {day: made.share for day in (MAY, date(2013, 5, 20)) if (made := found.canary(day))}
    assert shares == {MAY: 1.0, date(2013, 5, 20): 5.0}
    assert found.shadows(MAY) == ()
    assert found.canary(JUNE) is None
    assert {day: change.version for day in (MARCH, MAY, JUNE) if (change := found.deciding(day))} == {
        MARCH: 1,
        MAY: 1,
        JUNE: 2,
    }


def test_a_canary_only_grows_and_there_is_one_at_a_time(settings: Settings, gated: Made) -> None:
    for version in (1, 2, 3):
        gated(version, MARCH)
    said = {"as_of": APRIL, "why": "planned", "evidence": {}, "now": NOW}
    promotion.canary(settings, NAME, 2, 25, **said)
    with pytest.raises(NotAllowedError, match="decides 25% of the cases; 5% would be fewer"):
        promotion.canary(settings, NAME, 2, 5, **said)
    with pytest.raises(NotAllowedError, match="Version 2 of flight_disruption is the canary, so version 3 cannot"):
        promotion.canary(settings, NAME, 3, 1, **said)
    assert promotion.abort(settings, NAME, 2, as_of=MARCH, by="A", why="slow", now=NOW)
    assert standing(settings).canary(APRIL) is None, "an abort counts from the canary's day on at the latest"
    assert promotion.canary(settings, NAME, 3, 1, **said)


def test_an_abort_is_for_good_and_a_champion_is_not_aborted(settings: Settings, promoted: Made, gated: Made) -> None:
    promoted(1, MARCH)
    aborted = gated(2, APRIL)
    said = {"as_of": MAY, "by": "A. Jensen", "why": "worse at one airport", "now": NOW}
    assert promotion.abort(settings, NAME, 2, **said)
    assert not promotion.abort(settings, NAME, 2, **said)
    assert not promotion.gate(settings, NAME, aborted, standing(settings).pinned(2), {}, NOW)
    with pytest.raises(NotAllowedError, match="Version 2 of flight_disruption was aborted: it cannot be promoted"):
        promotion.promote(settings, NAME, aborted, RUNNING, {}, NOW)
    with pytest.raises(NotAllowedError, match="is the champion: it cannot be aborted"):
        promotion.abort(settings, NAME, 1, **said)
    with pytest.raises(UnknownModelVersionError, match="knows no version 9"):
        promotion.abort(settings, NAME, 9, **said)
    assert (state(settings, 1), state(settings, 2)) == (State.CHAMPION, State.ABORTED)


def test_by_hand_only_what_waits_is_promoted_and_what_decided_before_comes_back_by_a_rollback(
    settings: Settings, promoted: Made, gated: Made
) -> None:
    promoted(1, MARCH)
    promoted(2, APRIL)
    gated(3, MAY)
    found = standing(settings)
    assert promotion.refuse_unless_waiting(found, 3).version == 3
    with pytest.raises(NotAllowedError, match="Version 2 of flight_disruption is the champion already"):
        promotion.refuse_unless_waiting(found, 2)
    with pytest.raises(NotAllowedError, match="Version 1 of flight_disruption decided before") as raised:
        promotion.refuse_unless_waiting(found, 1)
    assert "warrant model rollback --to 1" in raised.value.remedy


def test_what_did_not_pass_its_gates_is_not_promoted(settings: Settings) -> None:
    candidate = Champion(NAME, 1, "d" * 64, MARCH)
    with pytest.raises(UnknownModelVersionError):
        promotion.promote(settings, NAME, candidate, RUNNING, {}, NOW)
    assert promotion.register(settings, NAME, candidate, {}, NOW)
    assert not promotion.register(settings, NAME, candidate, {}, NOW)
    for attempt in (
        lambda: promotion.promote(settings, NAME, candidate, RUNNING, {}, NOW),
        lambda: promotion.shadow(settings, NAME, 1, as_of=MARCH, why="", now=NOW),
        lambda: promotion.canary(settings, NAME, 1, 1, as_of=MARCH, why="", evidence={}, now=NOW),
        lambda: promotion.approve(settings, NAME, 1, by="A", why="", now=NOW),
    ):
        with pytest.raises(NotAllowedError, match="has not passed its gates"):
            attempt()
    with pytest.raises(NoChampionError):
        deciding_on(settings, NAME, JUNE)


def test_a_promotion_has_the_approvals_of_as_many_persons_as_the_plan_asks_for(settings: Settings, gated: Made) -> None:
    candidate = gated(1, MARCH)

    def approve(name: str) -> tuple[str, ...]:
        return promotion.approve(settings, NAME, 1, by=name, why="looked at it", now=NOW)

    def promote() -> bool:
        return promotion.promote(settings, NAME, candidate, RUNNING, {}, NOW, approvals=2)

    assert approve("A. Jensen") == approve("A. Jensen") == ("A. Jensen",)
    with pytest.raises(NotApprovedError, match="has 1 of the 2 approvals that its plan asks for: A"):
        promote()
    assert approve("M. Okafor") == ("A. Jensen", "M. Okafor")
    assert promote()
    assert standing(settings).changes[-1].evidence["approved_by"] == ["A. Jensen", "M. Okafor"]


# ---------------------------------------------------------------- a candidate that passed its gates


def test_without_a_plan_a_candidate_is_promoted_and_pinned_to_what_made_it(
    settings: Settings, workload: Workload, models: dict[int, BoostedModel], rows: pl.DataFrame
) -> None:
    entered = enter(settings, workload, 1, MARCH, models[1], rows)
    assert (entered.state, entered.champion, entered.says) == (State.CHAMPION, 1, "now")
    assert enter(settings, workload, 1, MARCH, models[1], rows).says == "before, nothing changed"
    champion, pins = deciding_on(settings, NAME, JUNE)
    assert champion == Champion(NAME, 1, models[1].digest, MARCH)
    assert kept.model(settings, champion.digest).text == models[1].text
    assert len(kept.read(settings, pins.golden)) > 256 * 8 * 4
    assert pins.tables == {"training_set": 1}
    vector = workload.contract("feature_vector")
    assert pins.contracts["feature_vector"] == f"{vector.version} {vector.digest}"
    assert pins.running.code.startswith("0.1.0+")
    assert len(pins.running.policy) == len(str(pins.running.lock)) == 64


def test_the_plan_has_a_challenger_shadow_or_canary_first_but_not_a_first_version(
    settings: Settings, models: dict[int, BoostedModel], rows: pl.DataFrame
) -> None:
    careful = workload_with(shadow=True, canary=True)
    assert enter(settings, careful, 1, MARCH, models[1], rows).state is State.CHAMPION
    second = enter(settings, careful, 2, APRIL, models[2], rows)
    assert (second.state, second.champion, second.says) == (
        State.SHADOW,
        1,
        "not yet: it scores beside the champion first",
    )
    assert enter(settings, careful, 2, APRIL, models[2], rows).says == "not yet: it goes on as the plan says"
    third = enter(settings, workload_with(canary=True, shares=[10]), 3, MAY, models[3], rows)
    assert (third.state, third.says) == (State.CANARY, "not yet: it decides 10% of the cases first")
    steps = []
    for version in (2, 3):
        found = standing(settings)
        steps.append(promotion.next_stage(careful.spec.rollout, found, version))
    assert steps == [(Kind.CANARIED, 1), (Kind.CANARIED, 25)]


def test_what_needs_approvals_waits_for_them(
    settings: Settings, models: dict[int, BoostedModel], rows: pl.DataFrame
) -> None:
    entered = enter(settings, workload_with(materiality="medium"), 1, MARCH, models[1], rows)
    assert (entered.state, entered.champion) == (State.GATED, None)
    assert entered.says.startswith("not yet: Version 1 of flight_disruption has 0 of the 1 approvals")


def test_where_the_policy_does_not_let_the_automation_promote_a_person_has_to(
    settings: Settings, workload: Workload, models: dict[int, BoostedModel], rows: pl.DataFrame, monkeypatch: Any
) -> None:
    monkeypatch.setattr(entering, "Automation", lambda _: Automation("another_workload"))
    entered = enter(settings, workload, 1, MARCH, models[1], rows)
    assert (entered.state, entered.champion) == (State.GATED, None)
    assert entered.says.startswith("not yet: Automation 'another_workload' is not among the entities")


def test_a_version_that_was_taken_out_of_the_running_stays_so_when_it_is_trained_again(
    settings: Settings, workload: Workload, models: dict[int, BoostedModel], rows: pl.DataFrame, gated: Made
) -> None:
    enter(settings, workload, 1, MARCH, models[1], rows)
    gated(2, APRIL)
    promotion.abort(settings, NAME, 2, as_of=APRIL, by="A", why="leaks", now=NOW)
    entered = enter(settings, workload, 2, APRIL, models[2], rows)
    assert (entered.state, entered.champion) == (State.ABORTED, 1)
    assert entered.says == "no: it was taken out of the running, and stays so"


@pytest.mark.parametrize("point", range(10))
def test_killed_wherever_something_is_kept_the_champion_stays_and_doing_it_again_comes_to_the_same(
    settings: Settings,
    workload: Workload,
    models: dict[int, BoostedModel],
    rows: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    point: int,
) -> None:
    """Before and after each thing kept (the model, the golden set) and each event (registered, gated, promoted)."""
    enter(settings, workload, 1, MARCH, models[1], rows)
    reached = [0]

    def killed(honest: Callable) -> Callable:
        def run(*given: Any) -> Any:
            if reached[0] == point:
                raise KilledError
            result = honest(*given)
            if reached[0] + 1 == point:
                raise KilledError
            reached[0] += 2
            return result

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", killed(Ledger.append))
        patch.setattr(kept, "keep", killed(kept.keep))
        with pytest.raises(KilledError):
            enter(settings, workload, 2, APRIL, models[2], rows)
    found = standing(settings)
    assert found.champion is not None
    assert found.champion.version == (2 if point == 9 else 1)
    assert [found.state(version) for version in (1, 2)].count(State.CHAMPION) == 1
    for each in found.changes:
        if each.pinned is not None:
            assert kept.read(settings, each.pinned.golden), "an event names what is not there"
            assert kept.read(settings, each.champion.digest)
    assert enter(settings, workload, 2, APRIL, models[2], rows).champion == 2
    kinds = [(each.kind, each.version) for each in standing(settings).changes]
    assert len(kinds) == len(set(kinds)) == 6


def test_of_promoters_of_two_versions_at_once_each_that_is_done_was_told_of_the_other(
    settings: Settings, gated: Made
) -> None:
    candidates = [gated(version, MARCH) for version in (1, 2, 3)]
    start, outcomes = threading.Barrier(3), []

    def attempt(candidate: Champion) -> None:
        start.wait()
        try:
            outcomes.append(promotion.promote(settings, NAME, candidate, RUNNING, {}, NOW))
        except PromotionConflictError as told:
            outcomes.append(told)

    threads = [threading.Thread(target=attempt, args=(each,)) for each in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    found = standing(settings)
    made = [each for each in found.changes if each.kind is Kind.PROMOTED]
    assert len(made) == outcomes.count(True) >= 1
    assert [each.leaves for each in made] == [None, *(each.version for each in made[:-1])]
    assert [found.state(each) for each in found.versions].count(State.CHAMPION) == 1


def test_what_else_happens_meanwhile_is_no_conflict(
    settings: Settings, gated: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate is registered between the promoter's look and its append."""
    champion, honest = gated(1, MARCH), Ledger.append

    def append(ledger: Ledger, *given: Any) -> None:
        monkeypatch.undo()
        promotion.register(settings, NAME, Champion(NAME, 2, "d" * 64, APRIL), {}, NOW)
        honest(ledger, *given)

    monkeypatch.setattr(Ledger, "append", append)
    assert promotion.promote(settings, NAME, champion, RUNNING, {}, NOW)
    assert (state(settings, 1), state(settings, 2)) == (State.CHAMPION, State.REGISTERED)


DAYS = st.sampled_from([MARCH, APRIL, MAY, JUNE])
STEPS = st.lists(st.tuples(st.sampled_from(["gate", "shadow", "canary", "promote", "abort"]), st.integers(1, 3), DAYS))
_RUNS = iter(range(10**6))


@given(steps=STEPS)
@bounded(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_tried_in_whatever_order_only_edges_are_taken_and_one_version_decides(
    settings: Settings, steps: list[tuple[str, int, date]]
) -> None:
    from automation.rollout.pinned import Pinned

    name, pins = f"any_{next(_RUNS)}", Pinned("g" * 64, {}, {}, {}, RUNNING)
    for what, version, day in steps:
        candidate = Champion(name, version, f"{version:064d}", day)
        before = standing(settings, name)
        try:
            match what:
                case "gate":
                    promotion.register(settings, name, candidate, {}, NOW)
                    promotion.gate(settings, name, candidate, pins, {}, NOW)
                case "shadow":
                    promotion.shadow(settings, name, version, as_of=day, why="", now=NOW)
                case "canary":
                    promotion.canary(settings, name, version, 5, as_of=day, why="", evidence={}, now=NOW)
                case "promote":
                    promotion.promote(settings, name, candidate, RUNNING, {}, NOW)
                case "abort":
                    promotion.abort(settings, name, version, as_of=day, by="A", why="", now=NOW)
        except (NotAllowedError, UnknownModelVersionError):
            assert standing(settings, name) == before
            continue
        now = standing(settings, name)
        for made in now.changes[len(before.changes) :]:
            earlier = type(now)(name, now.changes[: made.number - 1])
            assert made.kind in EDGES[earlier.state(made.version)]
        assert [now.state(each) for each in now.versions].count(State.CHAMPION) == (now.champion is not None)
        assert now.champion is not None or before.champion is None
        # A day that had a champion has one still.
        assert all(now.deciding(each) for each in (MARCH, APRIL, MAY, JUNE) if before.deciding(each))
    with store.opened(settings) as ledger:
        assert len(ledger.events(stream(name))) == len(rollout(ledger, name).changes)


def test_every_state_that_a_version_can_be_in_has_its_edges() -> None:
    assert set(EDGES) == {None, *State}
    assert set(DECIDING) < set(Kind)
