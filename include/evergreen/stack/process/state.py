"""What is known about a running stack: `stack.json`, written by its supervisor, and the lock that it holds."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from evergreen.errors import UnavailableError
from evergreen.stack.process.processes import ProcessRef

Phase = Literal["stopped", "starting", "ready", "stopping", "failed"]
Condition = Literal["waiting", "starting", "healthy", "done", "restarting", "failed", "stopped"]


def new_id() -> str:
    """An id for one start of a stack; its processes carry it."""
    return uuid.uuid4().hex


@dataclass
class ServiceState:
    """One service as the supervisor sees it."""

    condition: Condition = "waiting"
    process: ProcessRef | None = None
    restarts: int = 0


@dataclass
class StackState:
    """One stack as its supervisor sees it."""

    stack_id: str = field(default_factory=new_id)
    shape: str = "embedded"
    phase: Phase = "stopped"
    error: str | None = None
    ports: dict[str, int] = field(default_factory=dict)
    supervisor: ProcessRef | None = None
    watchdog: ProcessRef | None = None
    services: dict[str, ServiceState] = field(default_factory=dict)

    def running(self) -> bool:
        """Whether its supervisor lives."""
        return self.supervisor is not None and self.supervisor.alive()


def read(path: Path) -> StackState:
    """Read a stack's state; a fresh one if there is none.

    Raises:
        UnavailableError: the file is damaged.
    """
    try:
        raw = json.loads(path.read_text())
        return _from_json(raw)
    except FileNotFoundError:
        return StackState()
    except (ValueError, KeyError, TypeError) as err:
        raise UnavailableError(
            f"{path} is damaged ({err}). Remove it; if a stack runs there, end its processes first."
        ) from err


def write(path: Path, state: StackState) -> None:
    """Replace a stack's state, whole or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(asdict(state), indent=1))
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def try_lock(path: Path) -> IO[str] | None:
    """Take the lock that one supervisor at a time may hold; None while another holds it. Closing the file frees it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _from_json(raw: dict[str, Any]) -> StackState:
    services = {
        name: ServiceState(s["condition"], _ref(s["process"]), s["restarts"]) for name, s in raw["services"].items()
    }
    return StackState(
        stack_id=raw["stack_id"],
        shape=raw.get("shape", "embedded"),
        phase=raw["phase"],
        error=raw["error"],
        ports=dict(raw["ports"]),
        supervisor=_ref(raw["supervisor"]),
        watchdog=_ref(raw["watchdog"]),
        services=services,
    )


def _ref(raw: dict[str, Any] | None) -> ProcessRef | None:
    return None if raw is None else ProcessRef(int(raw["pid"]), float(raw["created"]), raw.get("identity"))
