"""The process that runs a stack: starts its services in order, restarts what ends, and ends all of it.

`python -m evergreen.stack.supervisor HOME [--shape NAME] [--owner FD] [--only NAMES]`. With an owner's
pipe, the owner's end is the stack's end.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import IO

from evergreen.errors import EvergreenError
from evergreen.stack.config import credentials
from evergreen.stack.config.home import Home
from evergreen.stack.config.ports import Ports
from evergreen.stack.process import logs
from evergreen.stack.process import state as states
from evergreen.stack.process.processes import ProcessRef
from evergreen.stack.process.service import Service, Unit
from evergreen.stack.process.shutdown import end_stack
from evergreen.stack.shapes import SHAPES, Shape

log = logging.getLogger("evergreen.stack")

BUSY = 75
"""Exit code if another supervisor holds the lock."""
RELEASE = b"r"
"""What an owner writes to its pipe to let the stack outlive it."""
_TICK = 0.2
_LOG_CHECK = 30.0


class StartFailedError(EvergreenError):
    """A service did not come up."""


class Supervisor:
    """Runs one stack."""

    def __init__(self, home: Home, shape: Shape, only: Collection[str] = ()) -> None:
        self._home = home
        self._shape = shape
        self._only = only
        self._state = states.read(home.state)
        self._units: dict[str, Unit] = {}
        self._stop = threading.Event()
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._unsaved = False
        self._pipe = os.pipe()

    def stop(self) -> None:
        """Ask it to end the stack; safe from a signal handler and from other threads."""
        self._stop.set()

    def run(self) -> int:
        """Run until asked to stop; returns the exit code."""
        code = 0
        try:
            self._prepare()
            self._loop()
        except EvergreenError as err:
            log.error("%s", err)
            self._state.error = str(err)
            code = 1
        except Exception as err:
            log.exception("the supervisor failed")
            self._state.error = f"the supervisor failed: {err!r}. {self._home.log_of('supervisor')} has the details."
            code = 1
        self._end("failed" if code else "stopped")
        return code

    def _prepare(self) -> None:
        """Clear what a crash left, and settle all that services need to know."""
        if any(s.process and s.process.alive() for s in self._state.services.values()):
            log.warning("an earlier stack here was not stopped in order: ending what is left of it")
        end_stack(self._state)
        # A late watchdog of that stack looks for the old id, and finds nothing of ours.
        self._state.stack_id = states.new_id()
        self._state.shape = self._shape.name
        self._state.phase, self._state.error = "starting", None
        self._state.services = {}
        self._state.supervisor = ProcessRef.of(os.getpid())
        self._save()
        self._shape.require()
        secrets = credentials.load_or_create(self._home.secrets, self._home.postgres, self._shape.create_secrets)
        self._ports = Ports(self._state.ports, preferred=self._shape.ports)
        self._state.ports = self._ports.chosen
        self._save()
        self._make_units(self._shape.services(self._home, self._ports.chosen, secrets))

    def _make_units(self, services: Iterable[Service]) -> None:
        for service in services:
            if self._only and service.name not in self._only:
                continue
            logs.rotate(self._home.log_of(service.name))
            unit = Unit(service, self._state.stack_id, self._home, self._save)
            self._units[service.name] = unit
            self._state.services[service.name] = unit.state

    def _loop(self) -> None:
        next_log_check = time.monotonic() + _LOG_CHECK
        while not self._stop.is_set():
            self._keep_watchdog()
            for unit in self._units.values():
                unit.step(lambda name: self._units[name].up)
                if self._stop.is_set():
                    return
            self._judge()
            self._save()
            if time.monotonic() > next_log_check:
                next_log_check = time.monotonic() + _LOG_CHECK
                for unit in self._units.values():
                    logs.rotate_if_large(self._home.log_of(unit.service.name))
            self._stop.wait(_TICK)

    def _judge(self) -> None:
        if self._state.phase != "starting":
            return
        for unit in self._units.values():
            if unit.state.condition == "failed" or unit.overdue():
                verb = "failed" if unit.state.condition == "failed" else f"was not up in {unit.service.timeout:.0f} s"
                raise StartFailedError(f"{unit.service.name} {verb}. {unit.failure()}")
        if all(unit.up for unit in self._units.values()):
            self._state.phase = "ready"
            log.info("the stack is ready")

    def _keep_watchdog(self) -> None:
        if self._watchdog is not None and self._watchdog.poll() is None:
            return
        reading, _ = self._pipe
        self._watchdog = subprocess.Popen(
            [
                sys.executable, "-m", "evergreen.stack.watchdog",
                str(reading), str(self._home.root), self._state.stack_id,
            ],
            pass_fds=[reading], start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self._state.watchdog = ProcessRef.of(self._watchdog.pid)
        self._save()

    def _end(self, phase: states.Phase) -> None:
        log.info("ending the stack")
        self._state.phase = "stopping"
        self._save()
        end_stack(self._state)
        for unit in self._units.values():
            unit.state.condition, unit.state.process = "stopped", None
        self._state.phase = phase
        self._state.supervisor = None
        self._state.watchdog = None
        self._save()
        log.info("the stack is %s", phase)

    def _save(self) -> None:
        try:
            states.write(self._home.state, self._state)
        except OSError as err:  # a full disk must not end what runs
            if not self._unsaved:
                log.warning("could not write %s: %s; free space on its disk", self._home.state, err)
            self._unsaved = True
        else:
            if self._unsaved:
                log.info("%s is written again", self._home.state)
            self._unsaved = False


def main(home: Home, shape: Shape, owner: int | None, only: Collection[str]) -> int:
    """Run a stack in this process; returns the exit code."""
    lock = _lock(home.lock)
    if lock is None:
        log.error("another supervisor runs the stack in %s", home.root)
        return BUSY
    supervisor = Supervisor(home, shape, only)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: supervisor.stop())
    if owner is not None:
        threading.Thread(target=_follow, args=(owner, supervisor), daemon=True).start()
    code = supervisor.run()
    lock.close()
    return code


def _lock(path: Path) -> IO[str] | None:
    # A command that asks whether a stack runs holds the lock for an instant.
    for _ in range(20):
        lock = states.try_lock(path)
        if lock is not None:
            return lock
        time.sleep(0.1)
    return None


def _follow(owner: int, supervisor: Supervisor) -> None:
    while byte := os.read(owner, 1):
        if byte == RELEASE:
            return
    log.info("the process that owns this stack has ended")
    supervisor.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--owner", type=int, metavar="FD")
    parser.add_argument("--shape", default="embedded", choices=tuple(SHAPES))
    parser.add_argument("--only", default="", metavar="NAMES")
    given = parser.parse_args()
    sys.exit(main(Home(given.home), SHAPES[given.shape], given.owner, [name for name in given.only.split(",") if name]))
