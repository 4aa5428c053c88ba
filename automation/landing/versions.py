"""Which contract a delivery is held to: of its table, in the version that it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from automation.landing.verdict import Fault, RefusedFileError
from automation.workload import Delivery

if TYPE_CHECKING:
    from automation.workload import Workload
    from contracts.contract import Contract

DATASCHEMA = re.compile(r"urn:warrant:contract:(?P<workload>[^:]+):(?P<table>[^:]+):(?P<version>[^:]+)")


def dataschema(contract: Contract) -> str:
    """The URI by which an event names ``contract``."""
    return f"urn:warrant:contract:{contract.workload}:{contract.name}:{contract.version}"


def contract_of(workload: Workload, table: str, version: str | None = None) -> Contract:
    """The contract of a daily feed in ``version``, by default the working one. The one place that knows versions.

    Raises:
        RefusedFileError: the workload has no such daily feed, or its contract no such version.
    """
    daily = [feed.table for feed in workload.spec.feeds if feed.delivery is Delivery.DAILY]
    if table not in daily:
        whole = table in {feed.table for feed in workload.spec.feeds}
        why = "is delivered whole, not by files that add to it" if whole else f"is no feed of {workload.name}"
        raise RefusedFileError(Fault.TABLE, f"{table} {why}. Feeds that take files: {', '.join(daily)}.")
    contract = workload.contract(table)
    if version not in (None, contract.version):
        raise RefusedFileError(
            Fault.VERSION, f"{workload.name} {table} has no contract version {version}; it has {contract.version}."
        )
    return contract


def contract_named(workload: Workload, uri: str | None) -> Contract:
    """The contract that an event's ``dataschema`` names.

    Raises:
        RefusedFileError: it names none that is known.
    """
    found = DATASCHEMA.fullmatch(uri or "")
    if found is None:
        given = "has no dataschema" if uri is None else f"has the dataschema {uri}"
        raise RefusedFileError(
            Fault.VERSION,
            f"The event {given}; it shall be urn:warrant:contract:{workload.name}:TABLE:VERSION.",
        )
    if found["workload"] != workload.name:
        raise RefusedFileError(
            Fault.TABLE, f"The event is for the workload {found['workload']}, in the folder of {workload.name}."
        )
    return contract_of(workload, found["table"], found["version"])
