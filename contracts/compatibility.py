"""Two versions of a contract compared: every change, and whom it breaks.

Compatibility is defined by sets, not by lists of allowed edits. V(c) is what contract c accepts: the
tables of which `contracts.enforcement.enforce` quarantines no row. A version's data is written in its
own types and read by another version as follows:

- a column the reader does not declare is left out;
- a newer reader knows that older data lacks the columns it introduces and takes them as missing
  values (`read_by_newer`); an older reader cannot know of a column that was dropped after it, and
  finds it gone (`read_by_older`).

A change keeps *producers* whole when V(old) lies in V(new): what was right to write still is. It keeps
*consumers* whole when V(new) lies in V(old): what they relied on still holds. BACKWARD asks for the
first, FORWARD for the second, FULL for both. Promises about whole partitions, and what values mean,
are judged by the same law: a stricter one asks more of producers, a weaker one gives consumers less,
another meaning breaks both.

A verdict is never a guess. BROKEN comes with rows that one version accepts and the other refuses,
wherever the change is one of rows; COMPATIBLE comes from a proof; whatever is neither is CANNOT BE SHOWN,
which satisfies no mode.
"""

import datetime as dt
import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import TypeAlias

import polars as pl

from contracts.contract import (
    Column,
    Compatibility,
    Contract,
    Expectation,
    ExpectationKind,
    LogicalType,
    RowRule,
    Value,
)
from contracts.conversion import converted
from contracts.implication import columns, constants, implied, kept_without, only_compares
from contracts.predicate import parse
from contracts.value_sets import Containment, accepted, inclusion, is_single, probes

Row: TypeAlias = Mapping[str, Value | None]

_MOST_ROWS = 20_000  # tried when a witness has to keep row rules
_MOST_OPTIONS = 16  # tried of one column


class Verdict(StrEnum):
    """Whether a change is compatible in one direction."""

    COMPATIBLE = "compatible"
    BROKEN = "broken"
    UNSHOWN = "cannot be shown"


