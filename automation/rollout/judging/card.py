"""The model card: what a person should know of a version before trusting it, in Markdown.

Its sections are those of Mitchell et al., Model Cards for Model Reporting (FAT* 2019, arXiv:1810.03993). It is a
function of what was found, so that the same findings give the same card; what is not known is said, too. Whatever the
model's author wrote is put down as text, and can neither add a section nor a link.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automation.rollout.judging.gates import decided, spanned
from automation.rollout.judging.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from automation.gates.gate import Judgement
    from automation.rollout.judging.findings import Findings, Ran
    from automation.rollout.judging.plan import JudgingPlan
    from automation.rollout.judging.resampling import Interval
    from automation.workload import WorkloadSpec

DIGITS = {Metric.AUC: 3, Metric.BRIER: 4, Metric.LOG_LOSS: 4, Metric.CALIBRATION_ERROR: 3, Metric.DOLLARS: 2}
SLICES_SHOWN = 20
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!~])")


@dataclass(frozen=True)
class Origin:
    """Where a version comes from, as its registration says.

    ``flavor`` is how MLflow loads it ("lightgbm"); ``trained_until`` the last day that it was trained on, None if
    nobody says so.
    """

    model: str
    version: int
    digest: str
    source: str
    flavor: str
    registered_by: str
    registered_at: datetime
    trained_until: date | None
    description: str


@dataclass(frozen=True)
class Judging:
    """When a version was judged, by which plan and with which seed, and what the gates said."""

    at: datetime
    plan: JudgingPlan
    seed: int
    policy_version: str
    judgements: Sequence[Judgement]


def card(origin: Origin, spec: WorkloadSpec, ran: Ran, findings: Findings, judging: Judging) -> str:
    """The card of a version that was judged."""
    sections = (
        ("Model details", _details(origin, ran)),
        ("Intended use", _use(spec)),
        ("Gates", _gates(judging)),
        ("Evaluation data", _data(findings)),
        ("Metrics", _metrics(findings, judging.plan)),
        ("Factors", _slices(findings, judging.plan)),
        ("Decisions", _decisions(findings)),
        ("Cost", iter([str(ran.cost)])),
        ("Caveats", _caveats(origin, findings, judging)),
    )
    body = "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections)
    return f"# {text(origin.model)}, version {origin.version}\n\n{body}\n"


def text(written: str) -> str:
    """What somebody wrote, in one line, without any meaning to Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(written.split()))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _details(origin: Origin, ran: Ran) -> Iterator[str]:
    until = "not known" if origin.trained_until is None else f"{origin.trained_until}"
    yield from _table(
        ("", ""),
        (
            ("Source", text(origin.source)),
            ("Flavor", text(origin.flavor)),
            ("SHA-256", text(origin.digest)),
            ("Registered", f"{origin.registered_at:%Y-%m-%d %H:%M} UTC, by {text(origin.registered_by)}"),
            ("Trained until", until),
            ("Takes", f"{len(ran.signature.takes)} features: {text(', '.join(ran.signature.takes))}"),
            ("Leaves", text(", ".join(ran.signature.leaves)) or "none"),
        ),
    )
    if origin.description:
        yield f"\nIts author says: {text(origin.description)}"


def _use(spec: WorkloadSpec) -> Iterator[str]:
    yield f"It gives the chance that a case of {text(spec.name)} comes out badly. {text(spec.description)}"
    yield "For anything else it was not judged."


def _gates(judging: Judging) -> Iterator[str]:
    yield from _table(
        ("Gate", "", "What it says"),
        [(text(each.gate.name), "passed" if each.passed else "FAILED", text(each.says)) for each in judging.judgements],
    )


def _data(findings: Findings) -> Iterator[str]:
    holdout, found = findings.judged.holdout, findings.beside
    total = holdout.cases.height
    yield (
        f"{total:,} cases from {holdout.days[0]} to {holdout.days[-1]}. Judged by {found.cases:,} of {found.days} "
        f"days. Of {total - int(holdout.usable.sum()):,} the vector breaks its contract, of "
        f"{total - int(holdout.known.sum()):,} the outcome is not known. {found.base_rate:.1%} came out badly."
    )


