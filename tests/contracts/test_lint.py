"""`warrant contract lint`: everything that is wrong, by file and line, with its fix, and an exit code to trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from automation.cli import warrant
from contracts.document import ContractError, load
from contracts.lint import Severity, lint

PARCEL = Path(__file__).parent / "parcels" / "parcel.odcs.yaml"
TEXT = PARCEL.read_text(encoding="utf-8")


def changed(folder: Path, *edits: tuple[str, str]) -> tuple[Path, list[int]]:
    """The parcel document with texts replaced, each there once, and the lines on which the new ones begin."""
    text = TEXT
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "parcel.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    return path, [text[: text.rindex(new)].count("\n") + 1 for _, new in edits]


def ran(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(warrant, ["contract", "lint", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("apiVersion: v3.2.0", "apiVersion: v2.0.0"),
        ("logicalType: date", "logicalType: day"),
        ('pattern: "^P[0-9]{3}$"', 'pattern: "P[0-9]{3}"'),
        ("maximum: 31.5", "maximum: heavy"),
        ("value: Europe/Oslo", "value: Oslo"),
        ('implementation: "sent_at <= delivered_at"', 'implementation: "sent_at + 1"'),
        ("element: parcel.known_time", "element: parcel.day"),
        ("kwargs: { column: weight,", "kwargs: { column: wieght,"),
        (
            '- property: reason # explains a decision in words\n            value: "a weight',
            '- property: reason\n            value: "{a weight',
        ),
        ("unit: percent", "unit: rows"),
        ("- value: express", "- value: 7"),
        ("status: active", "status: active\nversion: '2'"),
        ("status: active", "status: [active"),
        ("name: depot-data", "nmae: depot-data"),
        ("mustBeBetween: [2, 1000]", "mustBeBetween: [1000, 2]"),
        ("- name: note", "- name: weight"),
    ],
)
def test_an_error_stands_on_the_line_of_what_is_wrong(tmp_path: Path, old: str, new: str) -> None:
    path, [line] = changed(tmp_path, (old, new))
    with pytest.raises(ContractError) as raised:
        load(path)
    lines = {problem.place.line for problem in raised.value.problems if problem.place}
    # A reason or a quality item is named as a whole: the line is that of its first key, at most six above.
    assert any(line - 6 <= each <= line + 1 for each in lines), (line, raised.value.lines())
    assert str(raised.value).startswith(f"{path}:")


def test_the_line_is_exact_where_the_element_is(tmp_path: Path) -> None:
    path, lines = changed(
        tmp_path,
        ("logicalType: date", "logicalType: day"),
        ("maximum: 31.5", "maximum: heavy"),
        ("apiVersion: v3.2.0", "apiVersion: v2.0.0"),
        ("name: depot-data", "nmae: depot-data"),
    )
    code, out, err = ran(str(path))
    assert code == 1
    assert out.splitlines() == [
        f"{path}:{lines[2]}: apiVersion: it is v2.0.0. To fix: write the contract for v3.2.0.",
        f"{path}:{lines[3]}: team.nmae: ODCS does not define this key. To fix: did you mean 'name'.",
        f"{path}:{lines[1]}: parcel.weight.logicalTypeOptions.maximum: 'heavy' is not a number. "
        "To fix: give a finite value of type number.",
        f"{path}:{lines[0]}: parcel.day.logicalType: it is 'day'. "
        "To fix: use one of string, integer, number, boolean, date, timestamp.",
    ]
    assert "Errors: 4." in err


def test_a_column_called_like_a_key_of_its_table_is_told_from_it(tmp_path: Path) -> None:
    path, [_, line] = changed(tmp_path, ("- name: note", "- name: quality"), ("logicalType: date", "logicalType: day"))
    text = path.read_text().replace(
        "- name: quality\n        logicalType: string", "- name: quality\n        logicalType: text"
    )
    path.write_text(text)
    [first, second] = [finding.problem.place for finding in lint([path])]
    assert first is not None
    assert text.splitlines()[first.line - 1].strip() == "logicalType: text"
    assert second is not None
    assert second.line == line


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"a: 1\nb: [1,\n", 3, "did not find expected"),
        (b"a: 1\nb: \xff\n", 2, "invalid leading UTF-8 octet"),
        (b"a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands here for the second time"),
        (b"", 1, "it is not a mapping"),
    ],
)
def test_what_is_not_yaml_is_told_by_its_line_too(tmp_path: Path, data: bytes, line: int, says: str) -> None:
    path = tmp_path / "parcel.odcs.yaml"
    path.write_bytes(data)
    code, out, _ = ran(str(path))
    assert code == 1
    assert out.startswith(f"{path}:{line}: document: ")
    assert says in out


def test_every_file_is_read_to_its_end(tmp_path: Path) -> None:
    for name, edit in {"a": ("kind: DataContract", "kind: Recipe"), "b": ("value: 0.02", "value: 2")}.items():
        (tmp_path / name).mkdir()
        changed(tmp_path / name, edit)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "letter.odcs.yaml").write_text(TEXT, encoding="utf-8")
    code, out, _ = ran(str(tmp_path), "--json")
    assert code == 1
    assert [(Path(each["path"]).parent.name, each["element"], each["severity"]) for each in json.loads(out)] == [
        ("a", "kind", "error"),
        ("b", "customProperties.quarantineLimit", "error"),
        ("c", "schema[0].name", "error"),
    ]
    assert all(each["line"] > 1 and each["column"] >= 1 and each["fix"] for each in json.loads(out))


def test_the_contracts_of_this_repository_are_clean() -> None:
    code, out, err = ran()
    assert (code, out) == (0, "")
    assert "Errors: 0." in err


def test_advice_is_given_when_asked_for_and_is_no_error(tmp_path: Path) -> None:
    path, _ = changed(tmp_path, ("        description: Weight on the depot's scales.\n", ""))
    assert ran(str(path))[:2] == (0, "")
    code, out, _ = ran(str(path), "--advice")
    assert code == 0
    assert "advice: parcel.weight.description: it is missing. To fix: say what a value means." in out
    assert {finding.severity for finding in lint([path])} == {Severity.ADVICE}


@pytest.mark.parametrize(
    ("arguments", "code"), [(["nowhere.odcs.yaml"], 2), (["--workload", "nothing"], 1), ([str(Path(__file__))], 1)]
)
def test_linting_nothing_is_not_success(arguments: list[str], code: int, tmp_path: Path) -> None:
    assert ran(*arguments)[0] == code
    assert ran(str(tmp_path))[0] == 1


def test_a_good_document_is_not_searched_for_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "compose", lambda *_, **__: pytest.fail("a good document was composed again"))
    assert load(PARCEL).name == "parcel"
