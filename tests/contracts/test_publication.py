"""Published versions never change, and a version number says honestly what became of the contract."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from automation.cli import warrant
from contracts.compatibility import Bump
from contracts.publication import LOCK, Level, PublicationError, Version, check, publish, published

PARCEL = Path(__file__).parent / "parcels" / "parcel.odcs.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workload's folder, with the parcel contract as its one working document, version 1.4.0."""
    made = tmp_path / "parcels"
    made.mkdir()
    shutil.copy(PARCEL, made)
    return made


@pytest.fixture
def rewrite(folder: Path) -> Callable[..., None]:
    """Change the working document: its version, the maximum of its weight, its mode."""

    def change(version: str, maximum: float = 31.5, mode: str | None = None, retention: int | None = None) -> None:
        tree = yaml.safe_load(PARCEL.read_text())
        tree["version"] = version
        weight = next(each for each in tree["schema"][0]["properties"] if each["name"] == "weight")
        weight["logicalTypeOptions"]["maximum"] = maximum
        if mode:
            tree["schema"][0]["customProperties"].append({"property": "compatibility", "value": mode})
        if retention:
            tree["slaProperties"].append({"property": "retention", "value": retention, "unit": "d"})
        (folder / "parcel.odcs.yaml").write_text(yaml.safe_dump(tree))

    return change


def only(folder: Path) -> tuple[Level, str, str]:
    """The one finding of a check."""
    (finding,) = check(folder)
    return finding.level, finding.says, finding.remedy


def test_a_published_version_is_a_copy_under_a_lock_that_sha256sum_understands(folder: Path) -> None:
    assert only(folder)[:2] == (Level.NOTE, "parcel 1.4.0 is not published yet")
    assert publish(folder, "parcel").says == "parcel 1.4.0 is published"
    copy = folder / "published" / "parcel" / "1.4.0.odcs.yaml"
    assert copy.read_bytes() == (folder / "parcel.odcs.yaml").read_bytes()
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    assert (folder / "published" / LOCK).read_text() == f"{digest}  parcel/1.4.0.odcs.yaml\n"
    assert [(each.table, str(each.version), each.path) for each in published(folder)] == [("parcel", "1.4.0", copy)]
    assert only(folder) == (Level.OK, "parcel 1.4.0 is published", "")


def test_publishing_again_does_nothing(folder: Path) -> None:
    publish(folder, "parcel")
    lock = (folder / "published" / LOCK).read_bytes()
    assert publish(folder, "parcel").says == "parcel 1.4.0 is published"
    assert (folder / "published" / LOCK).read_bytes() == lock


def test_what_is_published_cannot_be_changed_under_its_number(folder: Path, rewrite) -> None:
    publish(folder, "parcel")
    rewrite("1.4.0", maximum=40)
    level, says, remedy = only(folder)
    assert level is Level.FAULT
    assert "parcel 1.4.0 is published, and the working document is no longer the same" in says
    assert "weight may be 0 to 40" in says
    assert remedy.startswith("Number it 1.5.0 or higher")
    with pytest.raises(PublicationError, match="no longer the same"):
        publish(folder, "parcel")


