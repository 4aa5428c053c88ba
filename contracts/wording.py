"""A contract's promises in words, for every place where a person reads them: Dagster, pages, reports."""

import datetime as dt
from collections.abc import Iterable

from contracts.contract import Column, Contract, Expectation, ExpectationKind

_MEASURES = {
    ExpectationKind.ROW_COUNT: "rows",
    ExpectationKind.NULL_SHARE: "share of missing {column}",
    ExpectationKind.MEAN: "mean of {column}",
    ExpectationKind.MIN: "smallest {column}",
    ExpectationKind.MAX: "largest {column}",
    ExpectationKind.DISTINCT_COUNT: "different values of {column}",
    ExpectationKind.STALENESS: "time from the newest {column} to the end of the day",
}


def column_rules(column: Column) -> list[str]:
    """What is promised of each value of `column`, in words; whether it may be missing is not among them."""
    rules = []
    if column.minimum is not None:
        rules.append(f"at least {_bound(column.minimum)}")
    if column.maximum is not None:
        rules.append(f"at most {_bound(column.maximum)}")
    if column.pattern:
        rules.append(f"matches {column.pattern}")
    if column.valid_values:
        rules.append(f"one of {', '.join(map(_bound, column.valid_values))}")
    return rules


def expectation(promise: Expectation, contract: Contract) -> str:
    """What is expected of a partition, in words: the measure, its bounds and their unit."""
    measure = _MEASURES[promise.kind].format(column=promise.column)
    low, high = (_amount(bound, promise, contract) for bound in (promise.low, promise.high))
    below, above = "less than" if promise.high_open else "at most", "more than" if promise.low_open else "at least"
    if promise.low is None:
        bounds = f"{below} {high}"
    elif promise.high is None:
        bounds = f"{above} {low}"
    elif promise.low == promise.high:
        bounds = f"exactly {low}"
    elif promise.low_open or promise.high_open:
        bounds = f"{above} {low} and {below} {high}"
    else:
        bounds = f"from {low} to {high}"
    return f"{measure}: {bounds}"


def rows_promise(contract: Contract) -> str:
    """What the gate of the rows holds, in words."""
    some = f"At most {share(contract.quarantine_limit)} of the rows" if contract.quarantine_limit else "No row"
    return f"{some} may break {contract.name} {contract.version}, and none is lost: rows in are rows kept."


def partition_promise(promises: Iterable[Expectation], contract: Contract) -> str:
    """What a gate of a partition as a whole holds, in words."""
    return "; ".join(expectation(promise, contract) for promise in promises) + "."


def share(value: float) -> str:
    """A share from 0 to 1 in percent."""
    return f"{value * 100:.4g}%"


def _amount(value: float | None, promise: Expectation, contract: Contract) -> str:
    if value is None:
        return ""
    match promise.kind:
        case ExpectationKind.NULL_SHARE:
            return share(value)
        case ExpectationKind.STALENESS:
            return f"{value / 60:.4g} hours" if value >= 120 else f"{value:.4g} minutes"
        case ExpectationKind.ROW_COUNT | ExpectationKind.DISTINCT_COUNT:
            return f"{value:,.0f}"
        case _:
            unit = contract.column(promise.column).unit if promise.column else None
            return " ".join(filter(None, [f"{value:,.6g}", unit]))


def _bound(value: object) -> str:
    if isinstance(value, dt.datetime):
        return f"{value.isoformat(sep=' ').removesuffix('+00:00')} UTC"
    return str(value)
