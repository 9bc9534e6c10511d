"""What identifiers and codes look like: which characters, in which places. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_PARTS = re.compile(r"([0-9A-Za-z]+)")
_SEPARATORS = frozenset("-_./: ")
_CLASSES = (("0-9", str.isdigit), ("A-Z", str.isupper), ("a-z", str.islower))
_MOST_PARTS = 8
_LONGEST = 40


@dataclass(frozen=True)
class Part:
    """Letters and digits between two separators."""

    classes: frozenset[str]
    """Of 0-9, A-Z, a-z"""
    shortest: int
    longest: int


@dataclass(frozen=True)
class Shape:
    """What all values have in common: the same separators, with letters and digits between them."""

    parts: tuple[Part, ...]
    separators: tuple[str, ...]
    """One more than parts: before the first, between them, after the last; most are empty at the ends"""

    @property
    def kind(self) -> tuple[tuple[frozenset[str], ...], tuple[str, ...]]:
        """The shape without the lengths."""
        return tuple(part.classes for part in self.parts), self.separators

    @property
    def regex(self) -> str:
        """A regular expression of values of this shape; lengths that differ have room for one more and one less."""
        return self._regex(open_ended=False)

    @property
    def growing_regex(self) -> str:
        """The same for running numbers: digits of more than one length may become longer."""
        return self._regex(open_ended=True)

    def _regex(self, *, open_ended: bool) -> str:
        text = re.escape(self.separators[0])
        for part, separator in zip(self.parts, self.separators[1:], strict=True):
            grows = open_ended and part.classes == {"0-9"} and part.shortest < part.longest
            times = "+" if grows else _times(part)
            text += f"[{''.join(sorted(part.classes))}]{times}{re.escape(separator)}"
        # re.escape guards characters that mean nothing outside of a class.
        return "^" + text.replace(r"\-", "-").replace(r"\ ", " ") + "$"


def _times(part: Part) -> str:
    if part.longest > _LONGEST:
        return "+"
    if part.shortest == part.longest:
        return "" if part.longest == 1 else f"{{{part.longest}}}"
    return f"{{{max(1, part.shortest - 1)},{part.longest + 1}}}"


def shape_of(values: Iterable[str]) -> Shape | None:
    """The shape that all of `values` have; None if they have none in common, or there are no values."""
    found: Shape | None = None
    for value in values:
        own = _shape(value)
        if own is None:
            return None
        found = own if found is None else merged(found, own)
        if found is None:
            return None
    return found


def merged(one: Shape | None, other: Shape | None) -> Shape | None:
    """What the values of both have in common."""
    if one is None or other is None or one.separators != other.separators:
        return None
    if one == other:
        return one
    parts = zip(one.parts, other.parts, strict=True)
    return replace(one, parts=tuple(_both(a, b) for a, b in parts))


def _both(one: Part, other: Part) -> Part:
    return Part(one.classes | other.classes, min(one.shortest, other.shortest), max(one.longest, other.longest))


def _shape(value: str) -> Shape | None:
    pieces = _PARTS.split(value)
    words, separators = pieces[1::2], pieces[::2]
    if not words or len(words) > _MOST_PARTS or not _SEPARATORS.issuperset("".join(separators)):
        return None
    return Shape(tuple(_part(word) for word in words), tuple(separators))


def _part(word: str) -> Part:
    return Part(frozenset(name for name, holds in _CLASSES if any(map(holds, word))), len(word), len(word))
