"""A process gives up what it does not need to compute: files, network, other processes, capabilities, memory.

`confine` is called by a process of one thread, on itself, and cannot be undone. It needs no privilege: Landlock
(kernel 5.13 and later) bounds the files, a seccomp filter the system calls, both also in a plain container. What more
is there is taken as a second wall: a network namespace of its own, another user, a limit on threads.

Nothing is taken on trust: after confining itself, the process tries what it must not be able to do (`confirm`), and a
protection is in force only if that failed. Standard library only, since this runs where foreign code will.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import platform
import resource
import socket
import struct
import sys
import sysconfig
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from automation.rollout.sandbox import syscalls


class Protection(StrEnum):
    """What is kept from a confined process, in the words of the doctor."""

    MEMORY = "memory is limited"
    FILES = "files outside the model cannot be read, and none be written (Landlock)"
    PROCESSES = "no processes can be started or signalled (seccomp)"
    NETWORK = "no sockets can be opened (seccomp)"
    CAPABILITIES = "no capabilities"
    THREADS = "threads are limited"
    OWN_NETWORK = "a network namespace of its own"
    OTHER_USER = "another user"


NEEDED_FOR_CODE: Final = (Protection.MEMORY, Protection.FILES, Protection.PROCESSES, Protection.NETWORK)
"""Without these, no foreign code is run. The others are a second wall."""


@dataclass(frozen=True)
class Bounds:
    """What a confined process may use: files it may read, and how much memory and how many threads more than it has."""

    readable: tuple[str, ...]
    memory_bytes: int
    threads: int


@dataclass(frozen=True)
class Protections:
    """Which protections are in force, and why the others are not."""

    in_force: tuple[Protection, ...]
    lacking: tuple[tuple[Protection, str], ...]

    @property
    def enough_for_code(self) -> bool:
        """Whether foreign code may run."""
        return all(each in self.in_force for each in NEEDED_FOR_CODE)

    @property
    def says(self) -> str:
        """All of it in one line."""
        said = "; ".join(self.in_force) or "none"
        return said + "".join(f"; lacking: {each} ({why})" for each, why in self.lacking)


NOBODY: Final = 65534
OPEN_FILES: Final = 64

_CLONE_NEWUSER, _CLONE_NEWIPC, _CLONE_NEWNET = 0x10000000, 0x08000000, 0x40000000
_CLONE_THREAD = 0x00010000
_CLONE_NEW_ANYTHING = 0x7E020080
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SIGKILL = 9


def readable_folders() -> tuple[str, ...]:
    """What Python and its packages read when they compute: themselves, the system's libraries, time zones, devices
    that hold nothing, and what the machine is."""
    python = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime"]
    machine = ["/usr/share/zoneinfo", "/dev/null", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo"]
    known = [*python, f"{sys.base_prefix}/lib", *system, *machine, "/sys/devices/system/cpu"]
    return tuple(dict.fromkeys(os.path.realpath(path) for path in known if Path(path).exists()))


def confine(bounds: Bounds) -> Protections:
    """Confines this process, which must have one thread, and says what came of it."""
    if sys.platform != "linux":
        kept = _rlimits(bounds, limit_threads=False)
        lacking = {each: f"{sys.platform} has no Landlock and no seccomp" for each in Protection if each not in kept}
        return Protections(tuple(kept), tuple(lacking.items()))
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()
    lacking: dict[Protection, str] = {}
    own_network, other_user, counted_apart = _apart(libc, bounds.readable)
    _rlimits(bounds, limit_threads=counted_apart)
    _drop_capabilities(libc)
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _prctl(libc, _PR_SET_DUMPABLE, 0)
    # After the change of user, which would clear it; a parent that died before this is noticed by its number.
    _prctl(libc, _PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    if threads != 1:
        # The filters bind only the thread that asks for them.
        why = f"the process had {threads} threads when it was confined"
        lacking |= dict.fromkeys((Protection.FILES, Protection.PROCESSES, Protection.NETWORK), why)
    for protections, bind in (
        ((Protection.FILES,), lambda: _landlock(libc, bounds.readable)),
        ((Protection.PROCESSES, Protection.NETWORK), lambda: _seccomp(libc)),
    ):
        try:
            bind()
        except OSError as error:
            lacking |= dict.fromkeys(protections, str(error.strerror))
    for protection, there, why in (
        (Protection.OWN_NETWORK, own_network, "namespaces are not permitted here"),
        (Protection.OTHER_USER, other_user, "not root, or Python's own files are root's alone"),
        (
            Protection.THREADS,
            counted_apart,
            "neither another user nor a user namespace can be had: memory alone limits them",
        ),
    ):
        if not there:
            lacking[protection] = why
    return confirm(lacking)


def confirm(lacking: dict[Protection, str]) -> Protections:
    """Tries what must not be possible; a protection of which that was possible is lacking, whatever was set up."""
    tries = {
        Protection.MEMORY: _memory_is_endless,
        Protection.FILES: _can_see_outside,
        Protection.PROCESSES: _can_fork,
        Protection.NETWORK: _can_open_sockets,
        Protection.CAPABILITIES: _has_capabilities,
    }
    for protection, possible in tries.items():
        if protection not in lacking and possible():
            lacking[protection] = "tried, and it was possible"
    return Protections(tuple(each for each in Protection if each not in lacking), tuple(lacking.items()))


def _memory_is_endless() -> bool:
    return resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def _can_see_outside() -> bool:
    try:
        os.scandir("/").close()
    except PermissionError:
        return False
    return True


def _can_fork() -> bool:
    try:
        child = os.fork()
    except PermissionError:
        return False
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def _can_open_sockets() -> bool:
    for family in (socket.AF_INET, socket.AF_UNIX):
        with contextlib.suppress(PermissionError), socket.socket(family):
            return True
    return False


def _has_capabilities() -> bool:
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capget(header, sets) != 0:
        return True
    return any(sets)


def _apart(libc: ctypes.CDLL, readable: tuple[str, ...]) -> tuple[bool, bool, bool]:
    """Leaves the machine's network and user, as far as permitted: (own network, another user, threads limited)."""
    own_network = libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC) == 0
    other_user = False
    # Root of a container may lack the capability to become another user; it stays root then, without capabilities.
    with contextlib.suppress(PermissionError):
        if os.geteuid() == 0:
            # The kernel counts threads by the real user, and exempts root. Files are opened as the effective user: that
            # changes too unless Python itself lies in a folder of root's (a root without capabilities is a plain user).
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, 0, 0)
            other_user = all(os.access(path, os.R_OK) for path in readable)
            if other_user:
                os.setresuid(NOBODY, NOBODY, NOBODY)
    # Asked before the namespace, in which nobody has a number. Within it threads are counted apart from other
    # processes', and a network namespace needs no privilege.
    user = os.getuid()
    own_user = libc.unshare(_CLONE_NEWUSER) == 0
    if own_user and not own_network:
        own_network = libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC) == 0
    return own_network, other_user, user == NOBODY or (own_user and user != 0)


