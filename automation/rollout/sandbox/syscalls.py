"""The system calls that a confined process may make: what computing takes, and nothing else.

Everything that is not listed is refused by the kernel with EPERM: sockets, new processes and programs, changing files'
names or modes, memory that a limit does not count (memfd, shared memory segments), tracing, keys, io_uring, and calls
that later kernels will add. Those of `WITH_CONDITIONS` are allowed with some arguments only: see confinement.py.

Numbers are those of the kernel's headers (asm/unistd_64.h for x86_64, asm-generic/unistd.h for aarch64, which lacks
some old calls).
"""

from __future__ import annotations

from typing import Final

_TABLE: Final = """
    read 0 63
    write 1 64
    readv 19 65
    writev 20 66
    pread64 17 67
    pwrite64 18 68
    preadv 295 69
    pwritev 296 70
    close 3 57
    close_range 436 436
    lseek 8 62
    fstat 5 80
    stat 4 -
    lstat 6 -
    newfstatat 262 79
    statx 332 291
    statfs 137 43
    fstatfs 138 44
    access 21 -
    faccessat 269 48
    faccessat2 439 439
    open 2 -
    openat 257 56
    openat2 437 437
    getdents 78 -
    getdents64 217 61
    readlink 89 -
    readlinkat 267 78
    getcwd 79 17
    chdir 80 49
    fchdir 81 50
    dup 32 23
    dup2 33 -
    dup3 292 24
    fadvise64 221 223
    pipe 22 -
    pipe2 293 59
    poll 7 -
    ppoll 271 73
    select 23 -
    pselect6 270 72
    epoll_create 213 -
    epoll_create1 291 20
    epoll_ctl 233 21
    epoll_wait 232 -
    epoll_pwait 281 22
    eventfd 284 -
    eventfd2 290 19
    mmap 9 222
    munmap 11 215
    mprotect 10 226
    mremap 25 216
    madvise 28 233
    mincore 27 232
    msync 26 227
    brk 12 214
    membarrier 324 283
    get_mempolicy 239 236
    pkey_alloc 330 289
    pkey_free 331 290
    pkey_mprotect 329 288
    futex 202 98
    set_robust_list 273 99
    get_robust_list 274 100
    rseq 334 293
    set_tid_address 218 96
    sched_yield 24 124
    sched_getaffinity 204 123
    sched_getparam 143 121
    sched_getscheduler 145 120
    sched_get_priority_max 146 125
    sched_get_priority_min 147 126
    getcpu 309 168
    rt_sigaction 13 134
    rt_sigprocmask 14 135
    rt_sigreturn 15 139
    rt_sigpending 127 136
    rt_sigsuspend 130 133
    rt_sigtimedwait 128 137
    sigaltstack 131 132
    pause 34 -
    restart_syscall 219 128
    nanosleep 35 101
    clock_nanosleep 230 115
    clock_gettime 228 113
    clock_getres 229 114
    gettimeofday 96 169
    time 201 -
    times 100 153
    getitimer 36 102
    setitimer 38 103
    alarm 37 -
    getpid 39 172
    gettid 186 178
    getppid 110 173
    getpgid 121 155
    getpgrp 111 -
    getsid 124 156
    getuid 102 174
    geteuid 107 175
    getgid 104 176
    getegid 108 177
    getresuid 118 148
    getresgid 120 150
    getgroups 115 158
    getpriority 140 141
    getrlimit 97 163
    getrusage 98 165
    sysinfo 99 179
    uname 63 160
    arch_prctl 158 -
    capget 125 90
    getrandom 318 278
    umask 95 166
    wait4 61 260
    waitid 247 95
    exit 60 93
    exit_group 231 94
"""

_TABLE_WITH_CONDITIONS: Final = """
    clone 56 220
    clone3 435 435
    kill 62 129
    tgkill 234 131
    prctl 157 167
    prlimit64 302 261
    fcntl 72 25
    ioctl 16 29
"""


def _numbers(table: str, column: int) -> dict[str, int]:
    rows = [line.split() for line in table.strip().splitlines()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


MACHINES: Final = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2)}
"""By `platform.machine()`: what the kernel calls the architecture (linux/audit.h), and its column above."""


def allowed(machine: str) -> dict[str, int]:
    """The calls that are allowed whatever their arguments, by name."""
    return _numbers(_TABLE, MACHINES[machine][1])


def with_conditions(machine: str) -> dict[str, int]:
    """The calls that are allowed with some arguments, by name."""
    return _numbers(_TABLE_WITH_CONDITIONS, MACHINES[machine][1])
