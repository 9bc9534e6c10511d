"""Progress of what takes minutes: a bar on a terminal, lines if nobody is watching."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_SECONDS = 5
"""Between two lines about many alike"""


@contextmanager
def progress(total: int, unit: str = "week") -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """What says what is going on and what counts the units that are done."""
    screen = Console(stderr=True, highlight=False)
    if not screen.is_terminal:
        lines = Lines(total, unit, screen)
        yield lines.say, lines.advance
        return
    columns: list[Any] = [SpinnerColumn(), TextColumn(unit), MofNCompleteColumn(), BarColumn(bar_width=24)]
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[now]}"), console=screen) as bar:
        task = bar.add_task(unit, total=total, now="")
        yield lambda words: bar.update(task, now=words), lambda count: bar.advance(task, count)


@contextmanager
def counted(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """What is told how many are done, of how many, and what is going on; without a terminal, a line every few seconds.

    Nothing is said of what takes no longer than that, nor if it is to be `quiet`: for a program that reads the answer.
    """
    screen = Console(stderr=True, highlight=False, quiet=quiet)
    if not screen.is_terminal:
        yield Counted(what, screen).tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[now]}"), console=screen, transient=True) as bar:
        task = bar.add_task(what, total=None, now="")

        def tell(done: int, total: int, now: str) -> None:
            bar.update(task, completed=done, total=total or None, now=now)

        yield tell


class Counted:
    """Progress in a log file, of many alike."""

    def __init__(self, what: str, screen: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._screen, self._clock = what, screen, clock
        self._begun = self._told = clock()

    def tell(self, done: int, total: int, now: str = "") -> None:
        """Print a line if the last one is some seconds old."""
        at = self._clock()
        if at - self._told < _SECONDS:
            return
        self._told = at
        counts = f"{done:,}/{total:,}" if total else f"{done:,}"
        words = f"  {now}" if now else ""
        self._screen.print(f"{at - self._begun:4.0f} s  {self._what} {counts}{words}", markup=False, soft_wrap=True)


class Lines:
    """Progress in a log file: a line whenever something else begins, with the seconds so far and the units done."""

    def __init__(self, total: int, unit: str, screen: Console) -> None:
        self._total, self._unit, self._screen = total, unit, screen
        self._done, self._last, self._begun = 0, "", time.monotonic()

    def say(self, words: str) -> None:
        """Print `words`, unless they were the last ones printed."""
        if words == self._last:
            return
        self._last = words
        line = f"{time.monotonic() - self._begun:4.0f} s  {self._unit} {self._done}/{self._total}  {words}"
        self._screen.print(line, markup=False, soft_wrap=True)

    def advance(self, count: int) -> None:
        """`count` more units are done."""
        self._done += count
