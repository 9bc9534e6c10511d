"""When a cause that is met again and again is told again. Pure.

A first occurrence is told at once. Others of the same cause join it: they are told when there are ten, a hundred, ...
of them, and after a day, two, four, then each week while it still grows. A cause that comes and goes is damped: after
its n-th return within a week, it must have been well for 2**(n-1) hours (a day at most) before it counts as over.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Sequence

from evergreen.core.names import PartitionKey

LONGEST_SILENCE = dt.timedelta(days=7)
"""While it grows, it is told at least this often; after as long a calm, its return is a new story."""
LONGEST_CALM = dt.timedelta(days=1)
_FIRST_STEP = 10
_KEY = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?|T\d{2}\b)?")
_HEX = re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DATE_IN_A_NAME = re.compile(r"\d{6,}")


def fingerprint(kind: str, scope: str, faults: Iterable[str]) -> str:
    """Twelve hexadecimal digits that name a cause: the same for the same set of faults, in any order.

    Faults are taken as they are. Who names them leaves out what differs from one partition to the next (`general`,
    `general_name`): only there is it known which words are names, whose digits tell one column from another.
    """
    parts = [kind, scope, *sorted(set(faults))]
    return hashlib.sha256("\x1f".join(parts).encode(errors="replace")).hexdigest()[:12]


def general(fault: str) -> str:
    """`fault` without what differs from one partition to the next: keys, instants, ids, samples and numbers."""
    text = fault
    for pattern in (_QUOTED, _KEY, _HEX, _NUMBER):
        text = pattern.sub("#", text)
    return " ".join(text.split())


def general_name(names: str) -> str:
    """Names of columns without what may be a date in them; `pm10` and `pm25` stay two columns.

    A producer that puts the day into a column's name (`price_20240101`, `price_2024-01-01`) breaks the same thing each
    day. Digits fewer than six are no date: they belong to the name.
    """
    text = names
    for pattern in (_KEY, _DATE_IN_A_NAME):
        text = pattern.sub("#", text)
    return text


def is_told(*, partitions: int, told: int, mails: int, told_at: dt.datetime, now: dt.datetime) -> bool:
    """Whether an incident that has just grown gets another mail.

    Args:
        partitions: how many it has now.
        told: how many the newest mail listed.
        mails: how many mails it has had, one at least.
        told_at: when the newest was written, aware.
        now: aware.
    """
    if partitions >= next_step(told):
        return True
    wait = dt.timedelta(days=2 ** min(mails - 1, 10))
    return now - told_at >= min(wait, LONGEST_SILENCE)


def next_step(told: int) -> int:
    """The number of partitions at which the next mail is due, if `told` of them were told: 10, 100, 1000, ..."""
    step = _FIRST_STEP
    while step <= told:
        step *= 10
    return step


def returns(before: int, closed_at: dt.datetime, now: dt.datetime) -> int:
    """How often a cause has returned, if it was closed at `closed_at` after `before` returns and is met `now`."""
    return before + 1 if now - closed_at < LONGEST_SILENCE else 0


def calm(returned: int) -> dt.timedelta:
    """How long an incident must have been well before it is over."""
    return dt.timedelta(0) if returned == 0 else min(dt.timedelta(hours=2 ** min(returned - 1, 10)), LONGEST_CALM)


def is_later(key: PartitionKey | None, parts: Sequence[str | None]) -> bool:
    """Whether the partition `key` comes after all of `parts`; of tasks that have no partition, any run does."""
    keys = [part for part in parts if part is not None]
    return key > max(keys) if keys and key is not None else not keys
