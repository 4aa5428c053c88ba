"""A past decision made again from what its row recorded, and compared with the row byte for byte.

The row holds the features and what was used of the limits when the case's turn came, and names the model, the policy
and the contract of the vector by digest; what is had by those digests makes it again, by itself. A whole day can be
made again without what its rows say of the limits, from what the ledger says others had used of them. What was usual
where places follow the day is the ledger's in both cases. Compared is the canonical JSON that the ledger commits to
(`automation.ledger.decisions`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from automation.errors import WarrantError
from automation.explanation.evidence import KEY
from automation.lakehouse import DAY
from automation.ledger import decisions as ledger_decisions
from automation.ledger.canonical import canonical_rows
from automation.policy.deciding import Weighed, decided, each_alone
from automation.policy.evidence import parsed, phrases
from contracts import canonical_json
from contracts.document import load
from contracts.enforcement import enforce
from contracts.publication import published

if TYPE_CHECKING:
    from collections.abc import Callable

    from automation.explanation.evidence import Decided
    from automation.ledger.store import Ledger
    from automation.models import Model
    from automation.policy.bundle import PolicyBundle
    from automation.workload import Workload
    from contracts.document import Contract

MODEL = ("model", "model_version", "model_digest", "model_stage")


class UnrepeatableError(WarrantError):
    """A decision cannot be made again: something it names cannot be had, or its day names two of it."""


@dataclass(frozen=True)
class Difference:
    """A column in which the decision made again is not as the row: both as canonical JSON."""

    column: str
    stored: str
    made_again: str


@dataclass(frozen=True)
class Replayed:
    """A decision made again. ``differences`` is empty where the bytes are the same."""

    case: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Commitment:
    """Whether the ledger commits to the day's rows as the table has them, and so to each of them."""

    held: bool
    says: str


@dataclass(frozen=True)
class Kept:
    """Where models (by name, version and digest) and policies (by version) are had that once decided."""

    model: Callable[[str, int, str], Model]
    policy: Callable[[str], PolicyBundle]


def whole(workload: Workload, found: Decided, kept: Kept) -> tuple[Replayed, ...]:
    """Makes a whole day's decisions again, in their order, from what others had used of the limits.

    Raises:
        NoPolicyError: the policy they name cannot be had.
        UnknownVersionError: the model they name cannot be had.
        UnrepeatableError: the vector's contract cannot be had, or one day names two policies or contracts.
    """
    return _replayed(workload, found, kept, lambda weighed, words: decided(weighed, words, found.used))


def each(workload: Workload, found: Decided, kept: Kept) -> tuple[Replayed, ...]:
    """Makes decisions again, each by itself, from what was used of the limits when its turn came.

    Raises:
        UnreadableEvidenceError: a row does not say so.
        UsesInvalidError: likewise.
        WarrantError: what `whole` raises.
    """
    return _replayed(workload, found, kept, lambda weighed, words: each_alone(weighed, words, found.turns))


def _replayed(
    workload: Workload, found: Decided, kept: Kept, decide: Callable[[Weighed, dict[str, str]], pl.DataFrame]
) -> tuple[Replayed, ...]:
    stored = found.rows.drop(DAY, strict=False)
    again = _made_again(workload, found, kept, decide).select(stored.columns)
    before, after = canonical_rows(stored), canonical_rows(again)
    return tuple(
        Replayed(case, () if a == b else _differences(a, b))
        for case, a, b in zip(stored[KEY], before, after, strict=True)
    )


def _made_again(
    workload: Workload, found: Decided, kept: Kept, decide: Callable[[Weighed, dict[str, str]], pl.DataFrame]
) -> pl.DataFrame:
    """The rows as their evidence makes them now, in the columns and types of the table."""
    rows = found.rows
    policy = kept.policy(_only(found, "policy_version"))
    vector = vector_of(workload, *_vector_recorded(workload, found))
    scored = _scored_again(found, vector, kept)
    day = replace(
        found.evidence,
        scores=scored.select(KEY, "event_time", "probability", "problems", "model_version", "model_stage"),
        features=parsed(scored["features"], [column.name for column in vector.columns]),
        contributions=parsed(scored["contributions"], workload.seen_of(vector)),
    )
    chosen = decide(Weighed(day, policy), phrases(workload, vector))
    made = {name: chosen[name] for name in chosen.columns}
    made |= {name: scored[name] for name in ("features", "contributions", "probability", *MODEL)}
    made["policy_version"] = pl.Series([policy.version] * rows.height)
    made["rule_value"] = day.features[workload.spec.model.rule_feature]
    return rows.with_columns(made[name].cast(rows.schema[name]).alias(name) for name in made if name in rows.columns)


