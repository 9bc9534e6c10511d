"""How far back features look: so many partitions, or so long."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

MOST_PARTITIONS = 53
LONGEST = dt.timedelta(days=3660)


def _read(value: Any) -> int | dt.timedelta:
    """A number of partitions, or a duration; pydantic alone would take 60 for a minute."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= MOST_PARTITIONS:
            raise ValueError(
                f"{value} is not between 0 and {MOST_PARTITIONS} partitions; say how long to look back further, such "
                "as P400D"
            )
        return value
    if isinstance(value, str):
        try:
            value = TypeAdapter(dt.timedelta).validate_python(value)
        except ValidationError:
            value = None
    if not isinstance(value, dt.timedelta):
        raise ValueError("say how many partitions, such as 4, or how long, such as P90D")
    if not dt.timedelta(0) < value <= LONGEST:
        raise ValueError(f"a look-back lasts from PT1S to P{LONGEST.days}D")
    return value


Span = Annotated[int | dt.timedelta, BeforeValidator(_read)]
"""So many partitions (0 to 53), or a duration that reaches back from the begin of the partition"""
