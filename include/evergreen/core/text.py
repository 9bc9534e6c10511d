"""How values, shares and lists are written for people."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

MOST_SAID = 2_000
"""Characters of a person's reason"""


def share(count: int, total: int) -> str:
    """'27 of 6,114 (0.44 %)'."""
    percent = 100 * count / total if total else 0.0
    digits = 0 if percent >= 10 or percent == 0 else min(6, 1 - math.floor(math.log10(percent)))
    shown = f"{percent:.{digits}f}"
    if count < total and float(shown) >= 100:
        shown = "over 99"
    return f"{count:,} of {total:,} ({shown} %)"


def plain(value: object, length: int = 60) -> str:
    """`value` on one line, with every character escaped that could hide or break something, cut to `length`."""
    text = value if isinstance(value, str) else str(value)
    cut = text[:length]
    escaped = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in cut)
    return escaped + ("..." if len(text) > length else "")


def said(text: str) -> str:
    """What a person typed, as it is recorded: on one line, escaped as by `plain`, at most `MOST_SAID` characters."""
    return plain(" ".join(text.split()), MOST_SAID)


def quoted(value: object) -> str:
    """`value` as a sample is shown: text in quotes, numbers plainly, a missing value as the word."""
    if value is None or value != value or str(value) in ("<NA>", "NaT"):
        return "missing"
    if isinstance(value, str):
        return f"'{plain(value)}'"
    return f"{value:.6g}" if isinstance(value, float) else plain(value)


def quoted_name(text: str) -> str:
    """A category in quotes, cut after 40 characters; what cannot be printed is escaped: it comes from the data."""
    return f"'{plain(text[:40])}…'" if len(text) > 40 else f"'{plain(text)}'"


def number(value: float) -> str:
    """Four significant digits, without an exponent if there need be none."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def percent(share: float) -> str:
    """0.0514 -> '5.1 %'."""
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def fixed_percent(part: float, digits: int = 1) -> str:
    """0.041 -> '4.1 %', whatever its size: as numbers are written that are compared with each other."""
    return f"{100 * part:.{digits}f} %"


def p_value(p: float) -> str:
    """A p-value with the precision it deserves."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """'a, b and c'; the ones beyond `most` are counted."""
    shown = [*names[:most]] + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def span(length: dt.timedelta) -> str:
    """'45 s', '90 min', '7.5 h' or '3 days'."""
    seconds = length.total_seconds()
    for unit, name, limit in ((1, "s", 120), (60, "min", 7200), (3600, "h", 3 * 86400)):
        if seconds < limit:
            return f"{round(seconds / unit, 1):g} {name}"
    return f"{round(seconds / 86400, 1):g} days"
