"""From the rules that matched to what a table answers: the strictest verdict, the rules and their reasons, in order.

Which rules matched comes as bits, from either engine: words of 64 rules, the first rule the lowest bit of the first
word. Everything after that is the same code for both. Rows with the same bits are answered once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from automation.policy.tables.document import STRICTNESS, Verdict
from automation.policy.tables.reasons import Template, filled, template_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from automation.policy.tables.document import Input, Rule

# No rule of a table can be called so: an identifier has no colon.
NO_RULE = "table:no-rule"
ENGINE_FAILED = "engine:failed"
NOTHING_ALLOWS = "no rule of the table allows it"
WORD_BITS = 64
_PATTERN, _NUMBERS = "pattern", "numbers"

ANSWER = {"verdict": pl.String, "rules": pl.List(pl.String), "reasons": pl.List(pl.String)}


def words_of(rules: int) -> list[str]:
    """The names of the columns that hold the bits of so many rules."""
    return [f"word_{number}" for number in range(-(-rules // WORD_BITS))]


@dataclass(frozen=True)
class Answers:
    """Turns matches into answers, for one table."""

    rules: tuple[Rule, ...]
    inputs: Mapping[str, Input]

    @cached_property
    def _templates(self) -> list[Template]:
        """Of each rule's reason, and after them of the answer that none matched."""
        return [*(template_of(rule.reason, self.inputs) for rule in self.rules), Template(NOTHING_ALLOWS, ())]

    @cached_property
    def _names(self) -> list[str]:
        return [*(rule.name for rule in self.rules), NO_RULE]

    def answered(self, words: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """The answer for each row of bits in ``words``, asked with that row of normalised ``values``."""
        patterns = words.unique(maintain_order=True)
        which = words.join(patterns.with_row_index(_PATTERN), on=words.columns, how="left", maintain_order="left")
        matched = [self._matched(row) for row in patterns.iter_rows()]
        said = pl.DataFrame(
            [(self._verdict(numbers), [self._names[number] for number in numbers], numbers) for numbers in matched],
            schema={"verdict": pl.String, "rules": pl.List(pl.String), _NUMBERS: pl.List(pl.UInt32)},
            orient="row",
        )[which[_PATTERN]]
        return said.select("verdict", "rules", self._reasons(said[_NUMBERS], values).alias("reasons"))

    def _reasons(self, numbers: pl.Series, values: pl.DataFrame) -> pl.Series:
        """The reasons of the rules that each row's list numbers; no list is empty."""
        flat, ends = numbers.explode(), numbers.list.len().cast(pl.Int64).cum_sum().to_numpy()
        # A text for each rule without fields, then one for each match of each rule that has some.
        texts = [pl.Series([template.pattern.format() if not template.fields else "" for template in self._templates])]
        flat = flat.to_numpy()
        places, start = flat.copy(), len(self._templates)
        for number, template in enumerate(self._templates):
            at = np.flatnonzero(flat == number) if template.fields else ()
            if len(at):
                rows = np.searchsorted(ends, at, side="right")
                texts.append(filled(template, values.select(pl.col(template.fields).gather(rows)), self.inputs))
                places[at] = np.arange(start, start + len(at))
                start += len(at)
        said = pl.concat(texts).gather(places)
        offsets = pa.array(np.concatenate(([0], ends)))
        listed = pa.LargeListArray.from_arrays(offsets, said.to_arrow(compat_level=pl.CompatLevel.newest()))
        return pl.Series(listed, dtype=pl.List(pl.String))

    def _matched(self, words: tuple[int, ...]) -> list[int]:
        """The numbers of the rules whose bits are set, or of the answer that none is."""
        found = [n for n in range(len(self.rules)) if words[n // WORD_BITS] >> (n % WORD_BITS) & 1]
        return found or [len(self.rules)]

    def _verdict(self, numbers: list[int]) -> Verdict:
        verdicts = [self.rules[number].verdict if number < len(self.rules) else Verdict.FORBID for number in numbers]
        return max(verdicts, key=STRICTNESS.__getitem__)


def reviewed(rules: pl.Series, reasons: pl.Series) -> pl.DataFrame:
    """Answers that hand each row to a person."""
    verdict = pl.Series("verdict", [Verdict.REVIEW.value] * len(rules), dtype=pl.String)
    return pl.DataFrame([verdict, rules.alias("rules"), reasons.alias("reasons")], schema=ANSWER)
