"""Progress of what takes minutes: a bar on a terminal, lines if nobody is watching."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


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
