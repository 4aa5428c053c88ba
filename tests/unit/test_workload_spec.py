"""A declaration that is wrong is refused in words that say what to change."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from automation.workload import MissingContractError, Workload, WorkloadSpec


def test_the_pilots_declaration_is_read(workload) -> None:
    assert workload.name == "flight_disruption"
    assert "seats" in workload.model_features
    assert "tail_number" not in workload.model_features
    assert not {"flight_id", "event_time"} & set(workload.model_features)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        pytest.param(lambda a: a.update(colour="red"), "Extra inputs are not permitted", id="a misspelt field"),
        pytest.param(lambda a: a.pop("owners"), "Field required", id="nobody owns it"),
        pytest.param(lambda a: a.update(owners=[]), "at least 1 item", id="an empty list of owners"),
        pytest.param(lambda a: a.update(name="Flight Disruption"), "should match pattern", id="a name with spaces"),
        pytest.param(
            lambda a: a["cases"].update(reads=["fligth_schedule"]),
            "cases reads 'fligth_schedule', which is no feed: ",
            id="a table that nobody delivers",
        ),
        pytest.param(
            lambda a: a["cases"].update(lookback_days=-1), "greater than or equal to 0", id="looking into the future"
        ),
        pytest.param(
            lambda a: a["policy"].update(safe_action="hide"),
            "safe_action names the action 'hide', which is none of proceed, notify, protect",
            id="an unknown safe action",
        ),
        pytest.param(
            lambda a: a["policy"]["limits"].append({"action": "proceed", "at_most": 1, "per": "origin"}),
            "the safe action 'proceed' cannot be limited",
            id="a limit on the safe action",
        ),
        pytest.param(
            lambda a: a["policy"]["limits"].append({"action": "pray", "at_most": 1, "per": "origin"}),
            "limits names the action 'pray'",
            id="a limit on no action",
        ),
        pytest.param(
            lambda a: a["policy"]["actions"][1].update(name="proceed"),
            "two actions share a name: proceed, proceed, protect",
            id="two actions of one name",
        ),
        pytest.param(
            lambda a: a["policy"]["actions"][1].update(mitigates=1.2),
            "less than or equal to 1",
            id="more than all harm",
        ),
        pytest.param(lambda a: a["policy"].update(assumptions=[]), "at least 1 item", id="no assumption stated"),
        pytest.param(lambda a: a.update(retrain_day=31), "less than or equal to 28", id="a day not all months have"),
    ],
)
def test_a_wrong_declaration_is_refused_in_plain_words(declared, edit, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        WorkloadSpec.model_validate(declared(edit))


def test_a_table_without_a_contract_is_named_with_the_file_to_write(workload) -> None:
    with pytest.raises(MissingContractError, match=r"Write contracts/flight_disruption/parcels\.odcs\.yaml"):
        workload.contract("parcels")


def test_every_declared_table_has_a_contract_and_a_function(workload: Workload) -> None:
    spec = workload.spec
    feed, features = workload.module("feed"), workload.module("features")
    for table in spec.feeds:
        assert callable(getattr(feed, table.table))
    for derived in (spec.cases, spec.labels, *spec.features.views):
        assert callable(getattr(features, derived.table))
    for name in (*(f.table for f in spec.feeds), spec.cases.table, spec.labels.table, spec.model.contract):
        assert workload.contract(name).name == name
    assert callable(workload.module("model").fit)
    assert spec.model.rule_feature in workload.model_features


def test_each_contract_of_the_pilot_is_of_a_table_it_declares(workload: Workload) -> None:
    spec = workload.spec
    declared = {spec.cases.table, spec.labels.table, spec.model.contract}
    declared |= {f.table for f in spec.feeds} | {view.table for view in spec.features.views}
    found = {path.name.removesuffix(".odcs.yaml") for path in Path("contracts", spec.name).glob("*.odcs.yaml")}
    assert found == declared
