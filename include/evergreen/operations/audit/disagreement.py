"""What an audit says: two places that should agree and do not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Disagreement:
    """One of them, in sentences.

    Attributes:
        area: partitions | features | references | predictions | labels | champion | mails | leftovers | runs.
        about: what it is about, such as `inputs of 2013-02-04, version 2`.
        what: what disagrees with what.
        fix: what to do about it.
        since: when the newer of the two came to be (UTC); None if nobody knows. What is younger than a few minutes
            may still be worked on.
    """

    area: str
    about: str
    what: str
    fix: str
    since: dt.datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "area": self.area,
            "about": self.about,
            "what": self.what,
            "fix": self.fix,
            "since": self.since.isoformat() if self.since else None,
        }


def by(rows: Iterable[Row], *columns: str) -> dict[Any, list[Row]]:
    """The rows by the value of a column (by a tuple of several), in their order."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        values = tuple(row[column] for column in columns)
        found.setdefault(values[0] if len(values) == 1 else values, []).append(row)
    return found
