"""Which faults come when: drawn from a seed, so that a run can be told again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

SERVERS = ("scheduler", "dag-processor", "triggerer", "api-server", "mlflow", "mail", "postgres")
KINDS = {"kill": 70, "stop": 15, "duplicate": 10, "disk": 5}
"""Weights. `stop` is SIGSTOP and, later, SIGCONT; `disk` fills the disk of the stack's folder for a while."""
KILLED = {**dict.fromkeys(SERVERS, 10), "task": 25, "supervisor": 4}
STOPPED = ("scheduler", "triggerer", "api-server", "mlflow", "mail", "postgres")
STOP_SECONDS = (10.0, 60.0)
DISK_SECONDS = (5.0, 20.0)
PAUSE_SECONDS = (5.0, 25.0)
ROOT_SHARE = 0.6
"""How often a service's main process is hit, and not one of its children."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        pause: seconds to wait before it.
        kind: kill, stop, duplicate or disk.
        target: the service or `task`; empty for the other kinds.
        at_root: whether the service's main process is meant; else one of its children, where it has any.
        seconds: how long it lasts.
        draw: picks one of what is there at that moment, from [0, 1).
    """

    pause: float
    kind: str
    target: str
    at_root: bool
    seconds: float
    draw: float

    @property
    def name(self) -> str:
        """What is counted."""
        return f"{self.kind} {self.target}".strip()


def faults(seed: int, kinds: frozenset[str] = frozenset(KINDS)) -> Iterator[Fault]:
    """Faults without end; the same seed gives the same ones."""
    rng = random.Random(seed)
    weights = {kind: weight for kind, weight in KINDS.items() if kind in kinds}
    while True:
        kind = rng.choices(list(weights), list(weights.values()))[0]
        target = ""
        if kind == "kill":
            target = rng.choices(list(KILLED), list(KILLED.values()))[0]
        elif kind == "stop":
            target = rng.choice(STOPPED)
        lasts = {"stop": STOP_SECONDS, "disk": DISK_SECONDS}.get(kind, (0.0, 0.0))
        yield Fault(
            rng.uniform(*PAUSE_SECONDS), kind, target, rng.random() < ROOT_SHARE, rng.uniform(*lasts), rng.random()
        )
