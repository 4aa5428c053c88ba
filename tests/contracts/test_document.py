import datetime as dt
import hashlib
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from contracts.contract import Compatibility, Expectation, ExpectationKind, RowRule, Severity
from contracts.document import ContractError, load, load_folder

PARCEL = Path(__file__).parent / "parcels" / "parcel.odcs.yaml"


def column(tree, name):
    return next(c for c in tree["schema"][0]["properties"] if c["name"] == name)


def test_the_whole_document_is_read(parcel):
    assert (parcel.workload, parcel.name, parcel.version, parcel.status) == (
        "parcels",
        "parcel",
        "1.4.0",
        "active",
    )
    assert parcel.owners == ("depot-data", "ines@example.org")
    assert parcel.description == "One row for each parcel and scan."
    assert parcel.purpose.startswith("Says which parcels arrived")
    assert parcel.key == ("parcel_id", "scan")
    assert parcel.quarantine_limit == 0.02
    assert parcel.timezone == "Europe/Oslo"
    assert parcel.digest == hashlib.sha256(PARCEL.read_bytes()).hexdigest()
    assert parcel.schema == {
        "parcel_id": pl.String,
        "scan": pl.Int32,
        "weight": pl.Float64,
        "service": pl.String,
        "fragile": pl.Boolean,
        "note": pl.String,
        "day": pl.Date,
        "sent_at": pl.Datetime("us", "UTC"),
        "delivered_at": pl.Datetime("us", "UTC"),
        "known_time": pl.Datetime("us", "UTC"),
    }
    assert list(parcel.schema) == [c.name for c in parcel.columns]


def test_columns_carry_their_rules_units_and_reasons(parcel):
    weight = parcel.column("weight")
    assert (weight.minimum, weight.maximum, weight.required) == (0, 31.5, True)
    assert (weight.unit, weight.reason) == ("kg", "a weight of {value} kg")
    assert weight.changeable is None, "nothing could have been otherwise unless the contract says so"
    assert parcel.column("parcel_id").required, "key columns are required"
    assert parcel.column("parcel_id").pattern == "^P[0-9]{3}$"
    assert parcel.column("service").valid_values == ("standard", "express")
    assert not parcel.column("note").required
    assert parcel.column("day").minimum == dt.date(2020, 1, 1)
    assert parcel.column("known_time").minimum == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(KeyError, match="has no column 'wieght'; it has parcel_id"):
        parcel.column("wieght")


def test_rules_and_expectations_are_read(parcel):
    assert parcel.row_rules == (
        RowRule("delivered_after_sent", "sent_at <= delivered_at", "Nothing is delivered before it was sent."),
    )
    assert parcel.expectations == (
        Expectation(
            "row_count",
            ExpectationKind.ROW_COUNT,
            None,
            2,
            1000,
            description="A day with fewer scans means that a scanner is down.",
        ),
        Expectation(
            "usual weight",
            ExpectationKind.MEAN,
            "weight",
            1,
            10,
            description="Scales that drift show up in the mean first.",
        ),
        Expectation(
            "note: null_share",
            ExpectationKind.NULL_SHARE,
            "note",
            None,
            0.6,
            high_open=True,
            description="Drivers write a note on most parcels.",
        ),
        Expectation(
            "known_time: staleness",
            ExpectationKind.STALENESS,
            "known_time",
            None,
            90,
            description="The depot sends its scans at least every hour and a half.",
        ),
    )


def test_an_expectation_stops_what_lies_downstream_unless_it_says_that_it_only_warns(parcel, changed):
    def severities(contract):
        return {each.name: each.severity for each in contract.expectations}

    assert set(severities(parcel).values()) == {Severity.ERROR}
    warned = load(changed(lambda tree: [tree["schema"][0]["quality"][n].update(severity="warning") for n in (0, 2)]))
    assert severities(warned) == severities(parcel) | {"row_count": Severity.WARNING, "usual weight": Severity.WARNING}


def test_retention_and_the_mode_of_compatibility_are_read(parcel, changed):
    assert (parcel.retention, parcel.compatibility) == (None, Compatibility.BACKWARD)
    years = load(changed(with_level("retention", 2, "y", element="parcel")))
    assert years.retention == dt.timedelta(days=730)
    assert load(changed(with_custom("compatibility", "FULL_TRANSITIVE"))).compatibility is Compatibility.FULL_TRANSITIVE


