"""A decision table that is asked: rows in, a verdict with its rules and reasons out, one for one and in order.

    table = Table.load(workload.policy_folder / "decision_table.json")
    answers = table.judge(frame)  # verdict, rules, reasons

The verdict is the strictest of the rules that matched (`forbid`, then `review`, then `allow`); every rule that matched
is named, with its reason. What no rule matches is forbidden. A row with an input that is missing, mistyped, not finite
or out of its range is for a person, under rules such as `input:price`, and so is one for which the engine failed: never
is it allowed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from automation.ledger.canonical import canonical
from automation.policy.tables import checks, document
from automation.policy.tables.answers import ENGINE_FAILED, Answers, reviewed
from automation.policy.tables.cells import NotCompiled
from automation.policy.tables.compiled import Compiled, compiled
from automation.policy.tables.engine import Engine
from automation.policy.tables.inputs import admit

if TYPE_CHECKING:
    from pathlib import Path

    from automation.policy.tables.document import Document, Input, Verdict


class By(StrEnum):
    """What runs the rules."""

    COMPILED = "compiled"
    ENGINE = "engine"


@dataclass(frozen=True)
class How:
    """What runs a table's rules, and why."""

    by: By
    why: str

    def __str__(self) -> str:
        return f"{self.by}: {self.why}"


@dataclass(frozen=True)
class Table:
    """A table that passed all checks. Two with the same ``version`` answer alike."""

    name: str
    version: str
    inputs: tuple[Input, ...]
    how: How
    _document: Document
    _rules: Compiled | Engine
    _answers: Answers

    @classmethod
    def load(cls, path: Path) -> Table:
        """Reads, checks and compiles the table in a file.

        Raises:
            TableError: the file cannot be read or is refused, with all findings.
        """
        return cls.parse(document.text_of(path), path.name)

    @classmethod
    def parse(cls, text: str, name: str) -> Table:
        """Reads, checks and compiles a table. ``name`` is what errors call its file.

        Raises:
            TableError: the table is refused, with all findings.
        """
        read = document.read(text, name)
        checks.check(read)
        version = hashlib.sha256(canonical(json.loads(text))).hexdigest()
        answers = Answers(read.rules, {given.name: given for given in read.inputs})
        try:
            rules, how = compiled(read), How(By.COMPILED, f"all cells of its {len(read.rules)} rules are compiled")
        except NotCompiled as reason:
            rules, how = Engine(read), How(By.ENGINE, str(reason))
        return cls(name, version, read.inputs, how, read, rules, answers)

    @cached_property
    def verdict_of(self) -> dict[str, Verdict]:
        """What each rule says when it matches, by its id."""
        return {rule.name: rule.verdict for rule in self._document.rules}

    @cached_property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """The inputs that each rule looks at, by its id."""
        names = [given.name for given in self.inputs]
        found: dict[str, tuple[str, ...]] = {}
        for rule in self._document.rules:
            cells = [
                (c.reads, cell) for c, cell in zip(self._document.columns, rule.cells, strict=True) if cell.strip()
            ]
            words = {
                word for read, cell in cells for word in ([read] if read else re.findall(r"[a-z][a-z0-9_]*", cell))
            }
            found[rule.name] = tuple(name for name in names if name in words)
        return found

    def by_engine(self) -> Table:
        """The same table with its rules run by zen-engine, which the compiled form must equal."""
        return replace(self, how=How(By.ENGINE, "asked for"), _rules=Engine(self._document))

    def judge(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Answers each row of a frame that has a column for each input; other columns are not looked at.

        Returns verdict (String), rules (List[String]) and reasons (List[String]), row by row.
        """
        admitted = admit(frame, self.inputs)
        answers = self._answered(admitted.values)
        if admitted.all:
            return answers
        refused = reviewed(admitted.faults["rules"], admitted.faults["reasons"])
        places = pl.concat([admitted.rows, admitted.refused]).arg_sort()
        return pl.concat([answers, refused])[places]

    def _answered(self, values: pl.DataFrame) -> pl.DataFrame:
        if isinstance(self._rules, Compiled):
            return self._answers.answered(self._rules.matched(values), values)
        found = self._rules.matched(values)
        answers = self._answers.answered(found.words, values)
        if not found.faults:
            return answers
        # The faults' answers come after all others, in the places of theirs.
        texts = pl.Series([[text] for text in found.faults.values()], dtype=pl.List(pl.String))
        names = pl.Series([[ENGINE_FAILED]] * len(texts), dtype=pl.List(pl.String))
        places = np.arange(values.height)
        places[list(found.faults)] = np.arange(values.height, values.height + len(texts))
        return pl.concat([answers, reviewed(names, texts)])[pl.Series(places)]
