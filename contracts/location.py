"""Where in a document an element stands: the line and column of an element path, by the YAML's own node tree.

Nothing is located unless something is wrong with a document: reading a good one does not pay for this.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file. Lines and columns count from 1."""

    line: int
    column: int


def of_error(error: yaml.YAMLError, data: bytes) -> Place:
    """Where the text stops being YAML."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return Place(mark.line + 1, mark.column + 1)
    before = data[: getattr(error, "position", 0)]
    return Place(before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))


def of_elements(elements: Sequence[str], data: bytes) -> list[Place]:
    """The places of elements of the ODCS document `data`.

    An element is a path from the top (`schema[0].properties[2].name`) or from the table and its columns by name
    (`parcel.weight.logicalTypeOptions.minimum`). Of an element that is missing, it is the place of what should hold
    it; of one that is there twice, the second.
    """
    root = yaml.compose(data, Loader=yaml.CSafeLoader)
    if root is None:
        return [Place(1, 1) for _ in elements]
    return [_place(root, element.partition(" ")[0]) for element in elements]


def _place(root: yaml.Node, element: str) -> Place:
    tables = _entry(root, "schema")
    table = tables[1].value[0] if tables and isinstance(tables[1], yaml.SequenceNode) and tables[1].value else None
    found = [_deepest(root, element, root)]
    if table is not None:
        found.append(_deepest(table, element, root))
        name = _entry(table, "name")
        if name is not None and _is_next(element, name[1].value):
            rest = element.removeprefix(name[1].value).lstrip(".")
            properties = _entry(table, "properties")
            found.append(_deepest(table, rest, table))
            if properties is not None:
                found.append(_deepest(properties[1], rest, table))
    # The reading that follows the path furthest: a column may be called like a key of its table.
    _, node = min(found, key=lambda each: each[0])
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _deepest(node: yaml.Node, rest: str, at: yaml.Node) -> tuple[int, yaml.Node]:
    """How much of the path `rest` cannot be followed from `node`, and the last node that can (`at` if none can)."""
    best = (len(rest), at)
    for taken, place, child in _steps(node, rest):
        here = _deepest(child, rest[taken:].lstrip("."), place)
        if here[0] <= best[0]:
            best = here
    return best


def _steps(node: yaml.Node, rest: str) -> Iterator[tuple[int, yaml.Node, yaml.Node]]:
    """Each step that the path allows: the characters it takes, the node to point at and the node it leads to."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if _is_next(rest, key.value):
                yield len(key.value), key, value
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            if rest.startswith(f"[{position}]"):
                yield len(f"[{position}]"), item, item
            for key in ("name", "property"):
                name = _entry(item, key)
                if name is not None and _is_next(rest, name[1].value):
                    yield len(name[1].value), name[0], item


def _is_next(rest: str, name: object) -> bool:
    return isinstance(name, str) and name != "" and rest.startswith(name) and rest[len(name) :][:1] in ("", ".", "[")


def _entry(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next(((each, value) for each, value in node.value if each.value == key), None)
