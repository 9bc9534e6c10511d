"""One service of a stack: what it is, and its life as a process that is started, watched and started again."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evergreen.stack.config.home import Home
from evergreen.stack.process import logs
from evergreen.stack.process.processes import MARKER, SERVICE_MARKER, ProcessRef
from evergreen.stack.process.shutdown import DATABASE, end_service
from evergreen.stack.process.state import ServiceState

log = logging.getLogger("evergreen.stack")

_BACKOFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SETTLED = 60.0
"""Seconds after which a service that keeps running has earned an immediate restart again."""
HUNG_AFTER = 90.0
"""Seconds for which a service may do nothing, though its process lives, before it is ended and started again."""
_WATCH_PAUSE = 10.0
"""Seconds between two looks at whether a healthy service still works."""
_CHECK_PAUSE, _CHECK_LIMIT = 1.0, 20.0
"""Seconds between two health checks that are commands, and for one."""


@dataclass(frozen=True)
class Service:
    """A process to run.

    Attributes:
        name: also the name of its log.
        argv: command line; never holds a secret, anyone on the machine can read it.
        env: its whole environment.
        needs: services that must be healthy (or done) first.
        healthy: whether it serves, given the moment (epoch seconds) it was started at.
        hung: whether it is known not to work any more, once it was healthy. What cannot be told is no.
        check: a command that says so by its exit code, in the service's environment; counts before `healthy`. Without
            either it is a step that runs once and is done when it exits with 0.
        timeout: seconds until it must be healthy or done.
        before: runs before each start.
        popen: further arguments of `subprocess.Popen`.
        folder: where it runs; the home by default.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    needs: tuple[str, ...] = ()
    healthy: Callable[[float], bool] | None = None
    hung: Callable[[], bool] | None = None
    check: tuple[str, ...] = ()
    timeout: float = 120.0
    before: Callable[[], None] | None = None
    popen: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def once(self) -> bool:
        """Whether it is a step."""
        return self.healthy is None and not self.check


class Unit:
    """A service's life. Call `step` again and again; it never blocks for long."""

    def __init__(self, service: Service, stack_id: str, home: Home, changed: Callable[[], None]) -> None:
        self.service = service
        self.state = ServiceState()
        self._stack_id = stack_id
        self._changed = changed
        self._log_file = home.log_of(service.name)
        self._folder = service.folder or home.root
        self._child: subprocess.Popen[bytes] | None = None
        self._checking: subprocess.Popen[bytes] | None = None
        self._checked_at = 0.0
        self._started_at = 0.0
        self._clock_at_start = 0.0  # health is told from the times of files and heartbeats, which the clock gives
        self._first_start = 0.0
        self._retry_at = 0.0
        self._failures = 0
        self._watched_at = 0.0
        self._hung_since: float | None = None

    @property
    def up(self) -> bool:
        """Whether those that need it may go on."""
        return self.state.condition in ("healthy", "done")

    def step(self, ready: Callable[[str], bool]) -> None:
        """Do what is to be done now: start, look after, or start again."""
        if self.state.condition in ("done", "failed", "stopped"):
            return
        if self._child is None:
            if time.monotonic() >= self._retry_at and all(ready(name) for name in self.service.needs):
                self._start()
        elif (code := self._child.poll()) is not None:
            self._exited(code)
        elif self.state.condition != "healthy" and self._serves():
            self.state.condition = "healthy"
            log.info("%s is healthy after %.1f s", self.service.name, time.monotonic() - self._started_at)
        elif self.state.condition == "healthy":
            self._watch()

    def overdue(self) -> bool:
        """Whether it should have been up by now."""
        return not self.up and self._first_start > 0 and time.monotonic() - self._first_start > self.service.timeout

    def failure(self) -> str:
        """What its log says at the end."""
        return f"{self._log_file} ends with:\n{logs.tail(self._log_file)}"

    def _watch(self) -> None:
        """End it if it has done nothing for `HUNG_AFTER`, so that it is started again.

        A scheduler whose disk was full, for one, ends its loop and then waits for ever for a worker that has died.
        """
        now = time.monotonic()
        if self.service.hung is None or now < self._watched_at + _WATCH_PAUSE:
            return
        self._watched_at = now
        if not self.service.hung():
            self._hung_since = None
            return
        self._hung_since = self._hung_since or now
        if now - self._hung_since >= HUNG_AFTER:
            seconds = now - self._hung_since
            log.error("%s has done nothing for %.0f s, though its process runs: ending it", self.service.name, seconds)
            end_service(self.state.process, self._stack_id, self.service.name, grace=1)

    def _start(self) -> None:
        service = self.service
        self._hung_since = None
        if service.before:
            service.before()
        self._child = self._run(service.argv, **service.popen)
        self._checking = None
        self._started_at, self._clock_at_start = time.monotonic(), time.time()
        self._first_start = self._first_start or self._started_at
        self.state.process = ProcessRef.of(self._child.pid)
        self.state.condition = "starting"
        self._changed()
        log.info("%s started (process %d)", service.name, self._child.pid)

    def _run(self, argv: tuple[str, ...], **options: Any) -> subprocess.Popen[bytes]:
        env = {**self.service.env, MARKER: self._stack_id, SERVICE_MARKER: self.service.name}
        with self._log_file.open("ab") as output:
            return subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=self._folder, **options,
            )  # fmt: skip

    def _serves(self) -> bool:
        if self.service.check:
            return self._check()
        return self.service.healthy is not None and self.service.healthy(self._clock_at_start)

    def _check(self) -> bool:
        """Ask by a command, without waiting for its answer: a later call hears it."""
        now = time.monotonic()
        if self._checking is None:
            if now >= self._checked_at + _CHECK_PAUSE:
                self._checking, self._checked_at = self._run(self.service.check), now
            return False
        code = self._checking.poll()
        if code is None:
            if now > self._checked_at + _CHECK_LIMIT:
                self._checking.kill()
            return False
        self._checking, self._checked_at = None, now
        return code == 0

    def _exited(self, code: int) -> None:
        name = self.service.name
        self._child = None
        if self.service.once:
            self.state.condition = "done" if code == 0 else "failed"
            self.state.process = None
            log.info("%s is done", name) if code == 0 else log.error("%s failed with exit code %d", name, code)
            return
        lived = time.monotonic() - self._started_at
        self._failures = 1 if lived > _SETTLED else self._failures + 1
        delay = _BACKOFF[min(self._failures, len(_BACKOFF)) - 1]
        if self.state.condition == "healthy":  # it gets the full time to start again
            self._first_start = time.monotonic()
        self._retry_at = time.monotonic() + delay
        log.warning("%s ended by itself (exit code %d) after %.0f s; restart in %.1f s", name, code, lived, delay)
        # Workers of a killed scheduler would go on beside those of the new one.
        if name != DATABASE:
            end_service(None, self._stack_id, name, grace=1)
        self.state.process = None
        self.state.restarts += 1
        self.state.condition = "restarting"
