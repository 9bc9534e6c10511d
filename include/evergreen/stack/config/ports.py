"""TCP ports of a stack: the preferred ones if free, else the next, kept from one start to the next."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

import psutil

from evergreen.errors import SettingsError, UnavailableError

HOST = "127.0.0.1"
PREFERRED = {"airflow": 8080, "mlflow": 5500, "postgres": 5442, "smtp": 1025, "online": 8600}
_TRIED = 200


class Ports:
    """Chosen ports, reserved until `release`, so that two stacks starting at once never take the same one."""

    def __init__(
        self,
        remembered: Mapping[str, int],
        environ: Mapping[str, str] | None = None,
        preferred: Mapping[str, int] = PREFERRED,
    ) -> None:
        """Choose a port for each service.

        Args:
            remembered: ports of the last start; taken again if free.
            environ: where `EVERGREEN_PORT_<SERVICE>` demands one.
            preferred: the services, each with the port to try first.

        Raises:
            SettingsError: a demanded port is not a port, or is taken; the message names who holds it.
            UnavailableError: no port is free.
        """
        env = os.environ if environ is None else environ
        self._reserved: list[socket.socket] = []
        self.chosen: dict[str, int] = {}
        for service, first in preferred.items():
            demanded = env.get(variable(service))
            if demanded:
                port = _demanded(service, demanded)
                if not self._reserve(port):
                    raise SettingsError(f"{variable(service)} demands port {port}, which another stack has taken.")
            else:
                port = self._free(remembered.get(service), first)
            self.chosen[service] = port

    def release(self) -> None:
        """Give the reservations up."""
        for reserved in self._reserved:
            reserved.close()
        self._reserved.clear()

    def _free(self, remembered: int | None, preferred: int) -> int:
        candidates = [*([remembered] if remembered else []), *range(preferred, preferred + _TRIED)]
        for port in candidates:
            if port not in self.chosen.values() and is_free(port) and self._reserve(port):
                return int(port)
        raise UnavailableError(f"no free port between {preferred} and {preferred + _TRIED - 1} on {HOST}.")

    def _reserve(self, port: int) -> bool:
        """Take a name that one process at a time can hold, and that goes with it; False: another stack has it."""
        if not sys.platform.startswith("linux"):  # nowhere else are there names without files
            return True
        reserved = socket.socket(socket.AF_UNIX)
        try:
            reserved.bind(f"\0evergreen-port-{port}")
        except OSError:
            reserved.close()
            return False
        self._reserved.append(reserved)
        return True


def variable(service: str) -> str:
    """Name of the environment variable that demands a service's port."""
    return f"EVERGREEN_PORT_{service.upper()}"


def is_free(port: int) -> bool:
    """Whether a service could listen on a port. Remains of closed connections do not keep it from that."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
            server.listen()
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on a port, in words."""
    for connection in _connections():
        if connection.laddr and connection.laddr[1] == port and connection.status == psutil.CONN_LISTEN:
            if connection.pid is None:
                return "a process of another user"
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                break
    return "a process that could not be identified"


def _demanded(service: str, demanded: str) -> int:
    name = variable(service)
    if not demanded.isdigit() or not 0 < int(demanded) < 65536:
        raise SettingsError(f"{name}={demanded!r} is not a port: give a number between 1 and 65535.")
    port = int(demanded)
    if not is_free(port):
        raise SettingsError(
            f"{name} demands port {port}, but {holder(port)} holds it. End that process, choose another port, "
            f"or unset {name} to have a free one chosen."
        )
    return port


def _connections() -> list[Any]:
    try:
        return psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows other processes' sockets to root only
        return []
