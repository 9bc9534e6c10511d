"""A stack whose processes are replaced one after another by those of another release."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable

from bench.resilience.rollout.release import Release
from evergreen.errors import UnavailableError
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from evergreen.stack.process.service import Service
from evergreen.stack.shapes import SHAPES
from evergreen.stack.supervisor import Supervisor

GRACE = 900.0
"""Seconds that a process gets to finish what it runs, as `stop_grace_period` gives a worker"""
START = 600.0


class RollingStack(Supervisor):
    """The embedded or the cluster stack, run by threads of this process: it ends with it."""

    def __init__(self, home: Home, shape: str, release: Release) -> None:
        self.stack = Stack(home, shape=shape)
        home.create(SHAPES[shape].folders(home))
        super().__init__(home, SHAPES[shape])
        self._release, self._known = release, dict[str, Service]()
        self._thread = threading.Thread(target=self.run, name="supervisor")

    def _make_units(self, services: Iterable[Service]) -> None:
        self._known = {service.name: service for service in services}
        super()._make_units(self._release.runs(service) for service in self._known.values())

    def __enter__(self) -> RollingStack:
        self._thread.start()
        self._until(lambda: self._state.phase == "ready", "the stack", START)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def migrate(self, release: Release, steps: Iterable[str]) -> None:
        """Run steps of the start with another release's code, as its `init` does, while the old code runs."""
        for name in steps:
            service = release.runs(self._known[name])
            done = subprocess.run(
                service.argv, env=dict(service.env), cwd=service.folder or self._home.root, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(f"{name} of the {release.name} release failed:\n{done.stderr[-4000:]}")

    def replace(self, name: str, release: Release) -> float:
        """Ask a process to end, let it finish what it runs, start the release's; seconds that it took."""
        unit, begun = self._units[name], time.monotonic()
        before = unit.state.process
        if before is None:
            raise UnavailableError(f"{name} does not run")
        unit.service = release.runs(self._known[name])
        os.kill(before.pid, signal.SIGTERM)

        def replaced() -> bool:
            now = unit.state.process
            return now is not None and now.pid != before.pid and unit.state.condition == "healthy"

        self._until(replaced, f"{name} of the {release.name} release", GRACE)
        return time.monotonic() - begun

    def _until(self, condition: object, what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise UnavailableError(f"{what} was not up in {seconds:.0f} s: {self._state.error or self._home.logs}")
            time.sleep(0.2)
