"""Ending a stack: the order in which, and what counts as part of it."""

from __future__ import annotations

import signal

import psutil

from evergreen.stack.process import processes
from evergreen.stack.process.processes import ProcessRef
from evergreen.stack.process.state import StackState

DATABASE = "postgres"
GRACE = 8.0
"""Seconds that a service gets to end by itself."""


def end_service(ref: ProcessRef | None, stack_id: str, service: str, grace: float = GRACE) -> None:
    """End a service, its descendants, and the descendants that left it (workers of a killed scheduler, say)."""
    root = ref.process() if ref else None
    members = {p.pid: p for p in processes.marked(stack_id, service)}
    if root:
        members |= {p.pid: p for p in processes.tree(root)}
    processes.end(members.values(), grace)


def end_database(ref: ProcessRef | None, grace: float = 20) -> None:
    """Stop PostgreSQL cleanly (fast shutdown); if it will not, at once; its children end with it."""
    server = ref.process() if ref else None
    if server is None:
        return
    children = processes.tree(server)
    for signum, seconds in ((signal.SIGINT, grace), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        processes.send([server], signum)
        if not processes.wait_gone([server], seconds):
            break
    processes.end(children, 3)


def end_stack(state: StackState, grace: float = GRACE) -> None:
    """End everything of a stack but its supervisor and watchdog: first those that use the database, then it."""
    members: dict[int, psutil.Process] = {}
    for name, service in state.services.items():
        root = service.process.process() if service.process else None
        if root and name != DATABASE:
            members |= {p.pid: p for p in processes.tree(root)}
    members |= {p.pid: p for p in processes.marked(state.stack_id) if _is_client(p)}
    processes.end(members.values(), grace)
    database = state.services.get(DATABASE)
    end_database(database.process if database else None)
    # Something may have been started between the look and the kill.
    for _ in range(3):
        late = processes.marked(state.stack_id)
        if not late:
            break
        processes.end(late, 1)


def _is_client(process: psutil.Process) -> bool:
    try:
        return process.environ().get(processes.SERVICE_MARKER) != DATABASE
    except (psutil.Error, OSError):
        return False
