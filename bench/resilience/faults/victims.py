"""The processes of a running stack that a fault can meet."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from bench.resilience.faults.schedule import Fault
from evergreen.stack.control import Stack
from evergreen.stack.process.processes import tree

PATIENCE = 8.0
"""Seconds to wait for a task to run that can be killed."""
RUN_TASKS = ("scheduler", "worker-default", "worker-training")
"""Services whose children's children are tasks: the local executor's workers, Celery's pools."""


def of(stack: Stack, fault: Fault, over: Callable[[], bool]) -> list[psutil.Process]:
    """Those that the fault may choose from; none if its target does not run now."""
    if fault.target == "task":
        return _tasks(stack, over)
    root = root_of(stack, fault.target)
    if root is None:
        return []
    family = tree(root)
    whole = fault.kind in ("stop", "slow")
    return family[:1] if fault.at_root or len(family) == 1 or whole else family[1:]


def root_of(stack: Stack, service: str) -> psutil.Process | None:
    """The main process of a service, if it runs."""
    known = stack.status().services.get(service)
    return known.process.process() if known and known.process else None


def _tasks(stack: Stack, over: Callable[[], bool]) -> list[psutil.Process]:
    """Processes that run a task now. Waits a little for one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not over():
        roots = [root for name in RUN_TASKS if (root := root_of(stack, name)) is not None]
        found = [task for root in roots for pool in root.children() for task in tree(pool)[1:]]
        if found:
            return found
        time.sleep(0.05)
    return []
