"""Reference tables of a feed (prices, shops, holidays), and the stamps under which their versions land.

A reference lands when it changes. The name of its folder, the stamp, says since when the version has been known: a
day, which begins at the calendar's midnight, or an instant in UTC. A correction of a version has a number behind it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from evergreen.core.definition.calendar import YEARS
from evergreen.core.definition.sections import Section
from evergreen.core.definition.tasks import ColumnType
from evergreen.core.text import plain
from evergreen.errors import BadInputError

if TYPE_CHECKING:
    from evergreen.core.definition.calendar import Calendar

FOLDER = "references"
"""Folder of a feed in the landing zone: landing/<feed>/references/<name>/<stamp>/<name>.parquet"""
STAMP = "YYYY-MM-DD, or YYYY-MM-DDTHH, ...THHMM or ...THHMMSS in UTC; a correction of it has .2, .3, ... behind it"
_PATTERN = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2})(\d{2})?(\d{2})?)?(?:\.([1-9]\d{0,3}))?")


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


V = TypeVar("V")


class ReferenceSection(Section):
    """A table beside the feed that lands when it changes (docs/what-features-may-read.md)."""

    columns: dict[str, ColumnType] = Field(min_length=1)
    """Type of each column, as of the feed's tables; a landed version has all. Others are unread."""
    key: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(min_length=1)
    """Column, or list of columns, that name a row; unique in a version (for each `valid_from`, if there is one)."""
    valid_from: str | None = None
    """Timestamp column: since when a row is valid, until the next row of its key. Left out, all rows always are."""

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        strangers = [name for name in (*self.key, self.valid_from) if name is not None and name not in self.columns]
        if strangers:
            raise ValueError(f"key or valid_from names {', '.join(strangers)}, which is no column of the reference")
        if len(set(self.key)) < len(self.key) or self.valid_from in self.key:
            raise ValueError("name each column of the key once, and valid_from apart from them")
        if self.valid_from is not None and self.columns[self.valid_from] != "timestamp":
            raise ValueError(f"valid_from column {self.valid_from!r} must have type timestamp")
        return self


class Stamp(NamedTuple):
    """What a stamp says. Stamps sort by when their versions were known, corrections after what they correct."""

    known_from: dt.datetime
    revision: int
    text: str


def newest_known(
    found: Iterable[V], instant: dt.datetime, stamp_of: Callable[[V], tuple[dt.datetime, int, str]]
) -> V | None:
    """The version that was the newest at `instant`; None if none was known by then. Pure.

    Args:
        found: versions of one reference, in any order.
        instant: aware.
        stamp_of: since when a version has been known, its number among the corrections, and its stamp.
    """
    known = (version for version in found if stamp_of(version)[0] <= instant)
    return max(known, key=stamp_of, default=None)


def read_stamp(calendar: Calendar, text: str) -> Stamp:
    """What the stamp `text` says.

    Raises:
        BadInputError: it is none.
    """
    found = _PATTERN.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        day, revision = dt.date.fromisoformat(found[1]), int(found[5] or 1)
        if not YEARS[0] <= day.year <= YEARS[1] or (found[5] and revision == 1):
            raise ValueError
        if found[2] is None:
            return Stamp(calendar.midnight(day), revision, text)
        hour, minute, second = (int(part or 0) for part in found.group(2, 3, 4))
        clock = dt.time(hour, minute, second)
    except ValueError:
        raise BadInputError(f"{plain(text, 60)} is no stamp of a reference: write {STAMP}") from None
    return Stamp(dt.datetime.combine(day, clock, dt.UTC), revision, text)
