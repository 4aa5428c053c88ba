"""The gates on a candidate, and what each says of what was found.

A candidate that was trained here is judged by `on_validation`, on the newest rows of its training set; any candidate by
`on_run` and `on_holdout`. A gate fails closed: where a candidate did not run, or too little is held out, `unjudged`
says so of every gate that is then without a finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dagster as dg

from automation import plots
from automation.gates.gate import Gate, Judgement
from automation.rollout.judging.metrics import Metric
from automation.rollout.judging.resampling import CalibrationError, Interval, Resamples, interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from automation.evaluation import Evaluation
    from automation.models import BoostedModel
    from automation.rollout.judging.beside import Beside
    from automation.rollout.judging.decisions import Decisions, WouldDecide
    from automation.rollout.judging.findings import Findings, Ran
    from automation.rollout.judging.plan import JudgingPlan
    from automation.rollout.judging.signature import Fit
    from automation.rollout.judging.slices import Slices
    from automation.rollout.sandbox.failure import ModelFailedError
    from automation.workload import ModelSpec

SEED: Final = 7
TELLING_DAYS: Final = 7
SIGNATURE: Final = Gate("signature", "The candidate takes what the feature service has, by name and type.")
RUNS: Final = Gate("runs", "It answers one probability a case, and tries nothing that a model may not.")
REPRODUCIBLE: Final = Gate(
    "reproducible", "It says the same again, to the bit: in another process, and of a row alone."
)
BASE_RATE: Final = Gate("beats_base_rate", "The candidate's Brier score beats predicting the base rate for everybody.")
SIMPLE_RULE: Final = Gate("beats_simple_rule", "The candidate ranks cases better than the workload's simple rule.")
CALIBRATED: Final = Gate("calibrated", "What it predicts is what happens, within the declared calibration error.")
NO_LEAK: Final = Gate(
    "no_leak", "Nothing explains nearly everything, no feature and no model: that would be the outcome in disguise."
)
BESIDE_CHAMPION: Final = Gate(
    "beside_champion", "On cases that neither was trained on, it is not proven worse than the champion beyond a margin."
)
NO_SLICE_WORSE: Final = Gate(
    "no_slice_worse", "In no slice of the cases is it proven worse than the champion beyond a margin."
)
FAST_ENOUGH: Final = Gate("fast_enough", "It predicts within the declared time a case and the declared memory.")
DECISIONS_KEPT: Final = Gate(
    "decisions_kept", "What it would decide is not proven to cost more, and does not go to persons much more often."
)
VALIDATION_GATES: Final = (BASE_RATE, SIMPLE_RULE, CALIBRATED, NO_LEAK)
# What a candidate that was trained here is judged by besides, on the whole days of its newest rows.
COMPARISON_GATES: Final = (BESIDE_CHAMPION, NO_SLICE_WORSE, DECISIONS_KEPT)
RUN_GATES: Final = (SIGNATURE, RUNS, REPRODUCIBLE, FAST_ENOUGH)
HOLDOUT_GATES: Final = (*VALIDATION_GATES, *COMPARISON_GATES)
ALL_GATES: Final = (*RUN_GATES, *HOLDOUT_GATES)
WORST_NAMED: Final = 5
# How what a gate says begins that had nothing to judge by.
UNJUDGED: Final = "Not judged."


def unjudged(gates: Sequence[Gate], why: str, partition: str | None) -> tuple[Judgement, ...]:
    """What gates say that there is nothing to judge by: no. ``why`` is a sentence."""
    return tuple(Judgement(gate, passed=False, says=f"{UNJUDGED} {why}", partition=partition) for gate in gates)


def too_little(gates: Sequence[Gate], why: str, partition: str | None) -> tuple[Judgement, ...]:
    """What gates say of a candidate that others have judged already, where there is too little to compare by: that it
    may go on, and why nothing is known. ``why`` is a sentence."""
    says = f"Too little to compare by, which holds nothing back. {why}"
    return tuple(Judgement(gate, passed=True, says=says, partition=partition) for gate in gates)


# ---------------------------------------------------------------- how it runs


def fits(fit: Fit, partition: str | None) -> Judgement:
    """Whether it takes what there is."""
    leaves = f" It leaves {', '.join(fit.leaves)}." if fit.leaves else ""
    return Judgement(
        SIGNATURE,
        passed=not fit.problems,
        says=" ".join(fit.problems) or f"It takes {len(fit.takes)} features of {fit.service}.{leaves}",
        partition=partition,
    )


def failed(failure: ModelFailedError, partition: str | None) -> Judgement:
    """What it did in place of answering."""
    return Judgement(
        RUNS, passed=False, says=f"It failed ({failure.kind}): {failure.says}. {failure.remedy}", partition=partition
    )


def on_run(ran: Ran, plan: JudgingPlan, partition: str | None) -> tuple[Judgement, ...]:
    """The gates on how it runs, of a candidate that ran."""
    return (
        fits(ran.signature, partition),
        Judgement(RUNS, passed=True, says=f"It answered for all {ran.cost.rows:,} cases.", partition=partition),
        Judgement(REPRODUCIBLE, passed=ran.reproduced.equal, says=ran.reproduced.says, partition=partition),
        _fast_enough(ran, plan, partition),
    )


def _fast_enough(ran: Ran, plan: JudgingPlan, partition: str | None) -> Judgement:
    problems = ran.cost.problems(plan)
    allowed = plots.bars(
        {
            "time, of what is allowed": ran.cost.milliseconds / plan.slowest,
            "memory, of what is allowed": ran.cost.peak_memory_bytes / plan.most_memory,
        },
        "What it takes",
        "1: all that is allowed",
    )
    return Judgement(
        FAST_ENOUGH,
        passed=not problems,
        says=" ".join((*problems, str(ran.cost))),
        partition=partition,
        metadata={"cost": plots.image(allowed)},
    )


# ---------------------------------------------------------------- what its predictions are worth


def on_validation(
    result: Evaluation, model: BoostedModel, given: ModelSpec, rate: float, partition: str | None
) -> tuple[Judgement, ...]:
    """The gates on a candidate that was trained here, on the newest rows of its training set.

    What a week's weather does to all of its cases is no fault of a model: that its calibration error is too large is to
    be proven, at ``rate``, where there are days enough to tell (`TELLING_DAYS`).
    """
    found, leak = result.metrics, result.strongest_feature
    error = _calibration_error(result, rate)
    return (
        _beats_base_rate(found["brier"], found["brier_base_rate"], partition),
        _beats_simple_rule(found["auc"], found["auc_simple_rule"], given.rule_feature, partition),
        _calibrated(
            result.probability,
            result.label,
            partition,
            given.calibration_error_limit,
            error,
        ),
        Judgement(
            NO_LEAK,
            passed=leak.auc <= given.leak_auc_limit,
            says=f"The strongest feature alone is {leak.name}, AUC {leak.auc:.3f}, at most {given.leak_auc_limit:.2f}.",
            partition=partition,
            metadata={"importance": dg.JsonMetadataValue({k: round(v, 4) for k, v in model.importance().items()})},
        ),
    )


def on_holdout(findings: Findings, model: ModelSpec, plan: JudgingPlan, partition: str | None) -> tuple[Judgement, ...]:
    """The gates on any candidate, on cases that were held out."""
    found, judged = findings.beside, findings.judged
    brier, auc, error = (found.of(metric).candidate for metric in (Metric.BRIER, Metric.AUC, Metric.CALIBRATION_ERROR))
    return (
        _beats_base_rate(brier.estimate, found.base_rate_brier, partition),
        _beats_simple_rule(auc.estimate, found.rule_auc, model.rule_feature, partition),
        _calibrated(
            judged.probabilities(judged.candidate),
            judged.holdout.label,
            partition,
            plan.calibration_error_limit,
            error,
        ),
        _no_leak(findings, plan, partition),
        _beside_champion(found, plan, partition),
        _no_slice_worse(findings.slices, plan, partition),
        _decisions_kept(findings.decisions, plan, partition),
    )


def spanned(found: Interval, digits: int) -> str:
    """An estimate with its interval, in words."""
    return f"{found.estimate:,.{digits}f} ({found.low:,.{digits}f} to {found.high:,.{digits}f})"


def _beats_base_rate(brier: float, base_rate: float, partition: str | None) -> Judgement:
    return Judgement(
        BASE_RATE,
        passed=brier < base_rate,
        says=f"Brier score {brier:.4f}, base rate {base_rate:.4f}.",
        partition=partition,
    )


def _beats_simple_rule(auc: float, rule_auc: float, feature: str, partition: str | None) -> Judgement:
    return Judgement(
        SIMPLE_RULE,
        passed=auc > rule_auc,
        says=f"AUC {auc:.3f}; ranking by {feature} alone: {rule_auc:.3f}.",
        partition=partition,
    )


def _calibrated(
    probability: np.ndarray, label: np.ndarray, partition: str | None, limit: float, error: Interval
) -> Judgement:
    passed = error.low <= limit
    says = (
        f"Calibration error {spanned(error, 3)}, not proven to be more than {limit:.3f}."
        if passed
        else f"Calibration error {spanned(error, 3)}: more than {limit:.3f}."
    )
    drawn = plots.image(plots.reliability(probability, label, "Reliability"))
    return Judgement(CALIBRATED, passed=passed, says=says, partition=partition, metadata={"reliability": drawn})


def _calibration_error(result: Evaluation, rate: float) -> Interval:
    """With what it may be; where there are too few days to tell, what it is."""
    error, days = result.metrics["calibration_error"], int(result.day.max()) + 1
    if days < TELLING_DAYS:
        return Interval(error, error, error)
    statistic = CalibrationError.of(result.probability, result.label, result.day, days)
    return interval(statistic, Resamples.drawn(days, SEED), rate).within(0.0, 1.0)


def _no_leak(findings: Findings, plan: JudgingPlan, partition: str | None) -> Judgement:
    leak, suspicions = findings.leak, findings.leak.suspicions(plan)
    beside = "" if leak.champion_auc is None else f", the champion's {leak.champion_auc:.3f}"
    strongest = (
        f" The strongest feature alone is {leak.strongest.name}, {leak.strongest.auc:.3f}." if leak.strongest else ""
    )
    aucs = {"candidate": leak.auc, "too good": plan.leak_auc_limit}
    if leak.champion_auc is not None:
        aucs["champion"] = leak.champion_auc
    if leak.strongest is not None:
        aucs[f"{leak.strongest.name} alone"] = leak.strongest.auc
    return Judgement(
        NO_LEAK,
        passed=not suspicions,
        says=" ".join(suspicions) or f"AUC {leak.auc:.3f}{beside}.{strongest}",
        partition=partition,
        metadata={"ranking": plots.image(plots.bars(aucs, "How well it ranks", "AUC"))},
    )


def _beside_champion(found: Beside, plan: JudgingPlan, partition: str | None) -> Judgement:
    brier, auc = found.of(Metric.BRIER), found.of(Metric.AUC)
    on = f"On {found.cases:,} cases of {found.days} days"
    if brier.more is None or brier.champion is None or auc.more is None:
        return Judgement(
            BESIDE_CHAMPION,
            passed=True,
            says=f"{on}: Brier score {spanned(brier.candidate, 4)}, AUC {spanned(auc.candidate, 3)}. There is no "
            "champion yet to be worse than.",
            partition=partition,
        )
    worse = brier.more.low > plan.champion_margin
    proven = (
        f"It is worse by more than {plan.champion_margin:g}"
        if worse
        else f"That it is worse by more than {plan.champion_margin:g} is not proven"
    )
    shown = [
        _worse(each.metric, each.more)
        for each in found.metrics
        if each.more is not None and each.metric is not Metric.DOLLARS
    ]
    return Judgement(
        BESIDE_CHAMPION,
        passed=not worse,
        says=f"{on}: Brier score {brier.candidate.estimate:.4f}, the champion's {brier.champion.estimate:.4f}, "
        f"difference {spanned(brier.more, 4)}. {proven}. The AUC's difference is {spanned(auc.more, 3)}.",
        partition=partition,
        metadata={
            "metrics": plots.image(
                plots.whiskers(shown, "Metrics", "worse than the champion (right: worse)", plan.champion_margin)
            )
        },
    )


def _worse(metric: Metric, more: Interval) -> plots.Whisker:
    """A difference, drawn so that right is worse. Of the AUC more is better."""
    if metric is Metric.AUC:
        return plots.Whisker("AUC, lost", -more.high, -more.estimate, -more.low)
    return plots.Whisker(metric.value, more.low, more.estimate, more.high)


def _no_slice_worse(slices: Slices | None, plan: JudgingPlan, partition: str | None) -> Judgement:
    if slices is None:
        return Judgement(
            NO_SLICE_WORSE, passed=True, says="There is no champion yet to be worse than.", partition=partition
        )
    left = f" Of too few cases or days to be judged: {'; '.join(map(str, slices.left_out))}." if slices.left_out else ""
    worse = slices.proven_worse(plan.slice_margin)
    if not slices.slices:
        return Judgement(
            NO_SLICE_WORSE,
            passed=True,
            says=f"No slice has enough cases and days to be judged.{left}",
            partition=partition,
        )
    if worse:
        named = "; ".join(
            f"{each.name} by {spanned(each.worse, 4)} on {each.cases:,} cases" for each in worse[:WORST_NAMED]
        )
        others = f"; and {len(worse) - WORST_NAMED} more" if len(worse) > WORST_NAMED else ""
        says = f"Its Brier score is worse than the champion's by more than {plan.slice_margin:g} in {named}{others}."
    else:
        worst = slices.slices[0]
        says = (
            f"In none of {len(slices.slices)} slices is it proven worse by more than {plan.slice_margin:g}. Nearest to "
            f"it comes {worst.name}: {spanned(worst.worse, 4)} on {worst.cases:,} cases."
        )
    return Judgement(
        NO_SLICE_WORSE,
        passed=not worse,
        says=says + left,
        partition=partition,
        metadata={"slices": plots.image(slices.plot(plan.slice_margin))},
    )


def _decisions_kept(decisions: Decisions, plan: JudgingPlan, partition: str | None) -> Judgement:
    worse, than = decisions.dollars_worse, "doing nothing" if decisions.champion is None else "the champion's"
    problems = []
    if worse.low > plan.most_dollars_worse:
        problems.append(
            f"Its decisions cost ${spanned(worse, 2)} a case more than {than}, above ${plan.most_dollars_worse:,.2f}."
        )
    if decisions.reviews_more > plan.most_reviews_more:
        problems.append(
            f"{decisions.reviews_more:.1%} more of the cases would go to a person: more than "
            f"{plan.most_reviews_more:.1%}."
        )
    said = [f"It would decide {decided(decisions.candidate)}."]
    if decisions.champion is not None:
        said.append(
            f"The champion: {decided(decisions.champion)}. {decisions.otherwise:,} cases are decided otherwise."
        )
    if worse.low <= plan.most_dollars_worse:
        said.append(f"Dollars a case above {than}: {spanned(worse, 2)}.")
    volumes = {
        f"{volume.action}, {who}": float(volume.cases)
        for who, would in (("candidate", decisions.candidate), ("champion", decisions.champion))
        if would is not None
        for volume in would.volumes
    }
    return Judgement(
        DECISIONS_KEPT,
        passed=not problems,
        says=" ".join((*problems, *said)),
        partition=partition,
        metadata={"actions": plots.image(plots.bars(dict(sorted(volumes.items())), "What it would decide", "cases"))},
    )


def decided(would: WouldDecide) -> str:
    """What a version would decide, in words."""
    volumes = ", ".join(f"{volume.action} {volume.cases:,}" for volume in would.volumes)
    return (
        f"{would.automation_rate:.1%} of {would.cases:,} cases by itself ({volumes}), {would.held_back:,} held back by "
        "a limit"
    )