class Bump(IntEnum):
    """What must change in a version number MAJOR.MINOR.PATCH."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    def __str__(self) -> str:
        return self.name.lower()


class Aspect(StrEnum):
    """What a change is about."""

    TABLE = "table"
    COLUMN = "column"
    TYPE = "type"
    NULLABILITY = "nullability"
    ENUMERATION = "enumeration"
    RANGE = "range"
    PATTERN = "pattern"
    ROW_RULE = "row rule"
    KEY = "key"
    UNIT = "unit"
    TIME_ZONE = "time zone"
    FRESHNESS = "freshness"
    RETENTION = "retention"
    QUALITY = "quality"
    STATUS = "status"
    MODE = "compatibility mode"
    OTHER = "other"
    WORDS = "words"


@dataclass(frozen=True)
class Judgement:
    """The verdict in one direction. `witness` holds rows that the writer accepts and the reader refuses (two where it
    takes two, for a key); it is empty where the change is none of rows."""

    verdict: Verdict
    because: str = ""
    witness: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Change:
    """One difference. `least` is the bump it needs even where the mode allows it: MAJOR where something readers had is
    gone or means something else, so that it does not help them to move first."""

    element: str
    aspect: Aspect
    before: str | None
    after: str | None
    says: str
    producers: Judgement
    consumers: Judgement
    least: Bump


@dataclass(frozen=True)
class Comparison:
    """All changes between two versions, and what follows from them."""

    changes: tuple[Change, ...]

    def verdict(self, mode: Compatibility) -> Verdict:
        """Whether the newer version keeps `mode`: the worst verdict of any change in the directions it asks for."""
        verdicts = {judgement.verdict for change in self.changes for judgement in _asked(change, mode)}
        return next(
            (verdict for verdict in (Verdict.BROKEN, Verdict.UNSHOWN) if verdict in verdicts), Verdict.COMPATIBLE
        )

    def against(self, mode: Compatibility) -> tuple[Change, ...]:
        """The changes for which `mode` does not hold, or cannot be shown to."""
        return tuple(
            change
            for change in self.changes
            if any(judgement.verdict is not Verdict.COMPATIBLE for judgement in _asked(change, mode))
        )

    def asks(self, change: Change, mode: Compatibility) -> Bump:
        """The bump that one of the changes needs: MAJOR if the mode does not hold for it."""
        kept = all(judgement.verdict is Verdict.COMPATIBLE for judgement in _asked(change, mode))
        return change.least if kept else Bump.MAJOR

    def least_bump(self, mode: Compatibility) -> Bump:
        """The least bump that is honest: MAJOR if the mode does not hold or readers lose something, PATCH if only words
        change, NONE if nothing does."""
        return max((self.asks(change, mode) for change in self.changes), default=Bump.NONE)


def _asked(change: Change, mode: Compatibility) -> Iterator[Judgement]:
    """The judgements of `change` that `mode` looks at."""
    if not mode.startswith("FORWARD"):
        yield change.producers
    if not mode.startswith("BACKWARD"):
        yield change.consumers


def read_by_newer(rows: pl.DataFrame, newer: Contract) -> pl.DataFrame:
    """`rows` of an earlier version as `newer` reads them: columns it introduces are missing values."""
    kept = rows.select([name for name in rows.columns if name in newer.schema])
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in newer.schema.items() if name not in rows.columns]
    return kept.with_columns(absent) if kept.width else pl.DataFrame(schema=newer.schema).clear(rows.height)


def read_by_older(rows: pl.DataFrame, older: Contract) -> pl.DataFrame:
    """`rows` of a later version as `older` reads them: columns dropped since are not there."""
    return rows.select([name for name in rows.columns if name in older.schema])


def compare(old: Contract, new: Contract) -> Comparison:
    """Every change from `old` to `new`, two versions of one table's contract."""
    return Comparison(tuple(_Comparing(old, new).changes()))


COMPATIBLE = Judgement(Verdict.COMPATIBLE)


def breaks(because: str) -> Judgement:
    """A break that no row shows: of a partition's promise, or of a meaning."""
    return Judgement(Verdict.BROKEN, because)


def unshown(because: str) -> Judgement:
    """Neither a proof nor a counterexample was found."""
    return Judgement(Verdict.UNSHOWN, because)


def words(element: str, what: str, before: object, after: object) -> Change:
    """A change that means nothing to data."""
    left, right = _text(before), _text(after)
    how = "is new" if left is None else "is gone" if right is None else "differs"
    return Change(
        element,
        Aspect.WORDS,
        left,
        right,
        f"{what} {how}: words, which mean nothing to data",
        COMPATIBLE,
        COMPATIBLE,
        Bump.PATCH,
    )


