"""The command line: helps, exit codes, JSON, and errors that are words rather than tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from automation.cli import COMMANDS, Group, warrant

ROOT = Path(__file__).parent.parent.parent
EVERY = [
    path
    for name, entry in COMMANDS.items()
    for path in ([name], *([name, command] for command in (entry.entries if isinstance(entry, Group) else ())))
]


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WARRANT_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-m", "automation.cli", *arguments],
        cwd=ROOT,
        env=clean | {"WARRANT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_says_what_it_does_with_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(warrant, [*command, "--help"])
    assert result.exit_code == 0
    assert f"Usage: warrant {' '.join(command)}" in result.output
    assert "Example" in result.output
    assert len(result.output.splitlines()) > 4


def test_the_first_help_lists_every_command_without_importing_any() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from automation.cli import warrant; "
        "print(CliRunner().invoke(warrant, ['--help']).output); "
        "slow = [m for m in ('dagster', 'polars', 'mlflow', 'feast', 'pydantic', 'rich') if m in sys.modules]; "
        "assert not slow, slow"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay"], "Missing option '--workload'"),
        (["replay", "--workload", "x", "--from", "yesterday", "--to", "2013-01-02"], "does not match the format"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["scorecard", "--workload"], "requires an argument"),
    ],
)
def test_a_command_that_is_misspelt_is_refused_with_exit_code_2(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(warrant, arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_every_error_of_ours_is_words_on_stderr_exit_code_1_and_no_traceback(tmp_path: Path) -> None:
    """On a folder that cannot be a home: nothing is started."""
    (tmp_path / "file").write_text("in the way")
    result = run("scorecard", "--workload", "flight_disruption", "--json", home=tmp_path / "file")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Error:" in result.stderr
    assert "Traceback" not in result.stderr