def _rlimits(bounds: Bounds, *, limit_threads: bool) -> tuple[Protection, ...]:
    has = _address_space()
    limits = {
        resource.RLIMIT_AS: has + bounds.memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_MEMLOCK: 0,
    }
    if limit_threads:
        limits[resource.RLIMIT_NPROC] = bounds.threads + 1
    for limit, most in limits.items():
        hard = resource.getrlimit(limit)[1]
        lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (lower, lower))
    return (Protection.MEMORY, *([Protection.THREADS] if limit_threads else []))


def _address_space() -> int:
    """What the process has mapped, in bytes; 0 where that is not known, which makes a limit stricter."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except FileNotFoundError:
        return 0


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        raise _error("capset")


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise _error("prctl")


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


# Landlock: https://docs.kernel.org/userspace-api/landlock.html

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_FILES_BY_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many kinds of access to files a version knows, each one bit; from version 5 on it is 16."""
_LANDLOCK_WRITE_FILE, _LANDLOCK_READ_FILE, _LANDLOCK_READ_DIR = 1 << 1, 1 << 2, 1 << 3
_LANDLOCK_TCP: Final = 0b11
_LANDLOCK_SIGNALS_AND_ABSTRACT_SOCKETS: Final = 0b11


def _landlock(libc: ctypes.CDLL, readable: tuple[str, ...]) -> None:
    """No access to files but reading beneath ``readable``; no TCP, no signals to outside, where the kernel knows."""
    abi = _call(libc, _LANDLOCK_CREATE_RULESET, None, 0, 1)
    files = (1 << _LANDLOCK_FILES_BY_ABI.get(abi, 16)) - 1
    handled = struct.pack(
        "=QQQ", files, _LANDLOCK_TCP if abi >= 4 else 0, _LANDLOCK_SIGNALS_AND_ABSTRACT_SOCKETS if abi >= 6 else 0
    )
    # Kernels before version 4 know only the first field, but take more as long as it is zero.
    ruleset = _call(libc, _LANDLOCK_CREATE_RULESET, handled, len(handled), 0)
    try:
        for path in readable:
            _allow_beneath(libc, ruleset, path)
        _call(libc, _LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_beneath(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    access = _LANDLOCK_READ_FILE | (_LANDLOCK_READ_DIR if Path(path).is_dir() else 0)
    if path == os.devnull:
        access |= _LANDLOCK_WRITE_FILE
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _call(libc, _LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", access, beneath), 0)
    finally:
        os.close(beneath)


def _call(libc: ctypes.CDLL, number: int, *arguments: int | bytes | None) -> int:
    passed = [ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments]
    result = libc.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        raise _error("Landlock")
    return result


# seccomp: https://docs.kernel.org/userspace-api/seccomp_filter.html. A program for the kernel's classic BPF machine, of
# instructions (code, jump if true, jump if false, value), over struct seccomp_data (number, architecture, address, six
# arguments of eight bytes, of which the lower halves are looked at: flags, commands and numbers of processes fit).

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_PRCTL_OPTIONS: Final = (15, 16, 0x53564D41)
"""Naming a thread, asking its name, naming memory."""
_FCNTL_COMMANDS: Final = (0, 1, 2, 3, 4, 1030)
"""Copying a descriptor (F_DUPFD, F_DUPFD_CLOEXEC), and its flags. Not who gets signals about it, leases or locks."""
_IOCTL_COMMANDS: Final = (0x5401, 0x5421, 0x5450, 0x5451, 0x541B)
"""Is it a terminal (TCGETS), FIONBIO, FIONCLEX, FIOCLEX, FIONREAD."""


def _seccomp(libc: ctypes.CDLL) -> None:
    machine = platform.machine()
    if machine not in syscalls.MACHINES:
        raise OSError(_ENOSYS, f"system calls of {machine} are not known")
    program = _program(machine, os.getpid())
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    what = Program(len(program), ctypes.cast(held, ctypes.c_void_p))
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(what), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise _error("seccomp")


def _program(machine: str, process: int) -> list[tuple[int, int, int, int]]:
    """The filter, in which each call has a block that ends in a return or, for other calls, jumps over it."""
    architecture = syscalls.MACHINES[machine][0]
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)
    program = [(_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    program.append((_LOAD, 0, 0, _NUMBER))
    for number in syscalls.allowed(machine).values():
        program += [(_JUMP_IF_EQUAL, 0, 1, number), allow]

    def argument(which: int) -> tuple[int, int, int, int]:
        return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * which)

    def one_of(which: int, values: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
        tests = [step for value in values for step in ((_JUMP_IF_EQUAL, 0, 1, value), allow)]
        return [argument(which), *tests, refuse]

    blocks = {
        # A thread of this process; anything else is another process. glibc asks clone3 first, whose flags lie in memory
        # that a filter cannot read, and falls back to clone if there is no such call.
        "clone": [
            argument(0),
            (_JUMP_IF_ANY_BIT, 0, 2, _CLONE_THREAD),
            (_JUMP_IF_ANY_BIT, 1, 0, _CLONE_NEW_ANYTHING),
            allow,
            refuse,
        ],
        "clone3": [(_RETURN, 0, 0, _ERRNO | _ENOSYS)],
        "kill": one_of(0, (process,)),
        "tgkill": one_of(0, (process,)),
        "prctl": one_of(0, _PRCTL_OPTIONS),
        "ioctl": one_of(1, _IOCTL_COMMANDS),
        "fcntl": one_of(1, _FCNTL_COMMANDS),
        # Asking for a limit, not setting one: no new limit is given, in either half of the pointer.
        "prlimit64": [
            argument(2),
            (_JUMP_IF_EQUAL, 1, 0, 0),
            refuse,
            (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * 2 + 4),
            (_JUMP_IF_EQUAL, 1, 0, 0),
            refuse,
            allow,
        ],
    }
    numbers = syscalls.with_conditions(machine)
    for name, block in blocks.items():
        program += [(_JUMP_IF_EQUAL, 0, len(block), numbers[name]), *block]
    return [*program, refuse]
