"""The explanation of one decision, whole: reasons, shares, rules, counterfactuals, uncertainty and what it rests on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from automation.calendar import Days
from automation.explanation import cells
from automation.explanation.bands import Band, bands
from automation.explanation.counterfactual import Asked, Counterfactual, Target, counterfactuals
from automation.explanation.deciding import Applied, Turn
from automation.explanation.evidence import BASE, TABLE
from automation.explanation.shares import Shares, shares
from automation.explanation.uncertainty import (
    NoInterval,
    Robustness,
    Uncertainty,
    known_outcomes,
    robustness,
    uncertainty,
)
from automation.policy.activation import NoPolicyError
from automation.policy.bundle import OtherContentError
from automation.policy.deciding import REVIEW, Weighed
from automation.policy.evidence import parsed
from automation.registry import UnknownVersionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from automation.explanation.evidence import Decided
    from automation.explanation.replayed import Kept
    from automation.lakehouse import Lakehouse
    from automation.models import Model
    from automation.workload import Workload
    from contracts.document import Contract

# What a value could have been is taken from the cases of so many days, the case's own among them.
SEEN_DAYS = 7
# A share of the log-odds beyond rounding that is neither base nor feature: the row was changed, or is no model's.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Basis:
    """The versions that a decision rests on."""

    model: str | None
    model_version: int | None
    model_digest: str | None
    feature_service: str
    contracts: Mapping[str, str]
    policy_version: str


@dataclass(frozen=True)
class Explanation:
    """Why a case was decided as it was. What is None or empty is so for a reason that ``lacking`` gives."""

    workload: str
    case: str
    day: str
    decided_at: str
    action: str
    action_says: str
    status: str
    probability: float | None
    reasons: tuple[str, ...]
    review_reasons: tuple[str, ...]
    expected_costs: Mapping[str, float]
    rules: tuple[Applied, ...]
    shares: Shares | None
    missing: tuple[str, ...]
    bands: tuple[Band, ...]
    counterfactuals: tuple[Counterfactual, ...]
    uncertainty: Uncertainty | NoInterval | None
    robustness: Robustness | None
    basis: Basis
    lacking: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing that could be said is left out: a policy or a model that is gone makes it less."""
        return not self.lacking

    def as_json(self) -> dict[str, Any]:
        """The explanation as JSON has it."""
        told = asdict(self)
        if self.shares is not None:
            effects = [share.effect for share in self.shares.shares]
            for said, effect in zip(told["shares"]["shares"], effects, strict=True):
                said["effect"] = effect
        return told


def explain(lake: Lakehouse, workload: Workload, found: Decided, case: str, kept: Kept) -> Explanation:
    """Explains the decision of a case.

    Raises:
        UnknownDecisionError: the day has no such case.
    """
    at = found.position(case)
    row = found.rows.row(at, named=True)
    vector = workload.contract(workload.spec.model.contract)
    lacking: list[str] = []
    turn = _turn(found, at, row["policy_version"], kept, lacking)
    case_features = found.evidence.features[at]
    features = case_features.row(0, named=True)
    told, around, whatifs, known, robust = None, None, (), None, None
    if row["probability"] is not None:
        if row["contributions"] is not None:
            told = shares(contributions_of(workload, found.rows[at]), features, row["probability"], vector)
            if abs(told.rest) > ROUNDING:
                lacking.append(
                    f"base and shares lack {told.rest:.3g} of the probability's log-odds: the row is not what a model "
                    "made"
                )
        known = uncertainty(known_outcomes(lake, workload, found.on, row["event_time"]), row["probability"])
        if turn is not None:
            around = bands(case_features, turn.redecide)
            if isinstance(known, Uncertainty):
                robust = robustness(around, row["probability"], known)
            model = _model(kept, row, lacking)
            if model is not None:
                asked = Asked(case_features, row["probability"], model, turn.redecide, around, turn.reads, vector)
                possible = cells.options(vector, features, _seen(lake, workload, found, vector), model, turn.reads)
                whatifs = counterfactuals(asked, possible, targets(turn.actions, row["action"], row["status"]))
    return Explanation(
        workload=workload.name,
        case=case,
        day=found.on.isoformat(),
        decided_at=row["event_time"].isoformat(),
        action=row["action"],
        action_says=turn.actions.get(row["action"], row["action"]) if turn else row["action"],
        status=row["status"],
        probability=row["probability"],
        reasons=tuple(json.loads(row["reasons"])),
        review_reasons=tuple(json.loads(row["review_reasons"])),
        expected_costs=json.loads(row["expected_costs"] or "{}"),
        rules=turn.applied() if turn else (),
        shares=told,
        missing=tuple(c.name for c in vector.columns if c.name in workload.model_features and features[c.name] is None),
        bands=around.bands if around else (),
        counterfactuals=whatifs,
        uncertainty=known,
        robustness=robust,
        basis=_basis(row),
        lacking=tuple(lacking),
    )


def targets(actions: Mapping[str, str], action: str, status: str) -> list[Target]:
    """The decisions there could have been instead: each other action; of a case under review, the machine's alone."""
    others = [Target(name, f"to {says}") for name, says in actions.items() if name != action]
    return [Target(None, "the machine alone"), *others] if status == REVIEW else others


def contributions_of(workload: Workload, row: pl.DataFrame) -> dict[str, float | None]:
    """The contributions that a decision (one row) holds, with their base."""
    return parsed(row["contributions"], [*workload.model_features, BASE]).row(0, named=True)


def _turn(found: Decided, at: int, version: str, kept: Kept, lacking: list[str]) -> Turn | None:
    try:
        weighed = Weighed(found.evidence, kept.policy(version))
    except (NoPolicyError, OtherContentError) as error:
        lacking.append(f"rules and counterfactuals: {error.message} {error.remedy}")
        return None
    return Turn.of(weighed, weighed.choose(found.used), found.used, at)


def _model(kept: Kept, row: dict[str, Any], lacking: list[str]) -> Model | None:
    try:
        return kept.model(row["model"], row["model_version"], row["model_digest"])
    except UnknownVersionError as error:
        lacking.append(f"counterfactuals: {error.message} {error.remedy}")
        return None


def _seen(lake: Lakehouse, workload: Workload, found: Decided, vector: Contract) -> pl.DataFrame:
    """The features of the cases of the last days, the case's own day among them."""
    days = workload.calendar.within(Days.one(found.on).widened(SEEN_DAYS - 1))
    earlier = lake.read(workload.name, TABLE, days, ["features"])
    return parsed(earlier["features"], [column.name for column in vector.columns if column.changeable])


def _basis(row: dict[str, Any]) -> Basis:
    return Basis(
        row["model"],
        row["model_version"],
        row["model_digest"],
        row["feature_service"],
        {name: version for name, (version, _) in json.loads(row["contracts"]).items()},
        row["policy_version"],
    )
