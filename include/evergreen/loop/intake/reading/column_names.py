"""Are a file's columns the definition's? The same rules for Parquet and CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from evergreen.core.definition.model import ColumnType
from evergreen.core.text import plain
from evergreen.loop.intake.failures import Failure, UnfitFileError, unfit
from evergreen.loop.intake.limits import Limits

_MARKUP = frozenset('<>{}`"\\;')
_SHOWN = 8


def check_names(names: Sequence[str], columns: Mapping[str, ColumnType], limits: Limits) -> None:
    """Every column of the definition is there once, and no name is dangerous to show or to store.

    Raises:
        UnfitFileError: with a failure for each kind of fault.
    """
    failures = [
        f for f in (_too_many(names, limits), _hostile(names, limits), _twice(names), _missing(names, columns)) if f
    ]
    if failures:
        raise UnfitFileError(*failures)


def too_long(length: int, limits: Limits, column: str) -> Failure:
    """A text value of `length` bytes is longer than a value may be."""
    sentence = f"{plain(column)}: a text value is {length:,} bytes long; the longest allowed is {limits.value_bytes:,}"
    return unfit(
        "value_length", sentence, observed=str(length), expected=f"at most {limits.value_bytes}", column=column
    )


def _too_many(names: Sequence[str], limits: Limits) -> Failure | None:
    if len(names) <= limits.columns:
        return None
    return unfit(
        "column_count",
        f"the file has {len(names):,} columns; a table may have {limits.columns:,}",
        observed=str(len(names)),
        expected=f"at most {limits.columns}",
    )


def _hostile(names: Sequence[str], limits: Limits) -> Failure | None:
    bad = [n for n in names if len(n) > limits.name_chars or not _harmless(n)]
    if not bad:
        return None
    shown = ", ".join(f"'{plain(n, 40)}'" for n in bad[:_SHOWN])
    return unfit(
        "column_names",
        f"column names must begin with a letter or digit and hold no control, markup or formula signs: {shown}",
        observed=shown,
    )


def _harmless(name: str) -> bool:
    """Whether a name, of any script, can be no formula, path, option, tag or control sequence where it is shown."""
    return name[:1].replace("_", "a").isalnum() and name.isprintable() and _MARKUP.isdisjoint(name)


def _twice(names: Sequence[str]) -> Failure | None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if not twice:
        return None
    shown = ", ".join(plain(n, 40) for n in twice[:_SHOWN])
    return unfit("columns_once", f"columns stand in the file more than once: {shown}", observed=shown)


def _missing(names: Sequence[str], columns: Mapping[str, ColumnType]) -> Failure | None:
    missing = [name for name in columns if name not in names]
    if not missing:
        return None
    extra = [f"'{plain(name, 40)}'" for name in names if name not in columns]
    instead = f"; the file has these that are not expected: {_list(extra)}" if extra else ""
    sentence = f"{'column is' if len(missing) == 1 else 'columns are'} missing: {_list(missing)}{instead}"
    return unfit("columns_present", sentence, observed=_list(extra), expected=_list(missing))


def _list(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
