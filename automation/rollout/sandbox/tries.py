"""What foreign code tries that it may not do, as it tries it.

The kernel refuses the act (confinement.py); this only tells of it, also when the code catches the error and answers as
if nothing had happened. It listens to Python's audit events (PEP 578). Code that goes beneath Python, or closes the
line that tells, is refused all the same but goes untold.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST: Final = 20
"""So many different tries are told of; what comes after adds nothing."""

_ACTS: Final = {
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "os.posix_spawn": "start a program",
    "os.exec": "start a program",
    "os.spawn": "start a program",
    "os.system": "start a program",
    "subprocess.Popen": "start a program",
    "pty.spawn": "start a program",
    "os.kill": "signal a process",
    "os.killpg": "signal a process",
    "socket.__new__": "open a socket",
    "socket.connect": "open a connection",
    "socket.getaddrinfo": "look up a host",
    "socket.gethostbyname": "look up a host",
    "os.remove": "remove",
    "os.rename": "rename",
    "os.rmdir": "remove",
    "os.mkdir": "make the folder",
    "os.link": "link",
    "os.symlink": "link",
    "os.truncate": "write",
    "os.chmod": "change the mode of",
    "os.chown": "change the owner of",
    "os.utime": "change the time of",
    "os.setxattr": "change the attributes of",
}
_NAMES_ITS_OBJECT: Final = (
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "subprocess.Popen",
    "socket.getaddrinfo",
)
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ABOUT_THE_MACHINE: Final = ("/proc/self/", "/sys/")
"""Libraries look there for what the machine can do. Not theirs to read here, but no harm meant."""


def listen(readable: Sequence[str], tell: Callable[[str], None]) -> None:
    """From now on, ``tell`` of each new try, before it is made. Cannot be undone."""
    told: set[str] = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        said = tried(event, arguments, readable)
        if said is not None and said not in told and len(told) < MOST:
            told.add(said)
            tell(said)

    sys.addaudithook(hook)


def tried(event: str, arguments: tuple[Any, ...], readable: Sequence[str]) -> str | None:
    """What the audit event means, such as "read /etc/passwd", if it is a thing that foreign code may not do."""
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int):
            return None
        writes = isinstance(flags, int) and bool(flags & _WRITING)
        return _touched("write" if writes else "read", path, readable)
    if event in {"os.listdir", "os.scandir"}:
        return None if isinstance(arguments[0], int) else _touched("list", arguments[0] or ".", readable)
    act = _ACTS.get(event)
    if act is None:
        return None
    names = event in _NAMES_ITS_OBJECT or (
        event.startswith("os.") and act not in {"start a process", "signal a process"}
    )
    return f"{act} {_name(arguments[0])}" if names and arguments else act


def _touched(act: str, named: object, readable: Sequence[str]) -> str | None:
    path = os.path.realpath(_name(named))
    if path == os.devnull:
        return None
    if act != "write":
        beneath = any(path == folder or path.startswith(f"{folder}/") for folder in readable)
        about_the_machine = path.startswith((*_ABOUT_THE_MACHINE, f"/proc/{os.getpid()}/"))
        if beneath or about_the_machine or not os.path.lexists(path):
            return None
    return f"{act} {path}"


def _name(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value)
