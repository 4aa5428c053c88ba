"""The landing folder: which files lie there, whether they are complete, how one is put there and filed away.

Files lie at ``<workload>/<table>/…/<name>``, files of events also at ``<workload>/<name>``. What begins with a dot or
ends in ``.part`` is not looked at. A file is complete when its size and its time of change are the same at two looks.
What was processed lies under ``.done`` or ``.refused`` with its verdict beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PART = ".part"
DONE, REFUSED = ".done", ".refused"


@dataclass(frozen=True, order=True)
class Stamp:
    """What changes while a file is being written: its size in bytes and its time of change in nanoseconds."""

    size: int
    changed: int

    def __str__(self) -> str:
        return f"{self.size}-{self.changed}"


@dataclass(frozen=True)
class Tried:
    """What became of earlier attempts to pick up a file as it stands: whether one is under way, how many ended."""

    running: bool = False
    ended: int = 0


@dataclass(frozen=True)
class Landing:
    """The folder that deliveries land in."""

    root: Path

    def waiting(self, workload: str) -> dict[str, Stamp]:
        """The files of the workload that lie there, by path below the folder, in the order of their names.

        Only regular files: a link could point anywhere.
        """
        found: dict[str, Stamp] = {}
        for folder, inner, names in os.walk(self.root / workload):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in names:
                path = Path(folder, name)
                try:
                    state = path.lstat()
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(state.st_mode) and not name.startswith(".") and not name.endswith(PART):
                    found[path.relative_to(self.root).as_posix()] = Stamp(state.st_size, state.st_mtime_ns)
        return dict(sorted(found.items()))

    def unchanged(self, workload: str, since: datetime) -> list[str]:
        """The waiting files that were last changed before ``since``."""
        latest = int(since.timestamp() * 1e9)
        return [file for file, stamp in self.waiting(workload).items() if stamp.changed <= latest]

    def put(self, source: Path, workload: str, table: str | None) -> str:
        """Copies a file in, so that it appears there whole or not at all. Returns its path below the folder."""
        folder = self.root / workload / (table or "")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / source.name
        # A hard link fails where a rename would replace a delivery that still waits.
        partial = folder / f".{source.name}.{os.getpid()}{PART}"
        shutil.copyfile(source, partial)
        try:
            os.link(partial, target)
        finally:
            partial.unlink()
        return target.relative_to(self.root).as_posix()

    def file_away(self, file: str, filed: str, verdict: Mapping[str, object]) -> None:
        """Moves a processed file to ``filed``, its verdict beside it. What is gone was moved before."""
        target = self.root / filed
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(verdict, indent=2, ensure_ascii=False) + "\n"
        partial = target.with_name(f".{target.name}{PART}")
        partial.write_text(text, "utf-8")
        partial.replace(target.with_name(f"{target.name}.verdict.json"))
        source = self.root / file
        if source.exists():
            source.replace(target)


def place(file: str) -> str | None:
    """The table in whose folder the file lies, or None where it lies in the workload's."""
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 else None


def destination(file: str, digest: str, arrival: int, *, folder: str) -> str:
    """Where a processed file is moved to: its own path under ``folder``, told apart by content and arrival."""
    path = Path(file)
    return (Path(folder) / path.with_name(f"{digest[:12]}-{arrival}.{path.name}")).as_posix()


def to_pick_up(
    now: Mapping[str, Stamp], before: Mapping[str, Stamp], tried: Mapping[str, Tried], most_tries: int
) -> list[str]:
    """The files to pick up now: complete since the look before, not being picked up, and not given up on."""
    return [
        file
        for file, stamp in now.items()
        if before.get(file) == stamp
        and not (attempts := tried.get(file, Tried())).running
        and attempts.ended < most_tries
    ]