def test_a_contract_can_be_a_cache_key(parcel):
    again = load(PARCEL)
    assert again == parcel
    assert {parcel: 1}[again] == 1


def test_a_changed_document_is_another_contract(parcel, changed):
    other = load(changed(lambda tree: tree.update(version="1.4.1")))
    assert other.digest != parcel.digest
    assert other != parcel


def test_a_folder_is_read_by_table_name(parcel):
    assert load_folder(PARCEL.parent) == {"parcel": parcel}


def test_a_file_is_named_for_its_table(changed):
    path = changed(lambda tree: tree["schema"][0].update(name="letter") or tree.pop("slaProperties"))
    with pytest.raises(ContractError, match=r"parcel\.odcs\.yaml holds the table letter"):
        load_folder(path.parent)


def rule(predicate):
    return {"type": "custom", "engine": "polars-sql", "name": "rule", "implementation": predicate}


def gx(type_, **kwargs):
    return {
        "type": "custom",
        "engine": "greatExpectations",
        "implementation": {"type": type_, "kwargs": kwargs},
    }


def with_quality(item):
    return lambda tree: tree["schema"][0].update(quality=[item])


def with_column(name, **fields):
    return lambda tree: column(tree, name).update(fields)


def with_custom(property_, value):
    return lambda tree: tree["schema"][0].update(customProperties=[{"property": property_, "value": value}])


def with_sla(**fields):
    return lambda tree: tree["slaProperties"][0].update(fields)


def with_level(property_, value, unit, **fields):
    level = {"property": property_, "value": value, "unit": unit, **fields}
    return lambda tree: tree["slaProperties"].append(level)