@dataclass(frozen=True)
class _Direction:
    """One version's rows read by the other."""

    writer: Contract
    reader: Contract
    read: Callable[[pl.DataFrame, Contract], pl.DataFrame]
    _found: dict[str, pl.Series] = field(default_factory=dict)

    def column(self, name: str, asked: Column) -> Judgement:
        """Whether every value the writer's column may hold satisfies `asked`, a part of what the reader's asks for."""
        found = inclusion(self.writer.column(name), asked)
        if found.containment is Containment.REFUTED:
            said = f"{name} = {_value(found.outside)}"
            rows = self._rows(set(), {name: found.outside})
            if rows.is_empty():
                return unshown(f"{said} is refused, but no whole row that has it was found")
            return Judgement(Verdict.BROKEN, f"e.g. {said}", (rows.row(0, named=True),))
        if found.containment is Containment.UNSHOWN:
            return unshown("neither a proof nor a counterexample was found")
        return COMPATIBLE

    def type(self, name: str, asked: Column) -> Judgement:
        """`column` for a column of another type: the reader's row rules must surely give the same verdict, too."""
        judged = self.column(name, asked)
        types = [contract.column(name).dtype for contract in (self.writer, self.reader)]
        exact = all(dtype.is_integer() and dtype != pl.UInt64 for dtype in types)
        for rule in self.reader.row_rules if judged.verdict is Verdict.COMPATIBLE else ():
            if name in columns(rule.predicate) and not (exact and only_compares(rule.predicate, name)):
                return unshown(f"the row rule {rule.name} may judge the converted values differently")
        return judged

    def rule(self, rule: RowRule) -> Judgement:
        """Whether every row the writer accepts keeps `rule`, one of the reader's."""
        asked = columns(rule.predicate)
        shared = asked & set(self.writer.schema)
        alike = all(self.writer.schema[name] == self.reader.schema[name] for name in shared)
        if shared == asked and alike and implied(rule.predicate, [own.predicate for own in self.writer.row_rules]):
            return COMPATIBLE
        rows = self._rows(shared, {}, rule)
        read = self.read(rows, self.reader)
        if asked <= set(read.columns) and kept_without(rule.predicate, asked - shared):
            return COMPATIBLE
        if gone := sorted(asked - set(read.columns)):
            return self.any_row(f"it reads {gone[0]}, which is gone")
        types = read.select(converted(read.schema[name], self.reader.column(name)) for name in asked)
        try:
            broken = types.select(~parse(rule.predicate, types.schema).fill_null(value=True)).to_series()
        except pl.exceptions.PolarsError as error:
            return unshown(f"some rows cannot be judged by it: {error}")
        breaking = rows.filter(broken)
        if breaking.is_empty():
            return unshown("neither a proof nor a row that breaks it was found")
        row = breaking.row(0, named=True)
        said = ", ".join(f"{name} = {_value(row.get(name))}" for name in sorted(asked))
        return Judgement(Verdict.BROKEN, f"e.g. {said}", (row,))

    def key(self) -> Judgement:
        """Whether rows that are unique under the writer's key are so under the reader's."""
        own, asked = self.writer.key, self.reader.key
        if not asked or (own and set(own) <= set(asked)):
            return COMPATIBLE
        if absent := [name for name in asked if name not in self.writer.schema]:
            return self.any_row(f"the key column {absent[0]} is not there")
        free = [name for name in own if name not in asked]
        if free and all(is_single(self.writer.column(name)) for name in free):
            return COMPATIBLE
        rows = self._rows(set(free), {})
        if own:
            rows = rows.unique([*own, *(name for name in asked if name not in own)], maintain_order=True)
            rows = rows.filter(rows.select(asked).is_duplicated())
            rows = rows.join(rows.head(1), on=list(asked), how="semi", maintain_order="left")
        elif not rows.is_empty():
            rows = pl.concat([rows.head(1), rows.head(1)])
        if rows.height < 2:
            return unshown("no two rows were found that are one under the other key")
        pair = (rows.row(0, named=True), rows.row(1, named=True))
        return Judgement(Verdict.BROKEN, f"two rows may have the same {', '.join(asked)}", pair)

    def any_row(self, because: str) -> Judgement:
        """A break that every row of the writer shows, if it has any."""
        rows = self._rows(set(), {})
        return unshown(because) if rows.is_empty() else Judgement(Verdict.BROKEN, because, (rows.row(0, named=True),))

    def _rows(
        self, over: set[str], pinned: Mapping[str, Value | None], breaking: RowRule | None = None
    ) -> pl.DataFrame:
        """Rows the writer accepts, in its types: the columns `over` and those of its row rules take many values."""
        rules = [*self.writer.row_rules, *([breaking] if breaking else [])]
        varied = {name for rule in rules for name in columns(rule.predicate)} | over
        varied = (varied & set(self.writer.schema)) - set(pinned)
        each = max(2, min(_MOST_OPTIONS, int(_MOST_ROWS ** (1 / max(1, len(varied))))))
        rows = pl.DataFrame({"\0": [0]})
        for name, dtype in self.writer.schema.items():
            if name in pinned:
                options = pl.Series(name, [pinned[name]], dtype=dtype)
            else:
                options = self._options(name, rules).head(each) if name in varied else self._options(name, []).head(1)
            rows = rows.join(options.to_frame(), how="cross").head(_MOST_ROWS)
        rows = rows.drop("\0")
        return rows.filter(_accepts(rows, self.writer))

    def _options(self, name: str, rules: Sequence[RowRule]) -> pl.Series:
        """Values of one column to try, with those that `rules` name and null among the first."""
        column = self.writer.column(name)
        if name not in self._found:
            others = [self.reader.column(name)] if name in self.reader.schema else []
            others = [other for other in others if other.type == column.type]
            self._found[name] = probes(column, others)
        found = self._found[name]
        named = [value for rule in rules if name in columns(rule.predicate) for value in constants(rule.predicate)]
        near = list(_near(named, column))
        extra = pl.Series(name, near, dtype=column.dtype)
        extra = extra.filter(accepted(extra, column))
        if not rules:
            return found
        nulls, filled = found.filter(found.is_null()), found.drop_nulls()
        return pl.concat([filled.head(2), nulls, extra, filled.slice(2)]).unique(maintain_order=True)