def committed(ledger: Ledger, workload: Workload, found: Decided) -> Commitment:
    """Whether the newest event of the day's stream in the ledger commits to exactly these rows."""
    named = ledger_decisions.stream(workload.name, found.on)
    events = ledger.events(named)
    if not events:
        return Commitment(False, f"the ledger has no stream {named}: nothing commits to these rows")
    made = ledger_decisions.batch_of(found.rows).committed
    if events[-1].data["batches"][ledger_decisions.TABLE] != made:
        return Commitment(False, f"version {events[-1].version} of {named} commits to other rows than the table has")
    return Commitment(True, f"version {events[-1].version} of {named} commits to it")


def vector_of(workload: Workload, version: str, digest: str) -> Contract:
    """The contract of the feature vector that a decision names, as it is now or as it was published.

    Raises:
        UnrepeatableError: no such bytes are here.
    """
    now = workload.contract(workload.spec.model.contract)
    if now.digest == digest:
        return now
    for each in published(now.path.parent):
        if each.table == now.name and each.digest == digest and each.path.exists():
            return load(each.path)
    raise UnrepeatableError(
        f"The contract {now.name} {version} with the digest {digest[:12]} cannot be had: it is neither the one that is "
        "declared now nor a published one.",
        remedy="Check out the contracts of that time, then run this again.",
    )


def _only(found: Decided, column: str) -> str:
    values = found.rows[column].unique().to_list()
    if len(values) != 1:
        raise UnrepeatableError(
            f"The decisions of {found.on} name {len(values)} values of {column}: they were not made together.",
            remedy="`warrant ledger reconcile` says whether the table was changed; replay the day to decide it anew.",
        )
    return values[0]


def _vector_recorded(workload: Workload, found: Decided) -> tuple[str, str]:
    version, digest = json.loads(_only(found, "contracts"))[workload.spec.model.contract]
    return version, digest


def _scored_again(found: Decided, vector: Contract, kept: Kept) -> pl.DataFrame:
    """The day's scores from the recorded features: what keeps the contract is scored, the rest says why it is not."""
    rows = found.rows.select(KEY, "event_time", "features", *MODEL)
    parts = [_unscored(part, vector) for part in rows.filter(pl.col("model").is_null()).iter_slices(1)]
    for (name, version, digest, _), part in rows.drop_nulls("model").group_by(*MODEL, maintain_order=True):
        model = kept.model(str(name), int(str(version)), str(digest))
        values = _vectors(found, part["features"].to_list(), vector)
        shares = model.contributions(values)
        parts.append(
            part.with_columns(
                features=_texts(values),
                probability=pl.Series(model.predict(values), dtype=pl.Float64),
                contributions=pl.lit(None, pl.String) if shares is None else _texts(shares),
                problems=pl.lit("[]"),
                model_digest=pl.lit(model.digest),
            )
        )
    return pl.concat(parts, how="diagonal").sort("event_time", KEY)


def _vectors(found: Decided, texts: list[str], vector: Contract) -> pl.DataFrame:
    try:
        return canonical_json.frame(texts, vector.schema)
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise UnrepeatableError(
            f"The features of {found.on} are not what {vector.name} {vector.version} says: {error}.",
            remedy="`warrant ledger reconcile` says whether the table was changed.",
        ) from error


def _unscored(row: pl.DataFrame, vector: Contract) -> pl.DataFrame:
    """A case that was not scored, with the rules of the vector's contract that it breaks."""
    held = json.loads(row["features"][0] or "{}")
    problems: list[str] = []
    if held:
        broken = enforce(pl.DataFrame([held]), vector).quarantined
        problems = broken["rules"][0].to_list() if broken.height else []
    return row.with_columns(
        probability=pl.lit(None, pl.Float64),
        contributions=pl.lit(None, pl.String),
        problems=pl.lit(json.dumps(problems, ensure_ascii=False) if problems else None, pl.String),
    )


def _texts(frame: pl.DataFrame) -> pl.Series:
    return pl.Series(canonical_json.rows(frame), dtype=pl.String)


def _differences(stored: bytes, again: bytes) -> tuple[Difference, ...]:
    before, after = json.loads(stored), json.loads(again)
    told = partial(json.dumps, ensure_ascii=False, sort_keys=True)
    return tuple(
        Difference(name, told(before.get(name)), told(after.get(name)))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
