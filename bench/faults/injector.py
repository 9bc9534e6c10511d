"""Carries the faults out on a running stack, and does what an operator's service manager would: starts it again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from evergreen.errors import EvergreenError
from evergreen.stack.control import Stack
from evergreen.stack.processes import tree
from faults.schedule import Fault

Duplicate = Callable[[float], None]
"""Asks for something a second time, picked by a number from [0, 1)"""
PATIENCE = 8.0
"""Seconds to wait for a task to run that can be killed."""


class Injector(threading.Thread):
    """Carries out one fault after another until it is told to stop."""

    def __init__(
        self, stack: Stack, faults: Iterator[Fault], duplicate: Duplicate, most: int, say: Callable[[str], None]
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self.done: Counter[str] = Counter()
        self.starts = 0
        """How often the stack had to be started anew"""
        self._stack, self._faults, self._duplicate, self._most, self._say = stack, faults, duplicate, most, say
        self._over = threading.Event()
        self._asleep: list[tuple[threading.Timer, list[psutil.Process]]] = []

    @property
    def kills(self) -> int:
        """Processes that were killed so far."""
        return sum(count for name, count in self.done.items() if name.startswith("kill"))

    def run(self) -> None:
        """Inject, until `finish`."""
        for fault in self._faults:
            if sum(self.done.values()) >= self._most or self._wait(fault.pause):
                break
            try:
                what = self._carry_out(fault)
            except (psutil.Error, OSError, EvergreenError) as error:
                self._say(f"    {fault.name}: not possible now ({error})")
                continue
            if what is not None:
                self.done[fault.name] += 1
                self._say(f"    {sum(self.done.values()):3} {fault.name}: {what}")
        self._wake_all()

    def finish(self) -> None:
        """Carry out no more, wake what is stopped, and see to it that the stack runs."""
        self._over.set()
        self.join()
        self._wake_all()
        self._start()

    def _wait(self, seconds: float) -> bool:
        """Wait; whether it is over."""
        return self._over.wait(seconds)

    def _carry_out(self, fault: Fault) -> str | None:
        if fault.kind == "duplicate":
            threading.Thread(target=self._duplicate, args=(fault.draw,), daemon=True).start()
            return f"drawn {fault.draw:.3f}"
        if fault.kind == "disk":
            return self._fill_disk(fault.seconds)
        if fault.kind == "kill" and fault.target == "supervisor":
            return self._kill_supervisor()
        victims = self._victims(fault)
        if not victims:
            return None
        victim = victims[int(fault.draw * len(victims))]
        title = " ".join(victim.cmdline())[-70:]
        if fault.kind == "kill":
            victim.kill()
            return f"process {victim.pid} ({title})"
        return self._halt(victim, fault.seconds, title)

    def _victims(self, fault: Fault) -> list[psutil.Process]:
        if fault.target == "task":
            return self._tasks()
        root = self._root(fault.target)
        if root is None:
            return []
        family = tree(root)
        return family[:1] if fault.at_root or len(family) == 1 or fault.kind == "stop" else family[1:]

    def _root(self, service: str) -> psutil.Process | None:
        known = self._stack.status().services.get(service)
        return known.process.process() if known and known.process else None

    def _tasks(self) -> list[psutil.Process]:
        """Processes that run a task now: children of the scheduler's workers. Waits a little for one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self._over.is_set():
            scheduler = self._root("scheduler")
            workers = scheduler.children() if scheduler else []
            found = [task for worker in workers for task in tree(worker)[1:]]
            if found:
                return found
            time.sleep(0.05)
        return []

    def _halt(self, victim: psutil.Process, seconds: float, title: str) -> str:
        family = tree(victim)
        for process in family:
            process.send_signal(signal.SIGSTOP)
        waking = threading.Timer(seconds, self._wake, (family,))
        waking.daemon = True
        self._asleep.append((waking, family))
        waking.start()
        return f"{len(family)} processes from {victim.pid} on ({title}) for {seconds:.0f} s"

    def _wake(self, family: list[psutil.Process]) -> None:
        for process in family:
            try:
                process.send_signal(signal.SIGCONT)
            except psutil.NoSuchProcess:
                continue

    def _wake_all(self) -> None:
        while self._asleep:
            waking, family = self._asleep.pop()
            waking.cancel()
            self._wake(family)

    def _kill_supervisor(self) -> str | None:
        supervisor = self._stack.status().supervisor
        process = supervisor.process() if supervisor else None
        if process is None:
            return None
        self._wake_all()
        process.kill()
        process.wait(30)
        begun = time.monotonic()
        self._start()
        return f"process {process.pid}; the stack was up again after {time.monotonic() - begun:.0f} s"

    def _start(self) -> None:
        """Start the stack where it does not run, as a service manager would."""
        for attempt in range(5):
            try:
                self.starts += self._stack.start(tied=True)
                return
            except EvergreenError as error:
                self._say(f"    start {attempt + 1} failed: {error}")
        raise SystemExit("the stack did not come up again")

    def _fill_disk(self, seconds: float) -> str | None:
        """Fill the file system of the stack's folder, which must be one of its own."""
        root = self._stack.home.root
        if not os.path.ismount(root.parent):
            return None
        filler = root.parent / "filler"
        begun, filled = time.monotonic(), fill(filler)
        self._wait(seconds)
        filler.unlink()
        return f"{filled / 2**20:.0f} MiB for {time.monotonic() - begun:.0f} s"


def fill(path: Path) -> int:
    """Write zeros into a file until nothing is left on its disk; how many bytes."""
    chunk, written = bytes(1 << 20), 0
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                written += file.write(chunk)
            except OSError:
                if len(chunk) == 1:
                    return written
                chunk = chunk[: max(1, len(chunk) // 16)]