def _near(named: Iterable[Decimal | str], column: Column) -> Iterator[Value]:
    """Values of the column's type at and beside the constants of a rule."""
    for value in named:
        if isinstance(value, Decimal) and column.type in (LogicalType.INTEGER, LogicalType.NUMBER):
            for beside in (value, value + 1, value - 1):
                whole = int(beside)
                if column.type is LogicalType.NUMBER:
                    yield float(beside)
                elif pl.Series([whole]).cast(column.dtype, strict=False)[0] == whole:
                    yield whole
        elif isinstance(value, str) and column.type is LogicalType.STRING:
            yield value


def _accepts(rows: pl.DataFrame, contract: Contract) -> pl.Series:
    """Which rows the contract accepts, each on its own: what `enforce` decides but for the key."""
    every = pl.Series([True]).new_from_index(0, rows.height)
    if set(rows.columns) != set(contract.schema):
        return ~every
    for column in contract.columns:
        every &= accepted(rows[column.name], column)
    if not contract.row_rules:
        return every
    read = rows.select(converted(rows.schema[column.name], column) for column in contract.columns)
    try:
        kept = read.select(
            pl.all_horizontal(
                parse(rule.predicate, contract.schema).fill_null(value=True) for rule in contract.row_rules
            )
        )
    except pl.exceptions.PolarsError:  # a rule that some of these rows cannot be judged by: none of them is a witness
        return ~every
    return every & kept.to_series()