def _metrics(findings: Findings, plan: JudgingPlan) -> Iterator[str]:
    found = findings.beside
    champion = findings.judged.champion
    beside = "the champion (there is none)" if champion is None else f"the champion, version {champion.version}"
    yield f"Beside {beside}. In brackets, what each may be with a confidence of {1 - plan.rate:.1%}, day by day.\n"
    yield from _table(
        ("", "this version", "champion", "difference"),
        [
            (
                each.metric.value,
                *(_cell(one, DIGITS[each.metric]) for one in (each.candidate, each.champion, each.more)),
            )
            for each in found.metrics
        ],
    )
    yield (
        f"\nPredicting the base rate for everybody has the Brier score {found.base_rate_brier:.4f}, the simple rule "
        f"the AUC {found.rule_auc:.3f}."
    )


def _cell(found: Interval | None, digits: int) -> str:
    return "" if found is None else spanned(found, digits)


def _slices(findings: Findings, plan: JudgingPlan) -> Iterator[str]:
    slices = findings.slices
    if slices is None:
        yield "There is no champion to compare slices with."
        return
    worse = slices.proven_worse(plan.slice_margin)
    yield (
        f"Worse than the champion by more than {plan.slice_margin:g} of the Brier score, proven at once for all "
        f"{len(slices.slices)} slices: {text('; '.join(each.name for each in worse)) or 'none'}."
    )
    if slices.slices:
        yield f"The {min(SLICES_SHOWN, len(slices.slices))} that come nearest to it:\n"
        yield from _table(
            ("Slice", "cases", "this version", "champion", "difference"),
            [
                (
                    text(each.name),
                    f"{each.cases:,}",
                    f"{each.candidate:.4f}",
                    f"{each.champion:.4f}",
                    spanned(each.worse, 4),
                )
                for each in slices.slices[:SLICES_SHOWN]
            ],
        )
    for left in slices.left_out:
        yield f"\nOf too few cases or days to be judged: {text(str(left))}."


def _decisions(findings: Findings) -> Iterator[str]:
    found = findings.decisions
    yield f"This version would decide {text(decided(found.candidate))}."
    if found.champion is not None:
        yield f"The champion would decide {text(decided(found.champion))}."
        yield f"{found.otherwise:,} cases are decided otherwise."
    yield f"Dollars a case above doing nothing: {spanned(found.above_nothing, 2)}; less is better."


def _caveats(origin: Origin, findings: Findings, judging: Judging) -> Iterator[str]:
    holdout, plan = findings.judged.holdout, judging.plan
    if origin.trained_until is None:
        yield (
            "- Nobody says until when it was trained. If its author trained it on the days it is judged on, all of "
            "this is too good; only what is gross is caught (the gate no\\_leak)."
        )
    elif origin.trained_until < holdout.days[0]:
        yield f"- That it was trained on nothing after {origin.trained_until} is what its registration says."
    more = findings.beside.of(Metric.BRIER).more
    if more is not None and more.high > 0:
        yield f"- A Brier score up to {more.high:.4f} worse than the champion's is not excluded."
    yield (
        f"- It was judged on {len(holdout.days)} days. Other seasons may treat it otherwise, and what one day has to "
        "do with the next is not in the intervals."
    )
    yield (
        "- What others used of the policy's limits on these days is left out, for both models alike; a case that goes "
        "to a person counts as nothing done."
    )
    yield (
        f"- The gates that ask for proof hold back a candidate that is within all margins with a chance of at most "
        f"{plan.false_refusals:.1%}."
    )
    yield (
        f"- Judged {judging.at:%Y-%m-%d %H:%M} UTC under policy {text(judging.policy_version[:12])}, with seed "
        f"{judging.seed}."
    )
