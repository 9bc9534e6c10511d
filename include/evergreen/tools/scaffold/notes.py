"""One thing that a person should know of what was chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A sentence about one choice.

    Attributes:
        about: `task`, `row`, `calendar`, `column`, `missing` or `leak`: the line of the summary that it belongs to.
        text: what was seen, what follows from it, and how to say otherwise.
        columns: the columns that it is about.
    """

    about: str
    text: str
    columns: tuple[str, ...] = ()
