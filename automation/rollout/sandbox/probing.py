"""Which protections are in force on this machine: found out by a process that confines itself and tries to get out."""

from __future__ import annotations

import json
import subprocess
import sys

from automation.rollout.sandbox.confinement import Protection, Protections
from automation.rollout.sandbox.running import ENVIRONMENT, ROOT, SandboxError

_PROBE = (
    "import json, sys; sys.path.insert(0, sys.argv[1]); "
    "from automation.rollout.sandbox.confinement import Bounds, confine, readable_folders; "
    "found = confine(Bounds(readable_folders(), 1 << 28, 8)); "
    "print(json.dumps([found.in_force, found.lacking]))"
)
_SECONDS = 60


def probe() -> Protections:
    """The protections that a model that brings code would run under here.

    Raises:
        SandboxError: no process could be confined at all.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROBE, str(ROOT)],
            check=False,
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _impossible(f"it took more than {_SECONDS} s") from None
    if done.returncode != 0:
        raise _impossible((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
    in_force, lacking = json.loads(done.stdout)
    return Protections(tuple(map(Protection, in_force)), tuple((Protection(each), why) for each, why in lacking))


def _impossible(why: str) -> SandboxError:
    return SandboxError(
        f"A process cannot confine itself on this machine: {why}",
        remedy="Only models that are registered here and trusted can be used; see docs/threat-model-of-models.md.",
    )
