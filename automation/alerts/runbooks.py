"""Runbooks: ``docs/runbooks/<kind of gate>.md``. A new kind of gate needs that file, and nothing else.

Its line that begins with ``First:`` is what an alert tells the person who is woken to do first.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from automation.alerts.alert import Runbook

FOLDER = Path(__file__).parent.parent.parent / "docs" / "runbooks"
SHOWN = "docs/runbooks"
FIRST = "First:"


@cache
def runbook(kind: str) -> Runbook:
    """The runbook of a kind of gate. Where there is none, the index, which says how to look at any failed gate."""
    file = FOLDER / f"{kind}.md"
    if not file.is_file():
        return Runbook(f"{SHOWN}/README.md", "Open the asset in the Dagster UI and read what the failed check says.")
    return Runbook(f"{SHOWN}/{file.name}", first_step(file.read_text("utf-8")))


def first_step(text: str) -> str:
    """The paragraph of a runbook that begins with ``First:``, as one line."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(FIRST):
            return " ".join(paragraph.removeprefix(FIRST).split())
    return "Open the runbook."
