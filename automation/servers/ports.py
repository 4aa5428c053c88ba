"""Whether a port is free, and who has it if not."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Holder:
    """A process that listens on a port. Both are None where the system hides it from us."""

    pid: int | None
    name: str | None

    def __str__(self) -> str:
        return "a process of another user" if self.pid is None else f"{self.name} (pid {self.pid})"


def holder(host: str, port: int) -> Holder | None:
    """Who keeps us from listening on ``host:port``; None if nobody does.

    Raises:
        OSError: ``host`` is not an address of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: a connection of an earlier server, still waiting to be forgotten, is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
        except PermissionError:
            return Holder(None, None)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return None
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return Holder(None, None)
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
        if listens and connection.pid is not None:
            try:
                return Holder(connection.pid, psutil.Process(connection.pid).name())
            except psutil.NoSuchProcess:
                break
    return Holder(None, None)
