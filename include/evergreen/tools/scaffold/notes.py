"""One thing that a person should know of what was chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A sentence about one choice.

    Attributes:
        about: the line of the summary that it belongs to: `task`, `row`, `calendar`, `training`, `column`, `missing` or
            `leak`.
        text: what was seen, what follows from it, and how to say otherwise.
        columns: the columns that it is about.
    """

    about: str
    text: str
    columns: tuple[str, ...] = ()