class _Comparing:
    """The comparison of two contracts, part by part."""

    def __init__(self, old: Contract, new: Contract) -> None:
        self.old = old
        self.new = new
        self.producers = _Direction(old, new, read_by_newer)
        self.consumers = _Direction(new, old, read_by_older)

    def changes(self) -> Iterator[Change]:
        yield from self._table()
        for name in self.old.schema:
            if name not in self.new.schema:
                yield self._dropped(self.old.column(name))
            elif self.old.column(name) != self.new.column(name):
                yield from self._column(self.old.column(name), self.new.column(name))
        for name in self.new.schema:
            if name not in self.old.schema:
                yield self._added(self.new.column(name))
        yield from self._key()
        yield from self._row_rules()
        yield from self._expectations()
        yield from self._promises()

    def _table(self) -> Iterator[Change]:
        old, new = self.old, self.new
        for what, before, after in (("table", old.name, new.name), ("workload", old.workload, new.workload)):
            if before != after:
                says = f"the {what} is {after}, no longer {before}: it is another dataset"
                other = breaks(f"nobody finds it under {before}")
                yield Change(old.name, Aspect.TABLE, before, after, says, other, other, Bump.MAJOR)
        if old.description != new.description:
            yield words(old.name, "description", old.description, new.description)

    def _element(self, column: str) -> str:
        return f"{self.new.name}.{column}"

    def _added(self, column: Column) -> Change:
        if column.required:
            says, producers = f"{column.name} is new and required", self.producers.any_row("earlier rows lack it")
        else:
            says, producers = f"{column.name} is new; it may be missing", COMPATIBLE
        return Change(
            self._element(column.name),
            Aspect.COLUMN,
            None,
            _declared(column),
            says,
            producers,
            COMPATIBLE,
            Bump.MINOR,
        )

    def _dropped(self, column: Column) -> Change:
        fresh = [each for each in self.new.columns if each.name not in self.old.schema]
        like = next((each.name for each in fresh if _looks_renamed(column, each)), None)
        hint = f"; {like} looks like its new name, which to readers is another column" if like else ""
        return Change(
            f"{self.old.name}.{column.name}",
            Aspect.COLUMN,
            _declared(column),
            None,
            f"{column.name} is dropped{hint}",
            COMPATIBLE,
            self.consumers.any_row(f"whoever reads {column.name} finds it gone"),
            Bump.MAJOR,
        )

    def _column(self, old: Column, new: Column) -> Iterator[Change]:
        element, name = self._element(old.name), old.name

        def change(aspect: Aspect, before: object, after: object, says: str, least: Bump = Bump.MINOR) -> Change:
            judge = _Direction.type if aspect is Aspect.TYPE else _Direction.column
            producers = judge(self.producers, name, _only(aspect, new, old))
            consumers = judge(self.consumers, name, _only(aspect, old, new))
            return Change(element, aspect, _text(before), _text(after), says, producers, consumers, least)

        if old.dtype != new.dtype:
            kind = (old.type, new.type)
            widens = old.type == new.type or kind == (LogicalType.INTEGER, LogicalType.NUMBER)
            yield change(
                Aspect.TYPE,
                f"{old.type} ({old.physical_type})",
                f"{new.type} ({new.physical_type})",
                f"{name} is a {new.type} ({new.physical_type}), was a {old.type} ({old.physical_type})",
                Bump.MINOR if widens else Bump.MAJOR,
            )
        if old.required != new.required:
            says = f"{name} must have a value" if new.required else f"{name} may be missing"
            yield change(Aspect.NULLABILITY, _required(old), _required(new), says)
        if old.valid_values != new.valid_values:
            yield change(
                Aspect.ENUMERATION,
                _values(old.valid_values),
                _values(new.valid_values),
                _enumeration(old, new),
                Bump.PATCH if set(old.valid_values) == set(new.valid_values) else Bump.MINOR,
            )
        if (old.minimum, old.maximum) != (new.minimum, new.maximum):
            before, after = _range(old.minimum, old.maximum), _range(new.minimum, new.maximum)
            yield change(Aspect.RANGE, before, after, f"{name} may be {after}, was {before}")
        if old.pattern != new.pattern:
            before, after = old.pattern or "any text", new.pattern or "any text"
            yield change(Aspect.PATTERN, before, after, f"{name} is to match {after}, was {before}")
        if old.unit != new.unit:
            yield self._unit(element, old, new)
        for what in ("description", "reason"):
            if getattr(old, what) != getattr(new, what):
                yield words(element, what, getattr(old, what), getattr(new, what))
        if old.changeable != new.changeable:
            before, after = (str(each.changeable) if each.changeable else None for each in (old, new))
            yield words(element, "changeable", before, after)

    def _unit(self, element: str, old: Column, new: Column) -> Change:
        if old.unit is None:
            says = f"{new.name} is said to be in {new.unit}: no unit was stated before"
            return Change(element, Aspect.UNIT, None, new.unit, says, COMPATIBLE, COMPATIBLE, Bump.MINOR)
        if new.unit is None:
            says, withdrawn = f"{new.name} has no unit, was in {old.unit}", breaks("nothing says what a value measures")
            return Change(element, Aspect.UNIT, old.unit, None, says, COMPATIBLE, withdrawn, Bump.MAJOR)
        says = f"{new.name} is in {new.unit}, was in {old.unit}: the same number means something else"
        other = breaks("a number passes every rule and is wrong")
        return Change(element, Aspect.UNIT, old.unit, new.unit, says, other, other, Bump.MAJOR)

    def _key(self) -> Iterator[Change]:
        before, after = ", ".join(self.old.key), ", ".join(self.new.key)
        if self.old.key == self.new.key:
            return
        if set(self.old.key) == set(self.new.key):
            yield words(self.new.name, "order of the key's columns", before, after)
            return
        yield Change(
            self.new.name,
            Aspect.KEY,
            before or None,
            after or None,
            f"a row stands for one {after or 'delivery of itself'}, was one {before or 'delivery of itself'}",
            self.producers.key(),
            self.consumers.key(),
            Bump.MAJOR,
        )

    def _row_rules(self) -> Iterator[Change]:
        old = {rule.name: rule for rule in self.old.row_rules}
        new = {rule.name: rule for rule in self.new.row_rules}
        for name in dict.fromkeys([*old, *new]):
            before, after = old.get(name), new.get(name)
            element = f"{self.new.name}: {name}"
            if before and after and before.predicate == after.predicate:
                if before.description != after.description:
                    yield words(element, "description", before.description, after.description)
                continue
            producers = self.producers.rule(after) if after else COMPATIBLE
            consumers = self.consumers.rule(before) if before else COMPATIBLE
            same = producers.verdict is consumers.verdict is Verdict.COMPATIBLE
            if before and after:
                says = f"the row rule {name} is {after.predicate}, was {before.predicate}"
            elif after:
                says = f"the row rule {name} is new: {after.predicate}"
            else:
                says = f"the row rule {name} is gone" + (f": {before.predicate}" if before else "")
            yield Change(
                element,
                Aspect.ROW_RULE,
                before.predicate if before else None,
                after.predicate if after else None,
                says + ("; the rules together accept the same rows" if same else ""),
                producers,
                consumers,
                Bump.PATCH if same else Bump.MINOR,
            )

    def _expectations(self) -> Iterator[Change]:
        for before, after in _paired(self.old.expectations, self.new.expectations):
            named = after or before
            if before == after or named is None:
                continue
            element = f"{self.new.name}: {named.name}"
            if before and after:
                for what in ("name", "description"):
                    if getattr(before, what) != getattr(after, what):
                        yield words(element, what, getattr(before, what), getattr(after, what))
                if _bounds(before) == _bounds(after):
                    continue
            fresh = named.kind is ExpectationKind.STALENESS
            measure = "the age of the newest" if fresh else f"the {named.kind.replace('_', ' ')} of"
            what = f"{measure} {named.column}" if named.column else f"the {named.kind.replace('_', ' ')}"
            stricter = after and not (before and _bounds(before).within(_bounds(after)))
            weaker = before and not (after and _bounds(after).within(_bounds(before)))
            yield Change(
                element,
                Aspect.FRESHNESS if fresh else Aspect.QUALITY,
                _promise(before),
                _promise(after),
                f"{what} in a partition is {_promise(after) or 'no promise'}, was {_promise(before) or 'no promise'}",
                breaks("a partition that was good enough may not be") if stricter else COMPATIBLE,
                breaks("a partition may be worse than was promised") if weaker else COMPATIBLE,
                Bump.MINOR,
            )

    def _promises(self) -> Iterator[Change]:
        old, new, element = self.old, self.new, self.new.name
        if old.quarantine_limit != new.quarantine_limit:
            before, after = f"{old.quarantine_limit:.10g}", f"{new.quarantine_limit:.10g}"
            yield Change(
                element,
                Aspect.QUALITY,
                before,
                after,
                f"a share of {after} of a partition's rows may be quarantined, was {before}",
                COMPATIBLE if new.quarantine_limit > old.quarantine_limit else breaks("a partition may be stopped"),
                COMPATIBLE if new.quarantine_limit < old.quarantine_limit else breaks("more rows may be held back"),
                Bump.MINOR,
            )
        if old.timezone != new.timezone:
            says = f"partitions are days of {new.timezone}, were days of {old.timezone}"
            other = breaks("the same day holds other rows")
            yield Change(element, Aspect.TIME_ZONE, old.timezone, new.timezone, says, other, other, Bump.MAJOR)
        if old.retention != new.retention:
            yield self._retention()
        if old.status != new.status:
            gone = breaks("nothing is promised any more") if new.status == "retired" else COMPATIBLE
            says = f"the contract is {new.status}, was {old.status}"
            yield Change(element, Aspect.STATUS, old.status, new.status, says, COMPATIBLE, gone, Bump.MINOR)
        if old.compatibility != new.compatibility:
            before, after = old.compatibility, new.compatibility
            says = f"later versions will keep {after}, no longer {before}: it binds from this version on"
            yield Change(element, Aspect.MODE, before, after, says, COMPATIBLE, COMPATIBLE, Bump.MINOR)

    def _retention(self) -> Change:
        old, new = self.old.retention, self.new.retention
        shorter = old is not None and (new is None or new < old)
        before, after = _days(old), _days(new)
        return Change(
            self.new.name,
            Aspect.RETENTION,
            before,
            after,
            f"rows are kept for {after or 'no promised time'}, was {before or 'no promised time'}",
            COMPATIBLE,
            breaks("older rows may be gone") if shorter else COMPATIBLE,
            Bump.MAJOR if shorter else Bump.MINOR,
        )


