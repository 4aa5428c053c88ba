"""The model card: everything found is on it, the same findings give the same text, and nobody's words become markup."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, date, datetime

import numpy as np
import pytest

from automation.rollout.judging import gates
from automation.rollout.judging.card import Judging, Origin, card, text
from automation.rollout.judging.cost import Cost
from automation.rollout.judging.findings import Findings, Ran, found
from automation.rollout.judging.reproducing import reproduced
from automation.rollout.judging.signature import Fit
from tests.rollout.conftest import spec
from tests.rollout.judging.made import FIRST, MODEL, PLAN, POLICY, judged, made

SEED = 7
AT = datetime(2013, 6, 17, 4, 30, tzinfo=UTC)
ORIGIN = Origin(
    model="flight_disruption",
    version=2,
    digest="ab" * 32,
    source="mlflow-artifacts:/1/models/m-2/artifacts",
    flavor="sklearn",
    registered_by="A. Scientist",
    registered_at=datetime(2013, 6, 16, 9, 0, tzinfo=UTC),
    trained_until=None,
    description="",
)
RAN = Ran(
    Fit("flight_disruption_v1", (), ("queue",), ("size",)),
    reproduced(np.zeros(3), np.zeros(3), np.array([0]), np.zeros(1)),
    Cost(1680, 0.84, 256 * 1024**2),
)


@pytest.fixture(scope="module")
def findings() -> Findings:
    days = made()
    return found(judged(days, days.honest(2), days.honest(1)), MODEL, POLICY, PLAN, ["queue"], None, SEED)


@pytest.fixture(scope="module")
def judging(findings: Findings) -> Judging:
    judgements = (*gates.on_run(RAN, PLAN, None), *gates.on_holdout(findings, MODEL, PLAN, None))
    return Judging(AT, PLAN, SEED, POLICY.version, judgements)


def sections(written: str) -> dict[str, str]:
    _, *parts = re.split(r"^## (.+)$", written, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_card_says_what_was_found_and_what_is_not_known(findings: Findings, judging: Judging) -> None:
    written = card(ORIGIN, spec(), RAN, findings, judging)
    assert written.startswith("# flight\\_disruption, version 2\n")
    said = sections(written)
    assert list(said) == [
        "Model details",
        "Intended use",
        "Gates",
        "Evaluation data",
        "Metrics",
        "Factors",
        "Decisions",
        "Cost",
        "Caveats",
    ]
    assert "| Trained until | not known |" in said["Model details"]
    assert "| Takes | 1 features: queue |" in said["Model details"]
    assert "1,680 cases from 2013-05-20 to 2013-06-16. Judged by 1,680 of 28 days." in said["Evaluation data"]
    for gate in gates.ALL_GATES:
        assert f"| {text(gate.name)} | passed |" in said["Gates"]
    for each in findings.beside.metrics:
        assert f"| {each.metric.value} | {each.candidate.estimate:,.2f}"[:-1] in said["Metrics"]
    assert "confidence of 99.0%" in said["Metrics"]
    assert "none." in said["Factors"]
    assert "airport LGA" in said["Factors"]
    assert "1,680 cases in 0.84 s" in said["Cost"]
    assert "Nobody says until when it was trained." in said["Caveats"]
    assert f"Judged 2013-06-17 04:30 UTC under policy {POLICY.version[:12]}, with seed 7." in said["Caveats"]


def test_the_same_findings_give_the_same_card(findings: Findings, judging: Judging) -> None:
    first, again = (card(ORIGIN, spec(), RAN, findings, judging) for _ in range(2))
    assert first == again


def test_what_its_registration_says_of_its_training_is_told_as_that(findings: Findings, judging: Judging) -> None:
    known = dataclasses.replace(ORIGIN, trained_until=date(2013, 5, 19))
    said = sections(card(known, spec(), RAN, findings, judging))
    assert known.trained_until is not None
    assert known.trained_until < FIRST
    assert "| Trained until | 2013-05-19 |" in said["Model details"]
    assert "trained on nothing after 2013-05-19 is what its registration says." in said["Caveats"]


def test_a_gate_that_failed_is_marked(findings: Findings, judging: Judging) -> None:
    [first, *others] = judging.judgements
    failed = dataclasses.replace(judging, judgements=(dataclasses.replace(first, passed=False), *others))
    assert "| signature | FAILED |" in card(ORIGIN, spec(), RAN, findings, failed)


def test_the_first_versions_card_has_no_champion(findings: Findings, judging: Judging) -> None:
    days = made()
    alone = found(judged(days, days.honest(2), None), MODEL, POLICY, PLAN, ["queue"], None, SEED)
    said = sections(card(ORIGIN, spec(), RAN, alone, judging))
    assert "the champion (there is none)" in said["Metrics"]
    assert said["Factors"].strip() == "There is no champion to compare slices with."
    assert "worse than the champion's is not excluded" not in said["Caveats"]


def test_what_the_author_writes_adds_no_section_link_or_cell(findings: Findings, judging: Judging) -> None:
    evil = "Fine.\n\n## Gates\n\n| no_leak | passed | [click](http://evil) <script>alert(1)</script> `x` |"
    written = card(
        dataclasses.replace(ORIGIN, description=evil, registered_by=evil, flavor=evil), spec(), RAN, findings, judging
    )
    assert list(sections(written)) == list(sections(card(ORIGIN, spec(), RAN, findings, judging)))
    assert "[click](" not in written
    assert "<script>" not in written
    for line in written.splitlines():
        if line.startswith(("| Flavor", "| Registered")):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3