@pytest.mark.parametrize(
    ("version", "maximum", "mode", "level", "says"),
    [
        ("1.4.1", 31.5, None, Level.NOTE, "a patch version where none is needed"),
        ("1.4.1", 40, None, Level.FAULT, "since 1.4.0 it needs a minor version"),
        ("1.5.0", 40, None, Level.NOTE, "a minor version where minor is needed"),
        ("2.0.0", 40, None, Level.NOTE, "a major version where minor is needed"),
        ("1.5.0", 20, None, Level.FAULT, "since 1.4.0 it needs a major version. Not BACKWARD: weight may be 0 to 20"),
        ("2.0.0", 20, None, Level.NOTE, "a major version where major is needed"),
        ("1.5.0", 20, "FORWARD", Level.NOTE, "a minor version where minor is needed"),
        ("1.5.0", 40, "FULL", Level.FAULT, "since 1.4.0 it needs a major version. Not FULL"),
        ("1.3.9", 40, None, Level.FAULT, "1.3.9 is not published and older than 1.4.0"),
        ("1.4", 40, None, Level.FAULT, "has no version number: '1.4' is no version MAJOR.MINOR.PATCH"),
        ("01.5.0", 40, None, Level.FAULT, "'01.5.0' is no version"),
    ],
)
def test_a_number_rises_by_what_the_change_asks_for(folder, rewrite, version, maximum, mode, level, says) -> None:
    rewrite("1.4.0", mode=mode)
    publish(folder, "parcel")
    rewrite(version, maximum, mode)
    found = only(folder)
    assert found[0] is level
    assert says in found[1]
    if level is Level.FAULT:
        with pytest.raises(PublicationError):
            publish(folder, "parcel")
    else:
        publish(folder, "parcel")
        assert only(folder)[0] is Level.OK


def test_the_mode_that_was_promised_judges_and_not_the_one_it_is_changed_to(folder: Path, rewrite) -> None:
    rewrite("1.4.0", mode="FULL")
    publish(folder, "parcel")
    rewrite("1.5.0", maximum=40, mode="BACKWARD")
    assert "Not FULL" in only(folder)[1]


@pytest.mark.parametrize(("mode", "level"), [("BACKWARD", Level.NOTE), ("BACKWARD_TRANSITIVE", Level.FAULT)])
def test_a_transitive_mode_binds_every_version_of_the_major(folder: Path, rewrite, mode: str, level: Level) -> None:
    """1.1.0 took back, under FORWARD, what 1.0.0 accepted. 1.2.0 accepts all of 1.1.0, not of 1.0.0."""
    rewrite("1.0.0", maximum=50, mode="FORWARD")
    publish(folder, "parcel")
    rewrite("1.1.0", maximum=30, mode=mode)
    publish(folder, "parcel")
    rewrite("1.2.0", maximum=40, mode=mode)
    assert only(folder)[0] is level


def test_an_older_major_may_go_on_beside_a_newer_one(folder: Path, rewrite) -> None:
    for version, maximum in (("1.4.0", 31.5), ("2.0.0", 20), ("1.5.0", 40)):
        rewrite(version, maximum)
        publish(folder, "parcel")
    assert [str(each.version) for each in published(folder)] == ["1.4.0", "1.5.0", "2.0.0"]


COPY = Path("parcel", "1.4.0.odcs.yaml")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda root: (root / COPY).write_text("apiVersion: v3.2.0"), "was changed after it was published"),
        (lambda root: (root / COPY).unlink(), "is missing"),
        (lambda root: shutil.copy(root / COPY, root / "parcel" / "1.5.0.odcs.yaml"), "is not in the lock"),
        (lambda root: (root / LOCK).unlink(), "is not in the lock"),
        (lambda root: (root / LOCK).write_text("1.4.0 parcel\n"), "is not a digest and a published file"),
    ],
)
def test_nothing_is_changed_behind_the_back_of_the_lock(folder: Path, harm, says: str) -> None:
    publish(folder, "parcel")
    harm(folder / "published")
    faults = [finding for finding in check(folder) if finding.level is Level.FAULT]
    assert any(says in finding.says for finding in faults)
    assert all(finding.remedy for finding in faults)


def test_nothing_is_published_on_top_of_a_fault(folder: Path, rewrite) -> None:
    publish(folder, "parcel")
    copy = folder / "published" / "parcel" / "1.4.0.odcs.yaml"
    copy.write_text(copy.read_text() + "\n")
    rewrite("1.5.0", maximum=40)
    with pytest.raises(PublicationError, match="was changed after it was published"):
        publish(folder, "parcel")