_ATTRIBUTES: Mapping[Aspect, tuple[str, ...]] = {
    Aspect.NULLABILITY: ("required",),
    Aspect.ENUMERATION: ("valid_values",),
    Aspect.RANGE: ("minimum", "maximum"),
    Aspect.PATTERN: ("pattern",),
}


def _only(aspect: Aspect, reader: Column, writer: Column) -> Column:
    """The reader's column with nothing but what it asks in one aspect, so that each change is blamed for its own part.
    What both ask alike is judged with the type: it may read differently after conversion."""
    free = replace(reader, required=False, minimum=None, maximum=None, pattern=None, valid_values=())
    if aspect is not Aspect.TYPE:
        return replace(free, **{name: getattr(reader, name) for name in _ATTRIBUTES[aspect]})
    alike = [
        names for names in _ATTRIBUTES.values() if all(getattr(reader, name) == getattr(writer, name) for name in names)
    ]
    return replace(free, **{name: getattr(reader, name) for names in alike for name in names})


def _looks_renamed(old: Column, new: Column) -> bool:
    """Whether a column that came looks like one that went: alike in type, and in name or description."""
    if (old.type, old.physical_type) != (new.type, new.physical_type):
        return False
    if old.description and old.description == new.description:
        return True
    return difflib.SequenceMatcher(a=old.name, b=new.name).ratio() >= 0.7


