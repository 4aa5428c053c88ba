"""An explanation in words, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automation.explanation.uncertainty import LEVEL, Uncertainty
from automation.policy.deciding import AUTOMATED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from automation.explanation.bands import Band
    from automation.explanation.explanation import Explanation
    from automation.explanation.uncertainty import NoInterval, Robustness

# Shares smaller than this are told together, unless all are asked for.
SMALL = 0.05
WIDTH = 120


def show(told: Explanation, *, every: bool) -> None:
    """Prints an explanation. ``every`` share, however small, has a line."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=WIDTH, highlight=False)

    def part(title: str, lines: Iterator[str] | tuple[str, ...]) -> None:
        held = list(lines)
        if held:
            console.print(f"\n[bold]{title}[/]")
            for line in held:
                console.print(Padding(Text(line), (0, 0, 0, 2)))

    console.rule(f"[bold]{told.case}[/]: {told.action}, {told.status}", align="left")
    console.print(headline(told), markup=False)
    part("Because", told.reasons)
    part("A person decides, because", told.review_reasons)
    part("Rules", (f"{rule.rule}: {rule.says}" for rule in told.rules))
    if told.shares is not None:
        shown = [share for share in told.shares.shares if every or abs(share.log_odds) >= SMALL]
        table = Table("what was known", "effect", "log-odds", "without it", show_edge=False, pad_edge=False)
        for share in shown:
            table.add_row(share.says, share.effect, f"{share.log_odds:+.3f}", f"{share.without:.1%}")
        console.print(f"\n[bold]What each feature did[/] (it begins at {told.shares.base:.1%})")
        console.print(table)
        left = told.shares.shares[len(shown) :]
        if left:
            console.print(f"  {len(left)} smaller shares: {sum(s.log_odds for s in left):+.3f} together (--every)")
    elif told.probability is not None:
        part("What each feature did", ("The model was submitted, and such a model gives no shares.",))
    part("Not known", (", ".join(told.missing),) if told.missing else ())
    part("Otherwise, if", (f"{each.target}: {each.says}" for each in told.counterfactuals))
    part("How sure", how_sure(told.probability, told.uncertainty, told.robustness, told.bands))
    part("It rests on", rests_on(told))
    part("Could not be explained", told.lacking)


def headline(told: Explanation) -> str:
    """The decision in one sentence."""
    who = "the machine decided" if told.status == AUTOMATED else "a person decides; until then the platform chose"
    how = f", at a probability of {told.probability:.1%}" if told.probability is not None else ""
    return f"On {told.day}, {who} to {told.action_says}{how}."


def how_sure(
    probability: float | None,
    known: Uncertainty | NoInterval | None,
    robust: Robustness | None,
    bands: tuple[Band, ...],
) -> Iterator[str]:
    """The interval of the probability, whether the decision is the same over it, and the bands of decisions."""
    if probability is None:
        return
    if isinstance(known, Uncertainty):
        yield (
            f"{known.bad} of {known.cases} earlier cases scored {known.scored_low:.3f} to {known.scored_high:.3f} came "
            f"out badly: {LEVEL:.0%} interval {known.low:.3f} to {known.high:.3f} (of {known.days} days, worth "
            f"{known.worth:.0f} independent cases)"
        )
    elif known is not None:
        yield f"no interval: {known.says}"
    if robust is not None:
        yield f"the decision would be {robust.says}"
    if bands:
        yield f"by probability: {', '.join(in_words(bands))}"


def in_words(bands: tuple[Band, ...]) -> list[str]:
    """Each band with what is decided in it."""
    return [f"{b.outcome.action} ({b.outcome.status}) from {b.low:.3f} to {b.high:.3f}" for b in bands]


def rests_on(told: Explanation) -> Iterator[str]:
    """The versions of model, policy, features and contracts."""
    basis = told.basis
    if basis.model is not None:
        yield f"model {basis.model} version {basis.model_version}, {str(basis.model_digest)[:12]}"
    yield f"policy {basis.policy_version[:12]}"
    yield f"features {basis.feature_service}"
    by_version: dict[str, list[str]] = {}
    for name, version in basis.contracts.items():
        by_version.setdefault(version, []).append(name)
    for version, names in by_version.items():
        yield f"contracts {version}: {', '.join(names)}"
