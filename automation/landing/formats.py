"""Reading what was delivered: CSV, Parquet and newline-delimited CloudEvents become rows, or a refusal that says why.

Pure functions over bytes. A fault of the file refuses the file; a fault of one line refuses that line and keeps its
text. Whether the values are what the contract promises is not judged here but at the table's boundary.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from automation.landing.events import NotAnEventError, NotJsonError, event
from automation.landing.verdict import Fault, RefusedFileError, RefusedLine
from automation.landing.versions import contract_named, contract_of
from contracts.contract import LogicalType

if TYPE_CHECKING:
    from automation.workload import Workload
    from contracts.contract import Contract

MOST_BYTES = 256 * 2**20
KNOWN_TIME, EVENT_TIME = "known_time", "event_time"
PARQUET_MAGIC = b"PAR1"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class LandedRow:
    """One row as it was delivered, as canonical JSON, with the text of its known time. ``line`` counts from 1.

    ``known_time`` is what the row says, and the time of receipt if it says none at all: then ``row`` lacks it.
    """

    line: int
    table: str
    version: str
    row: str
    known_time: str | None
    source: str | None = None
    event: str | None = None


@dataclass(frozen=True)
class Read:
    """What was read of a file. ``lines`` counts its rows or events, let in or not."""

    rows: list[LandedRow] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> int:
        return len(self.rows) + len(self.refused)


def read(data: bytes, file: str, table: str | None, workload: Workload, received_at: datetime) -> Read:
    """What ``data`` delivers. ``file`` is its name, ``table`` the folder it lay in, if it lay in one.

    A row without a known time of its own became known when it was received.

    Raises:
        RefusedFileError: nothing of it can be let in.
    """
    form = PurePosixPath(file).suffix.lower()
    if form not in FORMATS:
        raise RefusedFileError(Fault.FORMAT, f"{form or 'No ending'} is none of {', '.join(FORMATS)}.")
    if table is None and form != ".ndjson":
        raise RefusedFileError(
            Fault.TABLE,
            f"It lies in no table's folder. Put it into {workload.name}/TABLE; only events name their table.",
        )
    if table is not None:
        contract_of(workload, table)
    if not data:
        raise RefusedFileError(Fault.EMPTY, "It has no bytes.")
    if len(data) > MOST_BYTES:
        raise RefusedFileError(Fault.TOO_LARGE, f"It has {len(data):,} bytes; cut it into files of {MOST_BYTES:,}.")
    found = FORMATS[form](data, table, workload, received_at.isoformat())
    if not found.lines:
        raise RefusedFileError(Fault.EMPTY, "It has no rows.")
    return found


def _csv(data: bytes, table: str | None, workload: Workload, received: str) -> Read:
    """RFC 4180: a header, every field text, an empty one null."""
    contract = contract_of(workload, str(table))
    text, notes = _text(data)
    if not text.strip():
        raise RefusedFileError(Fault.EMPTY, "It has no header.")
    if not text.endswith(("\n", "\r")):
        last = text.count("\n") + 1
        raise RefusedFileError(
            Fault.TRUNCATED, f"Line {last}, the last, does not end with a line break: nobody can tell if it is whole."
        )
    records = _records(text)
    number, header, header_text = next(records)
    if not isinstance(header, list):
        raise RefusedFileError(Fault.COLUMNS, f"Its header cannot be read: {header}.")
    _same_columns(header, contract, header_text)
    rows: list[LandedRow] = []
    refused: list[RefusedLine] = []
    for number, fields, original in records:
        if isinstance(fields, str) or len(fields) != len(header):
            says = fields if isinstance(fields, str) else f"{len(fields)} fields, where the header has {len(header)}"
            refused.append(RefusedLine(number, original, Fault.FIELDS, says, contract.name, contract.version))
            continue
        values = {name: value or None for name, value in zip(header, fields, strict=True)}
        rows.append(_row(number, contract, values, received))
    return Read(rows, refused, notes)


def _records(text: str) -> Iterator[tuple[int, list[str] | str, str]]:
    """Each record: the number of its first line, its fields (or, as text, why it has none), its original text."""
    consumed: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            consumed.append(line)
            yield line

    reader, first = csv.reader(lines(), strict=True), 1
    while True:
        consumed.clear()
        try:
            fields: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise RefusedFileError(
                    Fault.TRUNCATED, f"A field that opens with a quotation mark in line {first} never closes."
                ) from None
            fields = str(error)
        if fields:
            yield first, fields, "".join(consumed)
        first += len(consumed)


def _ndjson(data: bytes, table: str | None, workload: Workload, received: str) -> Read:
    """One CloudEvent a line. The last needs no line break: a JSON object that was cut off is none."""
    text, notes = _text(data)
    rows: list[LandedRow] = []
    refused: list[RefusedLine] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        contract: Contract | None = None
        try:
            found = event(line)
            contract = contract_named(workload, found.dataschema)
            values = found.row()
            _event_values(values, contract, table)
        except NotAnEventError as error:
            if number == len(lines) and isinstance(error, NotJsonError):
                raise RefusedFileError(Fault.TRUNCATED, f"Line {number}, the last, is cut off: {error}.") from None
            refused.append(RefusedLine(number, line, Fault.EVENT, str(error), table))
        except RefusedFileError as error:
            named = contract.name if contract else table
            version = contract.version if contract else None
            refused.append(RefusedLine(number, line, error.fault, error.says, named, version))
        else:
            if found.time is not None and EVENT_TIME in contract.schema:
                values = {EVENT_TIME: found.time, **values}
            rows.append(_row(number, contract, values, received, found.source, found.id))
    return Read(rows, refused, notes)


def _event_values(values: dict[str, Any], contract: Contract, table: str | None) -> None:
    """Refuses an event in the folder of another table, and values that text cannot carry to the boundary unchanged.

    A column that is left out is null there.
    """
    if table not in (None, contract.name):
        raise RefusedFileError(Fault.TABLE, f"The event is for the table {contract.name}, in the folder of {table}.")
    if undeclared := sorted(set(values) - set(contract.schema)):
        raise RefusedFileError(
            Fault.COLUMNS, f"{contract.name} {contract.version} does not declare {', '.join(undeclared)}."
        )
    for name, value in values.items():
        textual = contract.column(name).type is LogicalType.STRING
        if isinstance(value, dict | list) or (textual and isinstance(value, bool | float)):
            raise RefusedFileError(Fault.VALUE, f"{name} is {json.dumps(value)}, not {contract.column(name).type}.")


def _parquet(data: bytes, table: str | None, workload: Workload, received: str) -> Read:
    """A Parquet file: its columns are the contract's, whatever their widths."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    from contracts import canonical_json

    contract = contract_of(workload, str(table))
    if not data.startswith(PARQUET_MAGIC):
        raise RefusedFileError(Fault.UNREADABLE, "It does not begin as a Parquet file does.")
    if len(data) < 12 or not data.endswith(PARQUET_MAGIC):
        raise RefusedFileError(Fault.TRUNCATED, "It has no Parquet footer: its end is missing.")
    try:
        stored = pq.read_table(pa.BufferReader(data))
        stored.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise RefusedFileError(Fault.UNREADABLE, f"It cannot be read as Parquet: {error}.") from None
    _same_columns(stored.column_names, contract, "")
    frame = pl.DataFrame(stored)
    for name, dtype in frame.schema.items():
        textual = contract.column(name).type is LogicalType.STRING
        text_like = isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null) or dtype.is_integer()
        if dtype.is_nested() or dtype == pl.Binary or (textual and not text_like):
            raise RefusedFileError(
                Fault.COLUMNS, f"The column {name} is {dtype}; {contract.name} has {contract.column(name).type}."
            )
    rows = [
        _row(number, contract, json.loads(row), received)
        for number, row in enumerate(canonical_json.rows(frame), start=1)
    ]
    return Read(rows)