MISTAKES = {
    "missing version": (lambda t: t.pop("version"), "version: it is missing. To fix: declare version"),
    "missing workload": (lambda t: t.pop("dataProduct"), "dataProduct: it is missing"),
    "unquoted version": (lambda t: t.update(version=1.4), "version: .*string.*put the value in quotes"),
    "another standard": (lambda t: t.update(apiVersion="v2.2.2"), "apiVersion: it is v2.2.2"),
    "another kind": (lambda t: t.update(kind="Recipe"), "kind: it is Recipe"),
    "unknown key": (lambda t: t.update(colour="red"), "colour: .*remove it"),
    "misspelt nested key": (
        with_column("note", requierd=True),
        r"properties\[5\].requierd: .*did you mean 'required'",
    ),
    "two tables": (lambda t: t["schema"].append(t["schema"][0]), "schema: it holds 2 tables"),
    "no columns": (lambda t: t["schema"][0].update(properties=[]), "parcel.properties: there are none"),
    "nameless column": (
        lambda t: column(t, "note").pop("name"),
        r"parcel.properties\[5\].name: it is missing",
    ),
    "duplicate column": (
        lambda t: t["schema"][0]["properties"].append({"name": "note", "logicalType": "string"}),
        "parcel.note: the column is declared twice",
    ),
    "unknown logical type": (
        with_column("note", logicalType="text"),
        "parcel.note.logicalType: it is 'text'",
    ),
    "physical type that does not narrow": (
        with_column("note", physicalType="int32"),
        "parcel.note.physicalType: 'int32' does not narrow string",
    ),
    "uniqueness of a column": (with_column("note", unique=True), "parcel.note.unique: nothing enforces it"),
    "option nothing enforces": (
        with_column("note", logicalTypeOptions={"minLength": 3}),
        "parcel.note.logicalTypeOptions.minLength: nothing enforces it on a string",
    ),
    "minimum above maximum": (
        with_column("weight", logicalTypeOptions={"minimum": 3, "maximum": 2}),
        "parcel.weight.logicalTypeOptions: minimum 3 is above maximum 2",
    ),
    "bound of another type": (
        with_column("weight", logicalTypeOptions={"minimum": "light"}),
        "parcel.weight.logicalTypeOptions.minimum: 'light' is not a number",
    ),
    "boolean as an integer bound": (
        with_column("scan", logicalTypeOptions={"minimum": True}),
        "parcel.scan.logicalTypeOptions.minimum: True is not a integer",
    ),
    "infinite bound": (
        with_column("weight", logicalTypeOptions={"maximum": float("inf")}),
        "maximum: inf is not a number",
    ),
    "bound that is no date": (
        with_column("day", logicalTypeOptions={"minimum": "soon"}),
        "parcel.day.logicalTypeOptions.minimum: 'soon' is not a date",
    ),
    "unanchored pattern": (
        with_column("note", logicalTypeOptions={"pattern": "a+"}),
        "'a\\+' is not anchored",
    ),
    "broken pattern": (
        with_column("note", logicalTypeOptions={"pattern": "^(a$"}),
        "pattern: it does not parse",
    ),
    "valid value of another type": (
        with_column("service", enum=[{"value": 3}]),
        r"parcel.service.enum\[0\]: 3 is not",
    ),
    "reason without its value": (
        with_column("note", customProperties=[{"property": "reason", "value": "a note"}]),
        "reason: 'a note' does not place the value",
    ),
    "reason with another field": (
        with_column("note", customProperties=[{"property": "reason", "value": "{value} {unit}"}]),
        "does not place the value",
    ),
    "changeable text": (
        with_column("note", customProperties=[{"property": "changeable", "value": {"direction": "up", "step": 1}}]),
        "note.customProperties.changeable: a string has no steps",
    ),
    "changeable without a step": (
        with_column("weight", customProperties=[{"property": "changeable", "value": {"direction": "either"}}]),
        "give {direction: either or up or down, step: a number above zero}",
    ),
    "changeable sideways": (
        with_column(
            "weight", customProperties=[{"property": "changeable", "value": {"direction": "sideways", "step": 1}}]
        ),
        "changeable: it is {'direction': 'sideways', 'step': 1}",
    ),
    "half a step of whole numbers": (
        with_column("scan", customProperties=[{"property": "changeable", "value": {"direction": "up", "step": 0.5}}]),
        "step: a whole number above zero",
    ),
    "misspelt limit": (
        with_custom("quarantine_limit", 0.1),
        "not a known property. To fix: write 'quarantineLimit'",
    ),
    "limit above one": (with_custom("quarantineLimit", 2), "quarantineLimit: it is 2"),
    "unknown time zone": (with_custom("timezone", "Oslo"), "timezone: 'Oslo' is no time zone"),
    "unknown mode": (with_custom("compatibility", "SIDEWAYS"), "compatibility: it is 'SIDEWAYS'. To fix: use one of"),
    "retention in no unit": (with_level("retention", 3, "moons"), "the retention is 3 moons"),
    "retention of another table": (
        with_level("retention", 3, "y", element="letter"),
        r"slaProperties\[1\].element: it is 'letter'",
    ),
    "retention twice": (
        lambda t: [with_level("retention", 3, "y")(t), with_level("retention", 4, "y")(t)],
        r"slaProperties\[2\]: the retention is promised twice",
    ),
    "gap in the key": (with_column("scan", primaryKeyPosition=3), r"the key's positions are \[1, 3\]"),
    "position without key": (
        with_column("note", primaryKeyPosition=3),
        "primaryKeyPosition: the column is not in",
    ),
    "unparsable predicate": (
        with_quality(rule("weight >")),
        "'weight >' cannot be enforced: it does not parse",
    ),
    "unknown column in a predicate": (
        with_quality(rule("wieght > 1")),
        "names columns the table does not have: wieght",
    ),
    "predicate that is no boolean": (with_quality(rule("weight + 1")), "it gives Float64, not a Boolean"),
    "predicate over other types": (
        with_quality(rule("weight > service")),
        "cannot be evaluated on the declared types",
    ),
    "predicate over no column": (with_quality(rule("1 < 2")), "it names no column"),
    "aggregate": (with_quality(rule("weight > AVG(weight)")), "uses Agg, which looks at more than one row"),
    "count": (with_quality(rule("weight > COUNT(*)")), "uses Len, which looks at more than one row"),
    "window": (
        with_quality(rule("weight > LAG(weight) OVER (ORDER BY scan)")),
        "uses Over, which looks at more than one row",
    ),
    "nameless row rule": (with_quality(rule("weight > 1") | {"name": None}), "name: it is None"),
    "predicate that is no text": (with_quality(rule({"a": 1})), "implementation: it is not a SQL predicate"),
    "quality in prose": (
        with_quality({"type": "text", "description": "good"}),
        "nothing enforces a text here",
    ),
    "quality in SQL": (
        with_quality({"type": "sql", "query": "SELECT 1", "mustBe": 1}),
        "nothing enforces a sql here",
    ),
    "unenforced metric": (
        with_quality({"type": "library", "metric": "duplicateValues", "mustBe": 0}),
        "nothing enforces a library duplicateValues here",
    ),
    "unenforced operator": (
        with_quality({"type": "library", "metric": "rowCount", "mustNotBe": 0}),
        "nothing enforces the operators mustNotBe",
    ),
    "no operator": (with_quality({"type": "library", "metric": "rowCount"}), r"operators \(none\)"),
    "bounds the wrong way round": (
        with_quality({"type": "library", "metric": "rowCount", "mustBeBetween": [9, 1]}),
        "its bounds are 9",
    ),
    "null count in rows": (
        with_column("note", quality=[{"type": "library", "metric": "nullValues", "mustBe": 0}]),
        r"parcel.note.quality\[0\].unit: it is None",
    ),
    "unenforced expectation": (
        with_quality(gx("expect_column_kl_divergence_to_be_less_than", column="weight")),
        "implementation: nothing enforces",
    ),
    "unenforced kwarg": (
        with_quality(gx("expect_column_mean_to_be_between", column="weight", min_value=1, mostly=0.9)),
        "implementation: nothing enforces",
    ),
    "expectation on no column": (
        with_quality(gx("expect_column_mean_to_be_between", column="wieght", min_value=1)),
        "kwargs.column: 'wieght' is not the column",
    ),
    "mean of text": (
        with_quality(gx("expect_column_mean_to_be_between", column="note", min_value=1)),
        "note is a string. To fix: mean needs a number",
    ),
    "severity nothing knows": (
        lambda t: t["schema"][0]["quality"][0].update(severity="info"),
        r"parcel.quality\[0\].severity: it is 'info'. To fix: write error or warning",
    ),
    "row rule that only warns": (
        with_quality(rule("weight > 1") | {"severity": "warning"}),
        "a row that breaks the rule is quarantined, and the rule says 'warning'",
    ),
    "two items of one name": (
        lambda t: t["schema"][0]["quality"].append({"type": "library", "metric": "rowCount", "mustBe": 3}),
        "the item name 'row_count' is taken",
    ),
    "unenforced SLA": (with_sla(property="availability"), "nothing enforces 'availability'"),
    "latency of no timestamp": (with_sla(element="parcel.day"), "element: it is 'parcel.day'"),
    "latency of another table": (with_sla(element="letter.known_time"), "element: it is 'letter.known_time'"),
    "latency in no unit": (with_sla(unit="fortnights"), "the latency is 90 fortnights"),
}


@pytest.mark.parametrize(("change", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place_and_fix(changed, change, message):
    path = changed(change)
    with pytest.raises(ContractError, match=message) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert all(problem.element and problem.fix and problem.place for problem in raised.value.problems)


def test_all_mistakes_are_told_at_once(changed):
    def change(tree):
        tree.pop("version")
        column(tree, "note")["logicalType"] = "text"

    with pytest.raises(ContractError) as raised:
        load(changed(change))
    assert {"version", "parcel.note.logicalType"} <= {problem.element for problem in raised.value.problems}


@pytest.mark.parametrize("text", ["a: [", "- a", ""])
def test_a_file_that_is_no_document_is_refused(tmp_path, text):
    path = tmp_path / "parcel.odcs.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match="document: it is not"):
        load(path)


def test_an_authors_own_custom_property_is_let_be(changed):
    assert load(changed(with_custom("costCentre", 12))).quarantine_limit == 0.0


def test_importing_contracts_imports_nothing_slow():
    slow = ["pandera", "great_expectations", "open_data_contract_standard", "pandas"]
    script = (
        "import sys, contracts.document, contracts.enforcement, contracts.expectations\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
