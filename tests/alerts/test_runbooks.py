"""Runbooks: every kind of gate in the code location has one, and it begins with what to do first."""

from __future__ import annotations

import pytest

from automation.alerts.alert import FAILED_RUN
from automation.alerts.runbooks import FIRST, FOLDER, first_step, runbook

SECTIONS = ["What it means", "First look", "Mend", "When to waive", "It is over when"]
FILES = sorted(file.stem for file in FOLDER.glob("*.md") if file.stem != "README")


def test_every_gate_of_the_code_location_and_a_failed_run_have_a_runbook() -> None:
    from automation.definitions import defs

    gates = {key.name for key in defs().resolve_asset_graph().asset_check_keys}
    missing = sorted({*gates, FAILED_RUN} - set(FILES))
    assert not missing, f"write docs/runbooks/{missing[0]}.md, with the sections of the others"


@pytest.mark.parametrize("name", FILES)
def test_a_runbook_says_what_to_do_first_and_has_its_sections_in_order(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text("utf-8")
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    assert text.split("\n\n")[1].startswith(FIRST)
    assert 20 < len(first_step(text)) < 250


@pytest.mark.parametrize("name", FILES)
def test_the_index_lists_every_runbook(name: str) -> None:
    assert f"[{name}]({name}.md)" in (FOLDER / "README.md").read_text("utf-8")


def test_a_gate_without_a_runbook_is_sent_to_the_index() -> None:
    found = runbook("no_such_gate")
    assert found.path == "docs/runbooks/README.md"
    assert found.first.startswith("Open the asset")