FORMATS: dict[str, Callable[[bytes, str | None, Workload, str], Read]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".ndjson": _ndjson,
}


def _row(
    line: int,
    contract: Contract,
    values: dict[str, Any],
    received: str,
    source: str | None = None,
    event_id: str | None = None,
) -> LandedRow:
    known = values.get(KNOWN_TIME, received)
    row = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text = None if known is None else str(known)
    return LandedRow(line, contract.name, contract.version, row, text, source, event_id)


def _same_columns(columns: Sequence[str], contract: Contract, header: str) -> None:
    """Refuses a file whose columns are not the contract's, in any order. The known time may be left out."""
    missing = [name for name in contract.schema if name not in columns and name != KNOWN_TIME]
    undeclared = [name for name in dict.fromkeys(columns) if name not in contract.schema]
    twice = [name for name in dict.fromkeys(columns) if list(columns).count(name) > 1]
    if not (missing or undeclared or twice):
        return
    faults = [
        f"{says} {', '.join(map(repr, names))}"
        for says, names in (("it lacks", missing), ("it has, undeclared,", undeclared), ("it has twice", twice))
        if names
    ]
    hint = ""
    if len(columns) == 1 and len(contract.schema) > 1:
        hint = next(
            (f" Its fields seem to be separated by {mark!r}: use commas." for mark in ";\t|" if mark in header), ""
        )
    raise RefusedFileError(
        Fault.COLUMNS, f"Its columns are not those of {contract.name} {contract.version}: {'; '.join(faults)}.{hint}"
    )


def _text(data: bytes) -> tuple[str, tuple[str, ...]]:
    """``data`` as UTF-8, less a byte order mark, and a note if there was one."""
    if data.startswith(UTF_16):
        raise RefusedFileError(Fault.ENCODING, "It begins with the mark of UTF-16. Save it as UTF-8.")
    marked = data.startswith(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts from after the mark.
        start = error.start + (len(codecs.BOM_UTF8) if marked else 0)
        line = data.count(b"\n", 0, start) + 1
        raise RefusedFileError(
            Fault.ENCODING,
            f"The byte 0x{data[start]:02x} at offset {start:,}, in line {line:,}, is not UTF-8. Save it as UTF-8.",
        ) from None
    if (zero := data.find(b"\0")) >= 0:
        raise RefusedFileError(Fault.ENCODING, f"The byte at offset {zero:,} is zero, which no text in UTF-8 holds.")
    return text, ("It begins with a byte order mark, which was left out.",) if marked else ()
