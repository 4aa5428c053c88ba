"""Pages and exports: what they say of a contract, and that the committed pages are those of the contracts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from automation.cli import warrant
from automation.contract.page import PAGES, written
from contracts import wording
from contracts.contract import Contract
from contracts.page import page


def ran(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(warrant, ["contract", *arguments])
    return result.exit_code, result.stdout


def test_the_committed_pages_are_those_of_the_contracts() -> None:
    wanted = written(PAGES)
    found = {path: path.read_text(encoding="utf-8") for path in PAGES.rglob("*.md")}
    stale = sorted(str(path) for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
    assert not stale, f"out of date: {', '.join(stale)}. Run `warrant contract page` and commit what it writes."


def test_a_page_says_everything_the_contract_promises(parcel: Contract) -> None:
    text = page(parcel)
    for said in [
        "# parcel 1.4.0",
        "Says which parcels arrived at the depot",
        "depot-data, ines@example.org",
        "`parcel_id`, `scan`",
        "At most 2% of the rows may break parcel 1.4.0",
        "| `scan` | integer (int32) |  | no |  |  |",
        "| `weight` | number | kg | no | at least 0; at most 31.5 | Weight on the depot's scales. |",
        "one of standard, express",
        "matches `^P[0-9]{3}$`",
        "at least 2020-01-01 00:00:00 UTC",
        "| delivered_after_sent | `sent_at <= delivered_at` | Nothing is delivered before it was sent. |",
        "rows: from 2 to 1,000",
        "mean of weight: from 1 kg to 10 kg",
        "share of missing note: less than 60%",
        "time from the newest known_time to the end of the day: at most 90 minutes",
    ]:
        assert said in text, said


def test_a_gate_promises_what_its_contract_does(parcel: Contract) -> None:
    assert wording.rows_promise(parcel).startswith("At most 2% of the rows may break parcel 1.4.0")
    assert "mean of weight: from 1 kg to 10 kg" in wording.partition_promise(parcel.expectations, parcel)


def test_pages_are_written_once_and_those_of_gone_contracts_removed(tmp_path: Path) -> None:
    code, out = ran("page", "--to", str(tmp_path))
    assert code == 0
    assert out.count("wrote ") == len(written(tmp_path))
    gone, own = tmp_path / "platform" / "gone.md", tmp_path / "platform" / "own.md"
    gone.write_text((tmp_path / "platform" / "scores.md").read_text(encoding="utf-8"), encoding="utf-8")
    own.write_text("# Written by hand", encoding="utf-8")
    assert ran("page", "--to", str(tmp_path)) == (0, f"removed {gone}\n")
    assert own.is_file()


@pytest.mark.parametrize("form", ["json-schema", "gx", "markdown"])
def test_a_contract_is_printed_in_each_form(form: str) -> None:
    code, out = ran("export", "--workload", "flight_disruption", "--table", "weather", "--as", form)
    assert code == 0
    if form == "markdown":
        assert out == written(PAGES)[PAGES / "flight_disruption" / "weather.md"]
    else:
        assert "weather" in json.dumps(json.loads(out))


@pytest.mark.parametrize("where", [("nowhere", "weather"), ("flight_disruption", "nothing")])
def test_a_contract_that_is_not_there_is_not_printed(where: tuple[str, str]) -> None:
    assert ran("export", "--workload", where[0], "--table", where[1], "--as", "gx") == (1, "")