def test_publishing_that_was_interrupted_before_the_lock_is_finished_by_publishing_again(folder: Path) -> None:
    publish(folder, "parcel")
    (folder / "published" / LOCK).write_text("")
    assert any(finding.level is Level.FAULT for finding in check(folder))
    publish(folder, "parcel")
    assert only(folder)[0] is Level.OK


def test_versions_are_ordered_by_number_and_bumped_by_part() -> None:
    assert Version.read("1.10.0") > Version.read("1.9.9")
    one = Version(1, 4, 2)
    assert [str(one.bumped(bump)) for bump in Bump] == ["1.4.2", "1.4.3", "1.5.0", "2.0.0"]
    assert [Version.read(text).since(one) for text in ("1.4.2", "1.4.3", "1.6.0", "3.0.0")] == list(Bump)


def test_the_contracts_of_this_repository_are_what_was_published() -> None:
    result = CliRunner().invoke(warrant, ["contract", "check", "--json"])
    assert result.exit_code == 0, result.output
    findings = json.loads(result.output)
    assert {finding["workload"] for finding in findings} >= {"flight_disruption", "platform"}
    assert not [finding for finding in findings if finding["level"] == "fault"]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(warrant, ["contract", *arguments, "--contracts", str(folder.parent)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_the_commands_publish_check_and_compare(folder: Path, rewrite) -> None:
    assert run(folder, "check") == (
        0,
        "note: parcels: parcel 1.4.0 is not published yet\n"
        "  Publish it: warrant contract publish --workload parcels --table parcel.\n"
        "0 contracts are what was published, 1 noted, 0 at fault.\n",
    )
    assert run(folder, "publish", "--workload", "parcels", "--all") == (0, "parcel 1.4.0 is published\n")
    assert run(folder, "diff", "parcels/parcel@1.4.0", "parcels/parcel")[0] == 0
    rewrite("1.5.0", maximum=20)
    code, output = run(folder, "check")
    assert code == 1
    assert "needs a major version" in output
    assert "Number it 2.0.0" in output
    code, output = run(folder, "diff", "parcels/parcel@1.4.0", "parcels/parcel", "--json")
    assert code == 1
    told = json.loads(output)
    assert (told["verdict"], told["mode"], told["least_version"]) == ("broken", "BACKWARD", "2.0.0")
    (change,) = told["changes"]
    assert change["producers"]["witness"][0]["weight"] == 31.5
    assert run(folder, "diff", "parcels/parcel@1.4.0", "parcels/parcel", "--mode", "forward")[0] == 0


def test_a_transitive_diff_looks_at_the_versions_before(folder: Path, rewrite) -> None:
    for version, maximum in (("1.0.0", 50), ("1.1.0", 30)):
        rewrite(version, maximum, "FORWARD")
        publish(folder, "parcel")
    rewrite("1.2.0", 40)
    diff = ("diff", "parcels/parcel@1.1.0", "parcels/parcel", "--json", "--mode")
    assert run(folder, *diff, "BACKWARD")[0] == 0
    code, output = run(folder, *diff, "BACKWARD_TRANSITIVE")
    assert code == 1
    assert json.loads(output)["earlier"] == {"1.0.0": "broken"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("diff", "parcels/parcel@9.9.9", "parcels/parcel"), "no published version 9.9.9; there are: none"),
        (("diff", "letters/letter", "parcels/parcel"), "no contracts of 'letters'; there are those of parcels"),
        (("diff", "nowhere.yaml", "parcels/parcel"), "nowhere.yaml cannot be read: No such file"),
        (("publish", "--workload", "parcels"), "Say either --table or --all"),
        (("publish", "--workload", "parcels", "--table", "letter"), "parcels has no contract of 'letter'"),
    ],
)
def test_a_command_that_names_what_there_is_not_is_refused_with_exit_code_2(folder, arguments, says) -> None:
    code, output = run(folder, *arguments)
    assert code == 2
    assert says in " ".join(output.split())
