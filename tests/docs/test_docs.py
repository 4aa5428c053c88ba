"""The docs: every link leads somewhere, every command is one that exists, every setting is listed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from automation.cli import warrant
from automation.settings import Settings

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
# A command stands in a line of its own: indented, in a fence, or in the "Next:" of the demo.
COMMAND = re.compile(r"^(?: {4}|)(warrant [a-z].*)$", re.MULTILINE)
# A file that the page's reader has by then.
FILE = re.compile(r"[\w./-]+\.(csv|parquet|ndjson|yaml|json)")
BENCHMARK = re.compile(r"python -m (benchmarks\.[a-z_]+)")


def commands(text: str) -> list[str]:
    return [found.split("  #")[0].strip() for found in COMMAND.findall(text.replace("\\\n", " "))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text("utf-8")) if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page.read_text("utf-8"))], ids=name)
def test_every_command_exists_and_takes_what_it_is_given(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in commands(page.read_text("utf-8")):
        command, context, words = warrant, click.Context(warrant), shlex.split(line)[1:]
        for file in (tmp_path / word for word in words if FILE.fullmatch(word)):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        while isinstance(command, click.Group):
            assert words, f"{line}: a group is no command"
            found = command.get_command(context, words.pop(0))
            assert found is not None, f"{line}: there is no such command"
            command = found
        try:
            command.make_context(line, list(words), parent=context)
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_every_benchmark_named_is_one_that_can_be_run() -> None:
    for page in PAGES:
        for module in BENCHMARK.findall(page.read_text("utf-8")):
            file = ROOT / f"{module.replace('.', '/')}.py"
            if module != "benchmarks.NAME":
                assert file.exists(), (name(page), module)


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for field, declared in Settings.model_fields.items():
        row = next((line for line in text.splitlines() if line.startswith(f"| `WARRANT_{field.upper()}` |")), None)
        assert row is not None, f"WARRANT_{field.upper()} is not in docs/settings.md"
        if declared.default is not None:
            assert f"`{declared.default}`" in row, row