def _paired(
    old: Sequence[Expectation], new: Sequence[Expectation]
) -> Iterator[tuple[Expectation | None, Expectation | None]]:
    """Expectations that are each other's successor: of one name, else of one measure."""
    left, right = list(old), list(new)
    for same in (lambda each: each.name, lambda each: (each.kind, each.column)):
        by_identity = {same(each): each for each in reversed(right)}
        for before in list(left):
            after = by_identity.pop(same(before), None)
            if after is not None and (before.kind, before.column) == (after.kind, after.column):
                left.remove(before)
                right.remove(after)
                yield before, after
    yield from ((before, None) for before in left)
    yield from ((None, after) for after in right)


_COUNTS = (ExpectationKind.ROW_COUNT, ExpectationKind.DISTINCT_COUNT)
_SHARES = (ExpectationKind.NULL_SHARE,)


@dataclass(frozen=True)
class _Bounds:
    """The measures that keep an expectation, with bounds that do not bind left out."""

    low: float | None
    high: float | None
    low_open: bool
    high_open: bool

    def within(self, other: "_Bounds") -> bool:
        """Whether every measure in these bounds is in the other ones."""
        above = other.low is None or (
            self.low is not None
            and (self.low > other.low or (self.low == other.low and (self.low_open or not other.low_open)))
        )
        below = other.high is None or (
            self.high is not None
            and (self.high < other.high or (self.high == other.high and (self.high_open or not other.high_open)))
        )
        return above and below

    def __str__(self) -> str:
        match self.low, self.high:
            case None, None:
                return "any"
            case low, None:
                return f"{'above' if self.low_open else 'at least'} {low:.10g}"
            case None, high:
                return f"{'below' if self.high_open else 'at most'} {high:.10g}"
            case low, high if low == high:
                return f"exactly {low:.10g}"
            case low, high:
                return f"{low:.10g}{' (excluded)' * self.low_open} to {high:.10g}{' (excluded)' * self.high_open}"


