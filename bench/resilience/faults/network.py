"""A cable pulled: what goes to a port of this machine, or comes from it, vanishes without a word.

Needs root and iptables. Connections that stand stay open and hear nothing, as they do if a network is cut; that is
harder to notice than a server that is down, which answers with a refusal.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import threading

NAMES = {"mail": "smtp", "mailpit": "smtp", "api-server": "airflow", "features-git": "features_git"}
"""Services whose port the stack knows by another name."""


def possible() -> bool:
    """Whether this process may cut anything here."""
    return os.geteuid() == 0 and shutil.which("iptables") is not None and _run("-L", "INPUT", "-n")


class Cuts:
    """Ports that are cut off now; all are mended when the process ends, however many were forgotten."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports, self._cut = ports, set[int]()
        atexit.register(self.mend_all)
        if threading.current_thread() is threading.main_thread():
            # Without it SIGTERM ends this process at once, and the ports stay cut.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def knows(self, service: str) -> bool:
        """Whether the service listens on a port of its own."""
        return NAMES.get(service, service) in self._ports

    def cut(self, service: str) -> int:
        """Cut a service off; the port."""
        port = self._ports[NAMES.get(service, service)]
        if port not in self._cut:
            self._cut.add(port)
            _rules("-I", port)
        return port

    def mend(self, service: str) -> None:
        """Let its packets through again."""
        self._mend(self._ports[NAMES.get(service, service)])

    def mend_all(self) -> None:
        """Let everything through again."""
        for port in list(self._cut):
            self._mend(port)

    def _mend(self, port: int) -> None:
        if port in self._cut:
            _rules("-D", port)
            self._cut.discard(port)


def _rules(what: str, port: int) -> None:
    for side in ("--dport", "--sport"):
        if not _run(what, "INPUT", "-i", "lo", "-p", "tcp", side, str(port), "-j", "DROP"):
            raise OSError(f"iptables {what} INPUT {side} {port} failed")


def _run(*words: str) -> bool:
    return subprocess.run(["iptables", "-w", "10", *words], capture_output=True, check=False).returncode == 0
