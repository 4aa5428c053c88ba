"""What a version was promoted with: all that made it decide as it did, so that a rollback knows what was good."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automation.policy import activation
from automation.policy import bundle as bundles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from automation.ledger.store import Ledger
    from automation.workload import Workload

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "requirements.lock"
PLATFORM = ("automation", "contracts", "feature_repo")
SOURCES = (".py", ".sql", ".yaml", ".json", ".cedar", ".cedarschema")


@dataclass(frozen=True)
class Running:
    """What decides besides the model: the policy's version, the code's, and the SHA-256 of what is locked (None: there
    is no lock file)."""

    policy: str
    code: str
    lock: str | None


@dataclass(frozen=True)
class Pinned:
    """The tuple that a rollback goes back to, with the model's version and digest.

    ``golden`` is the digest of the golden set. By name: each contract's version and digest, each feature view's digest,
    each training table's version.
    """

    golden: str
    contracts: Mapping[str, str]
    feature_views: Mapping[str, str]
    tables: Mapping[str, int]
    running: Running

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Pinned:
        """What an event says."""
        return cls(data["golden"], data["contracts"], data["feature_views"], data["tables"], Running(**data["running"]))

    def as_data(self) -> dict[str, Any]:
        """As an event says it."""
        return asdict(self)


def running(ledger: Ledger, workload: Workload, day: date) -> Running:
    """What decides a day now."""
    change = activation.standing(ledger, workload.name).in_force(day)
    policy = change.version if change else bundles.working(workload).version
    return Running(str(policy), code_version(workload.package.partition(".")[0]), lock_digest())


def contracts_of(workload: Workload) -> dict[str, str]:
    """Each contract's version and digest."""
    return {name: f"{found.version} {found.digest}" for name, found in sorted(workload.contracts.items())}


@lru_cache(maxsize=4)
def code_version(package: str) -> str:
    """The platform's version, and the SHA-256 of its sources and those of ``package``, the workloads'."""
    found = hashlib.sha256()
    for name in (*PLATFORM, package):
        spec = importlib.util.find_spec(name)
        for folder in spec.submodule_search_locations or () if spec else ():
            for file in sorted(Path(folder).rglob("*")):
                if file.suffix in SOURCES:
                    found.update(f"{name}/{file.relative_to(folder).as_posix()}\n".encode())
                    found.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{version('warrant')}+{found.hexdigest()}"


@lru_cache(maxsize=1)
def lock_digest() -> str | None:
    """SHA-256 of requirements.lock."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None


def differences(pinned: Pinned, contracts: Mapping[str, str], now: Running) -> list[str]:
    """In words, what is not as it was pinned and does not change what the model says of a vector."""
    found = [
        f"the contract{'s' if len(names) > 1 else ''} {', '.join(names)} changed"
        for names in [_unlike(pinned.contracts, contracts)]
        if names
    ]
    if pinned.running.policy != now.policy:
        found.append(f"the policy is {now.policy[:12]}, and was {pinned.running.policy[:12]}")
    if pinned.running.code != now.code:
        found.append("the code changed")
    if pinned.running.lock != now.lock:
        found.append("the locked packages changed")
    return found


def _unlike(then: Mapping[str, object], now: Mapping[str, object]) -> Sequence[str]:
    return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