def _bounds(expectation: Expectation) -> _Bounds:
    low, high = expectation.low, expectation.high
    low_open, high_open = expectation.low_open, expectation.high_open
    if expectation.kind in _COUNTS:
        low = None if low is None else float(math.floor(low) + 1 if low_open else math.ceil(low))
        high = None if high is None else float(math.ceil(high) - 1 if high_open else math.floor(high))
        low_open = high_open = False
    if expectation.kind in (*_COUNTS, *_SHARES) and low is not None and (low < 0 or (low == 0 and not low_open)):
        low = None
    if expectation.kind in _SHARES and high is not None and (high > 1 or (high == 1 and not high_open)):
        high = None
    return _Bounds(low, high, low_open and low is not None, high_open and high is not None)


def _promise(expectation: Expectation | None) -> str | None:
    """The bounds in words, with the unit that the measure has of itself."""
    if expectation is None:
        return None
    unit = " minutes" if expectation.kind is ExpectationKind.STALENESS else ""
    return f"{_bounds(expectation)}{unit}"


def _value(value: object) -> str:
    match value:
        case None:
            return "missing"
        case str():
            return repr(value) if len(value) <= 60 else f"{value[:57]!r}…"
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        case _:
            return str(value)


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _values(values: Iterable[Value]) -> str:
    return ", ".join(_value(value) for value in values) or "any value"


def _enumeration(old: Column, new: Column) -> str:
    gone = [value for value in old.valid_values if value not in new.valid_values]
    fresh = [value for value in new.valid_values if value not in old.valid_values]
    if not new.valid_values:
        return f"{new.name} may be any value, was one of {_values(old.valid_values)}"
    if not old.valid_values:
        return f"{new.name} must be one of {_values(new.valid_values)}, was any value"
    parts = [
        f"may now be {_values(fresh)}" if fresh else "",
        f"may no longer be {_values(gone)}" if gone else "",
        "" if fresh or gone else "lists its values in another order",
    ]
    return f"{new.name} {' and '.join(filter(None, parts))}"


def _range(low: object, high: object) -> str:
    match low, high:
        case None, None:
            return "any value"
        case _, None:
            return f"at least {_value(low)}"
        case None, _:
            return f"at most {_value(high)}"
        case _:
            return f"{_value(low)} to {_value(high)}"


def _declared(column: Column) -> str:
    return f"{'required ' if column.required else ''}{column.type} ({column.physical_type})"


def _required(column: Column) -> str:
    return "required" if column.required else "optional"


def _days(span: dt.timedelta | None) -> str | None:
    return None if span is None else f"{span / dt.timedelta(days=1):.10g} days"
