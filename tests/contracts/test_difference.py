"""Documents that are not ours: whatever ODCS 3 allows is read, kept and compared, and nothing in it is passed over."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.compatibility import Bump, Change, Comparison, Verdict
from contracts.contract import Compatibility
from contracts.difference import compare_documents
from contracts.document import ContractError, load
from contracts.survey import survey

FOLDER = Path(__file__).parent
FOREIGN = FOLDER / "odcs"
PARCEL = FOLDER / "parcels" / "parcel.odcs.yaml"

KEPT, BROKEN, UNSHOWN = Verdict.COMPATIBLE, Verdict.BROKEN, Verdict.UNSHOWN
MINOR, MAJOR, PATCH = Bump.MINOR, Bump.MAJOR, Bump.PATCH
Tree = dict[str, Any]


def column(tree: Tree, *names: str) -> Tree:
    """A table, a column of it, a part of that, as deep as the names go; `[]` and `{value}` go into lists and maps."""
    found: Tree = next(table for table in tree["schema"] if table["name"] == names[0])
    for name in names[1:]:
        if name == "[]":
            found = found["items"]
        elif name.startswith("{"):
            found = found["map"][name.strip("{}")]
        else:
            found = next(each for each in found["properties"] if each["name"] == name)
    return found


def edited(document: str, change: Callable[[Tree], object], folder: Path) -> Comparison:
    """The comparison of a document with itself after one change."""
    tree = yaml.safe_load((FOREIGN / f"{document}.odcs.yaml").read_text())
    change(tree)
    other = folder / "new.odcs.yaml"
    other.write_text(yaml.safe_dump(tree, sort_keys=False))
    return compare_documents(survey(FOREIGN / f"{document}.odcs.yaml"), survey(other))


def one(comparison: Comparison) -> Change:
    (change,) = comparison.changes
    return change


@pytest.mark.parametrize("path", sorted(FOREIGN.glob("*.odcs.yaml")), ids=lambda path: path.stem)
def test_a_document_that_we_cannot_enforce_is_its_own_equal(path: Path) -> None:
    with pytest.raises(ContractError):
        load(path)
    assert compare_documents(survey(path), survey(path)).changes == ()


@pytest.mark.parametrize("path", [*FOREIGN.glob("*.odcs.yaml"), PARCEL], ids=lambda path: path.stem)
def test_whatever_is_changed_in_a_document_is_reported(path: Path, tmp_path: Path) -> None:
    """Every leaf of the document, one after the other, is changed: no change goes unseen."""
    whole, old = yaml.load(path.read_text(), Loader=yaml.CSafeLoader), survey(path)
    for where in leaves(whole):
        if where[-1] in ("version", "apiVersion", "name", "property", "primaryKey", "primaryKeyPosition"):
            continue  # what an element is called decides which one it is
        tree = copy.deepcopy(whole)
        if change(tree, where).get("primaryKey") and where[-1] == "required":
            continue  # a key column has a value, whatever is said
        other = tmp_path / "other.odcs.yaml"
        other.write_text(yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False))
        assert compare_documents(old, survey(other)).changes, where


def leaves(tree: object, where: tuple = ()) -> list[tuple]:
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in leaves(value, (*where, key))]
    if isinstance(tree, list):
        return [leaf for position, value in enumerate(tree) for leaf in leaves(value, (*where, position))]
    return [where]


def change(tree: Any, where: tuple) -> Tree:
    """Change the leaf, and give what it is a leaf of."""
    for key in where[:-1]:
        tree = tree[key]
    before = tree[where[-1]]
    match before:
        case bool():
            tree[where[-1]] = not before
        case int() | float():
            tree[where[-1]] = before + 1
        case dt.date():
            tree[where[-1]] = before + dt.timedelta(days=1)
        case _:
            tree[where[-1]] = f"{before}x"
    return tree if isinstance(tree, dict) else {}


CASES: dict[str, tuple[str, Callable[[Tree], object], Verdict, Verdict, Bump, str]] = {
    "a longer text type": (
        "library",
        lambda tree: column(tree, "loans", "member_id").update(physicalType="VARCHAR (36)"),
        KEPT,
        BROKEN,
        MINOR,
        "physicalType of loans.member_id is VARCHAR (36), was varchar(18)",
    ),
    "the same type in capitals": (
        "library",
        lambda tree: column(tree, "members", "city").update(physicalType="VarChar(80)"),
        KEPT,
        KEPT,
        PATCH,
        "words, which mean nothing to data",
    ),
    "another database's type": (
        "library",
        lambda tree: column(tree, "loans", "shelf_mark").update(physicalType="clob"),
        UNSHOWN,
        UNSHOWN,
        MINOR,
        "physicalType of loans.shelf_mark is clob",
    ),
    "a shorter text": (
        "library",
        lambda tree: column(tree, "loans", "shelf_mark")["logicalTypeOptions"].update(maxLength=8),
        BROKEN,
        KEPT,
        MINOR,
        "logicalTypeOptions.maxLength of loans.shelf_mark is 8, was 12",
    ),
    "a later first day": (
        "library",
        lambda tree: column(tree, "loans", "lent_on")["logicalTypeOptions"].update(exclusiveMinimum="2020-12-31"),
        BROKEN,
        KEPT,
        MINOR,
        "is 2020-12-31, was 2019-12-31",
    ),
    "a pattern that nobody anchored": (
        "library",
        lambda tree: column(tree, "loans", "shelf_mark")["logicalTypeOptions"].update(pattern=".*"),
        UNSHOWN,
        UNSHOWN,
        MINOR,
        "logicalTypeOptions.pattern",
    ),
    "a rule in SQL, rewritten": (
        "library",
        lambda tree: column(tree, "loans", "fee")["quality"][1].update(query="SELECT 0"),
        UNSHOWN,
        UNSHOWN,
        MINOR,
        "quality[no negative fees] of loans.fee",
    ),
    "a rule in SQL, gone": (
        "library",
        lambda tree: column(tree, "loans", "fee")["quality"].pop(),
        KEPT,
        BROKEN,
        MINOR,
        "quality[no negative fees] of loans.fee is not stated",
    ),
    "a threshold of a rule in SQL": (
        "library",
        lambda tree: column(tree, "loans")["quality"][1].update(mustBeLessThan=20),
        KEPT,
        BROKEN,
        MINOR,
        "quality[sql] of loans",
    ),
    "a threshold we could enforce": (
        "library",
        lambda tree: column(tree, "loans", "fee")["quality"][0].update(mustBeLessThan=1),
        BROKEN,
        KEPT,
        MINOR,
        "the null share of fee in a partition is below 0.01, was below 0.05",
    ),
    "a promise kept shorter": (
        "library",
        lambda tree: tree["slaProperties"][1].update(value=2),
        KEPT,
        BROKEN,
        MAJOR,
        "",
    ),
    "an end that comes sooner": (
        "library",
        lambda tree: tree["slaProperties"][2].update(value="2030-05-12T09:30:10-08:00"),
        KEPT,
        BROKEN,
        MINOR,
        "slaProperties[endOfSupport]",
    ),
    "one of two promises of a kind": (
        "library",
        lambda tree: tree["slaProperties"].pop(),
        KEPT,
        BROKEN,
        MINOR,
        "slaProperties[timeOfAvailability, analytics] of document is not stated",
    ),
    "a table more": (
        "library",
        lambda tree: tree["schema"].append({"name": "books", "properties": [{"name": "isbn"}]}),
        KEPT,
        KEPT,
        MINOR,
        "books is new",
    ),
    "a table less": (
        "library",
        lambda tree: tree["schema"].pop(),
        KEPT,
        BROKEN,
        MAJOR,
        "members is dropped",
    ),
    "another place": (
        "library",
        lambda tree: tree["servers"][0].update(schema="private"),
        UNSHOWN,
        UNSHOWN,
        MINOR,
        "servers of document",
    ),
    "who is on the team": ("library", lambda tree: tree["team"].pop(), KEPT, KEPT, PATCH, "team"),
    "a part of a column, gone": (
        "profiles",
        lambda tree: column(tree, "profiles", "address")["properties"].pop(),
        KEPT,
        BROKEN,
        MAJOR,
        "profiles.address.floor is dropped",
    ),
    "a part of a column, required": (
        "profiles",
        lambda tree: column(tree, "profiles", "address", "floor").update(required=True),
        BROKEN,
        KEPT,
        MINOR,
        "required of profiles.address.floor",
    ),
    "a part of a list's items, new": (
        "profiles",
        lambda tree: column(tree, "profiles", "lines", "[]")["properties"].append({"name": "bold"}),
        KEPT,
        KEPT,
        MINOR,
        "profiles.lines[].bold is new",
    ),
    "a longer list": (
        "profiles",
        lambda tree: column(tree, "profiles", "lines")["logicalTypeOptions"].update(maxItems=9),
        KEPT,
        BROKEN,
        MINOR,
        "logicalTypeOptions.maxItems of profiles.lines is 9",
    ),
    "a map's values of another kind": (
        "profiles",
        lambda tree: column(tree, "profiles", "settings", "{value}").update(logicalType="string"),
        BROKEN,
        BROKEN,
        MAJOR,
        "logicalType of profiles.settings{value} is string, was number",
    ),
    "a nested integer that becomes a number": (
        "profiles",
        lambda tree: column(tree, "profiles", "lines", "[]", "size").update(logicalType="number"),
        KEPT,
        BROKEN,
        MAJOR,
        "logicalType of profiles.lines[].size is number",
    ),
    "a column of its own that becomes nested": (
        "profiles",
        lambda tree: column(tree, "profiles", "age").update(logicalType="object", logicalTypeOptions={}),
        BROKEN,
        BROKEN,
        MAJOR,
        "logicalType of profiles.age is object, was integer",
    ),
    "a bound of a column of its own": (
        "profiles",
        lambda tree: column(tree, "profiles", "age")["logicalTypeOptions"].update(minimum=21),
        BROKEN,
        KEPT,
        MINOR,
        "age may be at least 21, was at least 18",
    ),
    "a column deprecated": (
        "profiles",
        lambda tree: column(tree, "profiles", "untyped").update(deprecated=True),
        KEPT,
        KEPT,
        MINOR,
        "deprecated of profiles.untyped is true",
    ),
}


@pytest.mark.parametrize(
    ("document", "edit", "producers", "consumers", "least", "says"), CASES.values(), ids=CASES.keys()
)
def test_what_nothing_here_enforces_is_compared_as_it_stands(
    document, edit, producers, consumers, least, says, tmp_path
) -> None:
    comparison = edited(document, edit, tmp_path)
    assert comparison.verdict(Compatibility.BACKWARD) is producers, comparison
    assert comparison.verdict(Compatibility.FORWARD) is consumers, comparison
    assert max(change.least for change in comparison.changes) is least
    assert says in " | ".join(change.says for change in comparison.changes)


def test_several_tables_of_one_document_are_compared_each_with_its_own(tmp_path: Path) -> None:
    def both(tree: Tree) -> None:
        column(tree, "loans", "fee")["logicalTypeOptions"]["minimum"] = 1
        column(tree, "members", "city")["required"] = True

    comparison = edited("library", both, tmp_path)
    assert {change.element for change in comparison.changes} == {"loans.fee", "members.city"}


def test_a_single_table_that_changed_its_name_is_told_so_and_compared_all_the_same(tmp_path: Path) -> None:
    def renamed(tree: Tree) -> None:
        tree["schema"][0]["name"] = "people"
        tree["schema"][0]["properties"][5]["logicalTypeOptions"]["minimum"] = 0

    comparison = edited("profiles", renamed, tmp_path)
    said = {change.says.partition(":")[0] for change in comparison.changes}
    assert said == {"the table is people, no longer profiles", "age may be at least 0, was at least 18"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "it is not YAML"),
        ("apiVersion: v2.2.2\nkind: DataContract", "compare documents of ODCS 3"),
        ("apiVersion: v3.2.0\ncolour: red", "colour"),
        ("apiVersion: v3.2.0\nschema:\n- name: a\n- name: a", "give each table a name of its own"),
    ],
)
def test_what_is_no_odcs_3_document_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "new.odcs.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match=says):
        survey(path)
