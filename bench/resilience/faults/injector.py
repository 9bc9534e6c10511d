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

from bench.resilience.faults import clock, network, victims
from bench.resilience.faults.schedule import Fault
from evergreen.errors import EvergreenError
from evergreen.stack.control import Stack
from evergreen.stack.process import state as states
from evergreen.stack.process.processes import tree

Duplicate = Callable[[float], None]
"""Asks for something a second time, picked by a number from [0, 1)"""
ASLEEP, AWAKE = 0.2, 0.05
"""Seconds of each turn that a slowed service stands still, and runs: a fifth of its speed."""


class Injector(threading.Thread):
    """Carries out one fault after another until it is told to stop."""

    def __init__(
        self,
        stack: Stack,
        faults: Iterator[Fault],
        duplicate: Duplicate,
        most: int,
        say: Callable[[str], None],
        time_of_day: clock.Clock | None = None,
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self.done: Counter[str] = Counter()
        self.starts = 0
        """How often the stack had to be started again"""
        self._stack, self._faults, self._duplicate, self._most, self._say = stack, faults, duplicate, most, say
        self._clock = time_of_day
        self._over = threading.Event()
        self._lasting: list[threading.Thread] = []
        """Those that end what they began by themselves"""
        self._calm = threading.Event()
        """Tells them to end it now"""
        self._cuts = network.Cuts(states.read(stack.home.state).ports) if network.possible() else None

    @property
    def kills(self) -> int:
        """Processes that were killed so far."""
        return sum(count for name, count in self.done.items() if name.startswith("kill"))

    def run(self) -> None:
        """Inject, until `finish`."""
        for fault in self._faults:
            if sum(self.done.values()) >= self._most or self._over.wait(fault.pause):
                break
            try:
                what = self._carry_out(fault)
            except (psutil.Error, OSError, EvergreenError) as error:
                self._say(f"    {fault.name}: not possible now ({error})")
                continue
            if what is not None:
                self.done[fault.name] += 1
                self._say(f"    {sum(self.done.values()):3} {fault.name}: {what}")

    def finish(self) -> None:
        """Carry out no more, end what lasts, and see to it that the stack runs."""
        self._over.set()
        self.join()
        self._end_lasting()
        self._start()

    def _carry_out(self, fault: Fault) -> str | None:
        """What was done, in words; None if nothing could be."""
        if fault.kind == "duplicate":
            threading.Thread(target=self._duplicate, args=(fault.draw,), daemon=True).start()
            return f"drawn {fault.draw:.3f}"
        if fault.kind == "disk":
            return self._fill_disk(fault.seconds)
        if fault.kind == "cut":
            return self._cut(fault)
        if fault.kind == "clock":
            return self._set_clock(fault)
        if fault.name == "kill supervisor":
            return self._kill_supervisor()
        found = victims.of(self._stack, fault, self._over.is_set)
        if not found:
            return None
        victim = found[int(fault.draw * len(found))]
        title = " ".join(victim.cmdline())[-70:]
        if fault.kind == "kill":
            victim.kill()
            return f"process {victim.pid} ({title})"
        family = tree(victim)
        self._for_a_while(self._halt if fault.kind == "stop" else self._crawl, family, fault.seconds)
        return f"{len(family)} processes from {victim.pid} on ({title}) for {fault.seconds:.0f} s"

    def _for_a_while(self, do: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=do, args=arguments, daemon=True)
        self._lasting.append(thread)
        thread.start()

    def _end_lasting(self) -> None:
        self._calm.set()
        while self._lasting:
            self._lasting.pop().join()
        self._calm.clear()

    def _halt(self, family: list[psutil.Process], seconds: float) -> None:
        _signal(family, signal.SIGSTOP)
        self._calm.wait(seconds)
        _signal(family, signal.SIGCONT)

    def _crawl(self, family: list[psutil.Process], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._calm.is_set():
            self._halt(family, ASLEEP)
            self._calm.wait(AWAKE)

    def _cut(self, fault: Fault) -> str | None:
        if self._cuts is None or not self._cuts.knows(fault.target):
            return None
        port = self._cuts.cut(fault.target)
        self._for_a_while(self._mend_later, fault.target, fault.seconds)
        return f"port {port} for {fault.seconds:.0f} s"

    def _set_clock(self, fault: Fault) -> str | None:
        if self._clock is None:
            return None
        ahead = (2 * fault.draw - 1) * clock.MOST
        self._clock.set(ahead)
        self._for_a_while(self._set_back_later, self._clock, fault.seconds)
        return f"{ahead:+.0f} s for {fault.seconds:.0f} s"

    def _set_back_later(self, time_of_day: clock.Clock, seconds: float) -> None:
        self._calm.wait(seconds)
        time_of_day.set(0)

    def _mend_later(self, service: str, seconds: float) -> None:
        self._calm.wait(seconds)
        if self._cuts is not None:
            self._cuts.mend(service)

    def _kill_supervisor(self) -> str | None:
        supervisor = self._stack.status().supervisor
        process = supervisor.process() if supervisor else None
        if process is None:
            return None
        self._end_lasting()
        process.kill()
        process.wait(30)
        begun = time.monotonic()
        self._start()
        return f"process {process.pid}; the stack was up again after {time.monotonic() - begun:.0f} s"

    def _start(self) -> None:
        """Start the stack if it does not run, as a service manager would."""
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
        self._over.wait(seconds)
        filler.unlink()
        return f"{filled / 2**20:.0f} MiB for {time.monotonic() - begun:.0f} s"


def _signal(family: list[psutil.Process], number: int) -> None:
    for process in family:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


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
