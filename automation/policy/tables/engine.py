"""zen-engine asked for many rows: the reference of what a table says, and the engine of those that are not compiled.

Nothing the engine answers is taken on trust: an error, an answer of another shape, an unknown verdict, a rule that
the table does not have or says something else makes that row a fault, and a fault is never an allowance. What cannot
be seen here is a cell that fails inside the engine, which it takes for one that does not match: `checks` refuses cells
that can.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from automation.policy.tables.answers import WORD_BITS, words_of
from automation.policy.tables.document import Output
from automation.policy.tables.reasons import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import zen

    from automation.policy.tables.document import Document, Rule

_KEY = "table"
_FIELDS = {output.value for output in Output}
_WORD = (1 << WORD_BITS) - 1


class AnswerError(Exception):
    """An answer of the engine that is not one of the table's; the message says what is wrong with it."""


@dataclass(frozen=True)
class Matches:
    """The bits of the rules that matched each row, and by row what went wrong where they say nothing."""

    words: pl.DataFrame
    faults: Mapping[int, str]


@dataclass(frozen=True)
class Engine:
    """zen-engine with one table, as its file has it: the engine checks its inputs against the schema, too."""

    document: Document

    @cached_property
    def _zen(self) -> zen.ZenEngine:
        import zen

        return zen.ZenEngine({"loader": {"type": "static", "content": {_KEY: json.loads(self.document.content)}}})

    def matched(self, values: pl.DataFrame) -> Matches:
        """Asks about each row of normalised values."""
        inputs = {given.name: given for given in self.document.inputs}
        cases = told(values, inputs).to_dicts()
        replies = self._zen.evaluate_batch([{"key": _KEY, "context": case} for case in cases])
        numbers = {rule.name: number for number, rule in enumerate(self.document.rules)}
        bits, faults = [], {}
        if len(replies) != len(cases):
            replies, faults = (
                [],
                {row: f"it was asked {len(cases)} times and answered {len(replies)}" for row in range(len(cases))},
            )
        for row, reply in enumerate(replies):
            try:
                bits.append(bits_of(result_of(reply), self.document.rules, numbers))
            except AnswerError as error:
                bits.append(0)
                faults[row] = str(error)
        bits.extend([0] * (len(cases) - len(bits)))
        names = words_of(len(self.document.rules))
        columns = {name: [row >> (n * WORD_BITS) & _WORD for row in bits] for n, name in enumerate(names)}
        return Matches(pl.DataFrame(columns, schema=dict.fromkeys(names, pl.UInt64)), faults)


def result_of(reply: Any) -> Any:
    """What the engine answers in one reply of a batch.

    Raises:
        AnswerError: the reply is an error, or no reply at all.
    """
    if isinstance(reply, dict) and reply.get("success") is True and isinstance(reply.get("data"), dict):
        return reply["data"].get("result")
    error = reply.get("error") if isinstance(reply, dict) else reply
    # The engine appends a trace of its own code after the first line.
    raise AnswerError(f"the engine failed: {(str(error).splitlines() or [''])[0]}")


def bits_of(answer: Any, rules: Sequence[Rule], numbers: Mapping[str, int]) -> int:
    """The bits of the rules that an answer names. ``numbers`` has each rule's place in ``rules`` by its name.

    Raises:
        AnswerError: it is not a list of this table's verdicts, rules and reasons in the table's order.
    """
    if not isinstance(answer, list):
        raise AnswerError(f"the engine answered {type(answer).__name__} in place of a list")
    bits, last = 0, -1
    for said in answer:
        if not isinstance(said, dict) or set(said) != _FIELDS:
            raise AnswerError(f"the engine answered an entry without exactly {', '.join(sorted(_FIELDS))}")
        name = said[Output.RULE]
        number = numbers.get(name) if isinstance(name, str) else None
        if number is None:
            raise AnswerError(f"the engine answered the rule {name!r}, which the table does not have")
        rule = rules[number]
        if said[Output.VERDICT] != rule.verdict or said[Output.REASON] != rule.reason:
            raise AnswerError(f"the engine answered for the rule {name!r} what the table does not say")
        if number <= last:
            raise AnswerError(f"the engine answered the rule {name!r} twice or out of order")
        bits, last = bits | 1 << number, number
    return bits
