"""What the first lines of a text file show: that it has no header line, or that blanks separate its columns. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import islice

import pyarrow as pa

from evergreen.core.definition.sections import CsvSection
from evergreen.core.text import plain
from evergreen.loop.intake.reading import times

_BYTES, _LINES = 1 << 18, 200
_ENOUGH = 0.9
"""Share of a column's values that are numbers, or times, from which on it is a column of them"""
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_WHOLE = re.compile(r"[0-9]+")
_DAY_LIKE = re.compile(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}([ T][0-9:.]+)?")
_LEAST_LINES = 2
_SHOWN = 4


def fault_of(names: Sequence[str], text: bytes, form: CsvSection) -> str | None:
    """Why the first line of `text`, read as `names`, is no header, and what to do; None if it may be one."""
    head = text[:_BYTES].decode("utf-8", "ignore")
    if len(names) == 1:
        told = blanks_between(head)
        return told and f"its columns are separated by {told}"
    try:
        rows = list(islice(csv.reader(io.StringIO(head), delimiter=form.delimiter), 1, _LINES + 1))
    except csv.Error:
        return None
    rows = [row for row in rows if len(row) == len(names)]
    if len(rows) < _LEAST_LINES or not _are_values(names, rows):
        return None
    shown = ", ".join(repr(plain(name, 24)) for name in names[:_SHOWN])
    return (
        f"the first line holds values ({shown}{', ...' if len(names) > _SHOWN else ''}) and no names of columns; "
        f"write a line with the {len(names)} names above it, as in "
        f"sed '1i NAME{form.delimiter}NAME{form.delimiter}...' FILE > NEW.csv"
    )


def _are_values(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each column of numbers or times is called like one of its values, and not by years or running numbers."""
    typed = []
    for place, name in enumerate(names):
        kind = _kind([row[place].strip() for row in rows])
        if kind is None:
            continue
        if _kind([name.strip()]) != kind:
            return False
        typed.append(name.strip())
    if not typed:
        return False
    whole = all(_WHOLE.fullmatch(name) for name in typed)
    counted = [int(name) for name in typed] if whole else []
    # Wide tables are headed by years, months or bins: whole numbers that only grow.
    return not whole or counted != sorted(set(counted)) or (len(counted) == 1 and len(names) > 1 and not _year(counted))


def _year(numbers: Sequence[int]) -> bool:
    return 1500 <= numbers[0] <= 2200


def _kind(values: Sequence[str]) -> str | None:
    """`number` or `time`, if nearly all `values` that are there are such; None for text, or if there are none."""
    known = [value for value in values if value and value.lower() not in ("na", "nan", "null", "none")]
    if not known:
        return None
    if sum(bool(_NUMBER.fullmatch(value)) for value in known) >= _ENOUGH * len(known):
        return "number"
    read = pa.array(known, pa.string())
    times_ = len(known) - times.parse(read).null_count
    if max(times_, sum(bool(_DAY_LIKE.fullmatch(value)) for value in known)) >= _ENOUGH * len(known):
        return "time"
    return None


def blanks_between(head: str) -> str | None:
    """What to do about lines whose fields are separated by blanks; None if they are not."""
    lines = [line for line in head.splitlines()[: _LINES + 1] if line.strip()]
    if len(lines) <= _LEAST_LINES:
        return None
    fields = [len(line.split()) for line in lines]
    if min(fields) > 1 and len(set(fields[:-1])) == 1:
        return r"blanks: write them with commas: pd.read_csv(FILE, sep=r'\s+').to_csv('NEW.csv', index=False)"
    wide = [len(re.split(r"\s{2,}", line.strip())) for line in lines]
    if min(wide) > 1:
        return "blanks up to fixed places: write them with commas: pd.read_fwf(FILE).to_csv('NEW.csv', index=False)"
    return None
