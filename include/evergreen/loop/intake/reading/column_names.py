"""Are a file's columns the definition's? The same rules for Parquet and CSV.

Columns that the definition does not name are never a reason to refuse a file, whatever they are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from evergreen.core.definition.model import ColumnType
from evergreen.core.text import plain
from evergreen.loop.intake.failures import Failure, UnfitFileError, unfit
from evergreen.loop.intake.limits import Limits

_MARKUP = frozenset('<>{}`"\\;')
_SHOWN = 8


def find_columns(names: Sequence[str], columns: Mapping[str, ColumnType], limits: Limits) -> dict[str, int]:
    """Position in the file of each column of the definition.

    A column is found by its name or, if the file has none of exactly this name, by its name with blanks around it.

    Raises:
        UnfitFileError: with a failure for each kind of fault: a column is missing, is there twice, or cannot be named.
    """
    exact, trimmed = _places(names), _places([name.strip() for name in names])
    found = {name: exact.get(name) or trimmed.get(name) or [] for name in columns}
    # Too many columns are a fault of the whole file; the other rules are about those that are needed.
    checks = (_too_many(names, limits), _hostile(list(columns), limits), _twice(found), _missing(names, found))
    failures = [failure for failure in checks if failure]
    if failures:
        raise UnfitFileError(*failures)
    return {name: places[0] for name, places in found.items()}


def broken_rule(name: str, limits: Limits) -> str | None:
    """Which rule for names `name` breaks, in words, or None if it can be used.

    A name that can be used, of any script, is no formula, path, option, tag or control sequence where it is shown.
    """
    if not name.strip():
        return "it has no name"
    if len(name) > limits.name_chars:
        return f"its name has {len(name):,} characters; {limits.name_chars} are allowed"
    odd = next((char for char in name if not char.isprintable()), None)
    if odd is not None:
        return f"its name holds the control character \\u{ord(odd):04x}"
    if name != name.strip():
        return "its name begins or ends with a blank"
    if not name[0].replace("_", "a").isalnum():
        return f"its name begins with '{name[0]}', not with a letter or digit"
    odd = next((char for char in name if char in _MARKUP), None)
    return f"its name holds the sign '{odd}'" if odd else None


def too_long(length: int, limits: Limits, column: str) -> Failure:
    """A text value of `length` bytes is longer than a value may be."""
    sentence = f"{plain(column)}: a text value is {length:,} bytes long; the longest allowed is {limits.value_bytes:,}"
    return unfit(
        "value_length", sentence, observed=str(length), expected=f"at most {limits.value_bytes}", column=column
    )


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return found


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
    bad = [name for name in names if not _harmless(name, limits)]
    if not bad:
        return None
    shown = ", ".join(f"'{plain(name, 40)}' ({broken_rule(name, limits)})" for name in bad[:_SHOWN])
    return unfit(
        "column_names",
        f"column names must begin with a letter or digit and hold no control, markup or formula signs: {shown}",
        observed=shown,
    )


def _harmless(name: str, limits: Limits) -> bool:
    """As `broken_rule`; a definition of earlier days may name a column with a blank at its end."""
    return broken_rule(name.rstrip(" "), limits) is None


def _twice(found: Mapping[str, Sequence[int]]) -> Failure | None:
    twice = [name for name, places in found.items() if len(places) > 1]
    if not twice:
        return None
    shown = ", ".join(plain(name, 40) for name in twice[:_SHOWN])
    return unfit("columns_once", f"columns stand in the file more than once: {shown}", observed=shown)


def _missing(names: Sequence[str], found: Mapping[str, Sequence[int]]) -> Failure | None:
    missing = [name for name, places in found.items() if not places]
    if not missing:
        return None
    extra = [f"'{plain(name, 40)}'" for name in names if name not in found]
    instead = f"; the file has these that are not expected: {_list(extra)}" if extra else ""
    sentence = f"{'column is' if len(missing) == 1 else 'columns are'} missing: {_list(missing)}{instead}"
    return unfit("columns_present", sentence, observed=_list(extra), expected=_list(missing))


def repeated(names: Sequence[str]) -> set[str]:
    """Names that stand more than once in `names`."""
    return {name for name, count in Counter(names).items() if count > 1}


def _list(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
