"""The commands, where they need no home."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from automation.cli import warrant


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay-decision"], "Name a case, or give --day"),
        (["replay-decision", "--day", "yesterday"], "does not match the format"),
        (["explain"], "Missing argument 'CASE'"),
    ],
)
def test_a_question_that_names_nothing_is_refused_with_exit_code_2(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(warrant, arguments)
    assert result.exit_code == 2
    assert says in result.output
