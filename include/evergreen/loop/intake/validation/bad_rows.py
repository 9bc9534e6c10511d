"""Part the rows that break a rule from the rest of a file, as far as the definition allows (`max_bad_rows`). Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evergreen.loop.intake.failures import Failure, critical, reason

if TYPE_CHECKING:
    from evergreen.loop.intake.validation.suite import SuiteResult

Positions = np.ndarray[tuple[int], np.dtype[np.intp]]
LOOKS = 8
"""How often the rest is looked at again: a rule that some rows hid (a value that is no number) is seen only then."""


@dataclass(frozen=True)
class Look:
    """What is found in some rows of a file."""

    failures: tuple[Failure, ...]
    """Positions in them count from the first of these rows"""
    frame: pd.DataFrame | None = None
    """The rows with the definition's columns and dtypes; None if they do not fit them"""
    suite: SuiteResult | None = None
    """None if the expectations could not be asked"""


@dataclass(frozen=True)
class Sifted:
    """The rows of a file in two parts."""

    look: Look
    """At the rows that stay"""
    reasons: dict[int, str]
    """Position in the file of each row that does not stay, in order -> the rules it breaks, in words"""
    blamed: tuple[Failure, ...]
    """The failures that named these rows; positions in them count from the file's first row"""
    obstacle: str
    """Why the rest cannot be accepted without them; empty if it can"""


def sift(first: Look, look: Callable[[Positions], Look], *, rows: int, allowed: int) -> Sifted:
    """Take out of a file the rows that critical failures name, until the rest has none or more would have to go.

    The rest is looked at as if it had landed alone, so a mean that the bad rows had moved is no fault of it, and a
    number of rows that it does not reach without them is one.

    Args:
        first: what was found in the whole file.
        look: looks at the rows at these positions of the file, which ascend.
        rows: rows of the file.
        allowed: how many of them may be taken out.
    """
    kept: Positions = np.arange(rows)
    rules: dict[int, list[str]] = {}
    blamed: list[Failure] = []
    seen = first
    for _ in range(LOOKS):
        worst = critical(seen.failures)
        if not worst:
            return Sifted(seen, _words(rules), tuple(blamed), "")
        named = [failure for failure in worst if failure.bad is not None and len(failure.bad)]
        if not named:
            break
        for failure in named:
            blamed.append(replace(failure, rows=tuple(int(kept[row]) for row in failure.rows)))
            for position in kept[failure.bad]:
                rules.setdefault(int(position), []).append(failure.rule)
        if len(rules) > allowed:
            break
        kept = np.delete(np.arange(rows), list(rules))
        seen = look(kept)
    left = critical(seen.failures)
    if len(rules) > allowed or any(failure.rule and (failure.count or 0) > allowed for failure in left):
        obstacle = f"more rows break a rule than the {allowed:,} of {rows:,} that max_bad_rows allows"
    else:
        obstacle = _obstacle(first.failures, left)
    return Sifted(seen, _words(rules), tuple(blamed), obstacle)


def _words(rules: dict[int, list[str]]) -> dict[int, str]:
    return {position: "; ".join(dict.fromkeys(rules[position])) for position in sorted(rules)}


def _obstacle(known: Sequence[Failure], left: Sequence[Failure]) -> str:
    """What is wrong with the rest; what was wrong with the whole in the same way is not said twice."""
    rules = {(failure.name, failure.column, failure.expected) for failure in known}
    new = [failure for failure in left if (failure.name, failure.column, failure.expected) not in rules]
    return f"without the rows that break a rule: {reason(new)}" if new else "the table as a whole breaks a rule"
