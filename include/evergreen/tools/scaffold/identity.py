"""Which column names a row, or which columns together do. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from evergreen.core.definition.calendar import Unit
from evergreen.core.definition.local_days import UTC
from evergreen.core.definition.made import CONTENT, ROW_ID
from evergreen.core.definition.model import RESERVED, ColumnType
from evergreen.core.text import share
from evergreen.errors import BadInputError
from evergreen.tools.scaffold.notes import Note
from evergreen.tools.scaffold.periods import UNITS, first_days

_NAMED = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|key|pk|identifier)([^a-z]|$)|[a-z](Id|ID|Key)$", re.IGNORECASE)
_NUMBERED = re.compile(r"(^|[^a-z])(no|nr|num|number|code|ref|reference|index|row|rownames|record|unnamed|#|№)", re.I)
_MADE = "inputs and labels both land these columns; the id is made of them when they do"
MOST_TWICE = 0.05
"""Share of rows that are copies of others up to which a file is taken to have some by mistake"""
MOST_IN_DOUBT = 0.02
"""Share of rows that may share a name, if no columns name all of them"""
_MOST_PARTS = 5
_MOST_COLUMNS = 14
"""Columns that are tried in pairs and triples: 14 make 91 and 364"""
_LOOK_FIRST = 20_000
"""Rows on which a set is tried before all of them"""


@dataclass(frozen=True)
class Identity:
    """What names a row.

    Attributes:
        column: the entity.
        parts: columns that it is made of; empty if it is a column of the file, or the row's content.
        why: the reason, a few words.
        notes: what else is to be said.
        twice: rows that share a name with another one: copies, or a few that no columns tell apart.
    """

    column: str
    parts: tuple[str, ...]
    why: str
    notes: tuple[Note, ...] = ()
    twice: int = 0

    @property
    def content(self) -> bool:
        """Whether nothing names a row but all that it says."""
        return self.column == ROW_ID and not self.parts


@dataclass(frozen=True)
class Rows:
    """A file's rows, as far as naming them is concerned.

    Attributes:
        types: column -> its type.
        frame: the rows.
        time: the event time's column.
        known: columns known when a prediction is needed.
        odd: columns of text that are numbers or dates in other spellings: values, not names.
        zone: time zone of the days.
    """

    types: Mapping[str, ColumnType]
    frame: pd.DataFrame
    time: str
    known: Sequence[str]
    odd: Collection[str] = ()
    zone: str = UTC

    @property
    def single(self) -> list[str]:
        """Columns that may name a row alone."""
        return [n for n in self.known if self.types[n] in ("string", "integer") and n not in RESERVED]


def choose(rows: Rows, asked: Sequence[str], unit: Unit) -> Identity:
    """The identity of `rows`: the columns `asked` for or, if none are, those that fit best.

    Raises:
        BadInputError: the columns asked for do not name a row within a partition (a period of `unit`), or none do.
    """
    doubled = rows.frame.duplicated()
    if doubled.any() and doubled.mean() <= MOST_TWICE:
        once = choose(replace(rows, frame=rows.frame[~doubled].reset_index(drop=True)), asked, unit)
        if once.content:
            return replace(once, notes=(Note("row", _none(rows)),))
        text = (
            f"{share(int(doubled.sum()), len(doubled))} rows are the same as an earlier one in every column: they "
            "alone go to quarantine (max_bad_rows in model.yaml)"
        )
        return replace(once, notes=(*once.notes, Note("row", text)), twice=once.twice + int(doubled.sum()))
    if asked:
        return _asked(rows, asked, unit)
    found = _best(rows)
    if found:
        return Identity(found, (), _reason(rows, found))
    parts = smallest(rows)
    if parts:
        why = f"{_and(parts)} together: no column alone is unique, and these are"
        if len(parts) == 1:
            why = f"{parts[0]} alone is unique"
        text = f"{_MADE}. Other columns: --id COL --id COL"
        return Identity(ROW_ID, parts, why, (Note("row", text, parts),))
    nearly = _nearly(rows)
    if nearly:
        return nearly
    number = next((n for n in rows.single if _is_unique(rows, n)), None)
    if number:
        text = f"{number} is the only column that is unique, and may be a measurement: name another with --id, if so"
        return Identity(number, (), "the only column that is unique", (Note("row", text, (number,)),))
    return Identity(ROW_ID, (), "its content: no few columns are unique", (Note("row", _none(rows)),))


def repeats(values: pd.Series | pd.DataFrame, partitions: pd.Series) -> int:
    """Rows that name what an earlier row of their partition names."""
    frame = values.to_frame() if isinstance(values, pd.Series) else values
    return int(frame.assign(__partition=partitions.to_numpy()).duplicated().sum())


def _asked(rows: Rows, names: Sequence[str], unit: Unit) -> Identity:
    if tuple(names) == (CONTENT,) and CONTENT not in rows.types:
        return Identity(ROW_ID, (), "its content, as asked")
    alone = len(names) == 1 and names[0] != rows.time
    return _asked_alone(rows, names[0], unit) if alone else _asked_together(rows, names, unit)


def _asked_alone(rows: Rows, name: str, unit: Unit) -> Identity:
    if name not in rows.single:
        raise BadInputError(f"--entity {name!r}: name a column of text or whole numbers: {', '.join(rows.single)}")
    values, times = rows.frame[name], rows.frame[rows.time]
    if values.isna().any():
        raise BadInputError(f"--entity {name!r} is missing in {values.isna().sum():,} rows")
    again = repeats(values, first_days(times, unit, rows.zone))
    if not again:
        return Identity(name, (), "as asked")
    ways = []
    parts = smallest(rows, first=name)
    if parts:
        ways.append(f"{_and(parts)} together are unique: {_options(parts)}")
    shorter = [u for u in UNITS[: UNITS.index(unit)] if not repeats(values, first_days(times, u, rows.zone))]
    if shorter:
        ways.append(f"with --period {shorter[-1]} {name} is unique too")
    raise BadInputError(
        f"--entity {name!r}: {name} repeats within a partition: {share(again, len(values))} rows name what an earlier "
        f"row of the same {unit} names, and each row of a partition needs a name of its own. "
        + (". Or ".join(ways) or "Name another column, or add one that the producer will land too")
    )


def _asked_together(rows: Rows, names: Sequence[str], unit: Unit) -> Identity:
    fit = [n for n in rows.known if rows.types[n] in ("string", "integer", "boolean") or n == rows.time]
    strangers = [name for name in names if name not in fit]
    if strangers:
        raise BadInputError(
            f"--id {', '.join(strangers)}: an id takes columns of text, whole numbers or times that are known when a "
            f"prediction is needed: {', '.join(fit)}"
        )
    frame = rows.frame[list(names)]
    gaps = {name: int(frame[name].isna().sum()) for name in names if frame[name].isna().any()}
    if gaps:
        raise BadInputError(f"--id: {', '.join(f'{n} is missing in {count:,} rows' for n, count in gaps.items())}")
    again = repeats(frame, first_days(rows.frame[rows.time], unit, rows.zone))
    if again:
        more = smallest(rows, first=names[0])
        raise BadInputError(
            f"--id {' --id '.join(names)}: {_and(names)} together repeat within a partition: "
            f"{share(again, len(frame))} rows; "
            + (f"{_and(more)} together are unique: {_options(more)}" if more else "add a column that tells them apart")
        )
    return Identity(ROW_ID, tuple(names), f"{_and(names)}, as asked", (Note("row", _MADE, tuple(names)),))


def _best(rows: Rows) -> str | None:
    """The unique column that looks most like a name; None if there is none, or only what may be a measurement."""
    scored = [(_likeness(rows, name), name) for name in rows.single if name not in rows.odd and _is_unique(rows, name)]
    likely = [(score, name) for score, name in scored if score > 0]
    return max(likely, key=lambda item: item[0])[1] if likely else None  # the first of the best


def _is_unique(rows: Rows, name: str) -> bool:
    values = rows.frame[name]
    return bool(values.notna().all() and values.is_unique)


def _likeness(rows: Rows, name: str) -> int:
    """How much a unique column looks like a name rather than a measurement; 0: not at all."""
    values = rows.frame[name]
    score = 4 if _NAMED.search(name) else 2 if _NUMBERED.search(name) else 0
    if rows.types[name] == "integer":
        return score + 2 if is_running(values) else score
    text = values.astype(str)
    prose = text.str.len().mean() > 40 or text.str.count(" ").mean() > 1
    return score + (1 if prose else 3)


def is_running(values: pd.Series) -> bool:
    """Whether whole numbers count the rows: each once, and hardly a gap between the smallest and the largest."""
    known = values.dropna()
    if known.empty or not known.is_unique:
        return False
    return int(known.max()) - int(known.min()) + 1 <= 1.02 * len(known) + 1


def _reason(rows: Rows, name: str) -> str:
    score, kind = _likeness(rows, name), rows.types[name]
    if kind == "integer" and is_running(rows.frame[name]):
        return "a running number, unique in every row"
    return "unique in every row, and named like an id" if score >= 4 and _NAMED.search(name) else "unique in every row"


def smallest(rows: Rows, first: str | None = None) -> tuple[str, ...]:
    """The smallest set of columns that is unique together, with `first` in it if that is given; empty if none is.

    The event time and columns that look like names come before numbers. At most `_MOST_COLUMNS` are tried in pairs and
    triples; larger sets are grown by the column that tells most rows apart.
    """
    order = _parts(rows, first)
    if not order:
        return ()
    codes = {n: pd.factorize(rows.frame[n], use_na_sentinel=False)[0].astype(np.int64) for n in order}
    must = [first] if first else []
    rest = [name for name in order if name not in must]
    for size in range(1, 4):
        for more in combinations(rest[:_MOST_COLUMNS], size - len(must)) if size >= len(must) else ():
            chosen = [name for name in order if name in (*must, *more)]
            if _unique_together([codes[name] for name in chosen]):
                return tuple(chosen)
    grown = _grown(codes, must or order[:1], rest)
    return grown if _unique_together([codes[name] for name in grown]) else ()


def _parts(rows: Rows, first: str | None) -> list[str]:
    """Columns that may be part of a name, the likeliest first."""
    ranked = []
    for position, name in enumerate(rows.known):
        kind, values = rows.types[name], rows.frame[name]
        if kind == "float" or name in rows.odd or values.isna().any() or values.nunique() < 2:
            continue
        if kind == "timestamp" and name != rows.time:
            rank = 2
        elif name == rows.time:
            rank = 0
        elif kind == "string" or _NAMED.search(name) or _NUMBERED.search(name):
            rank = 1
        elif kind == "integer" and values.nunique() > len(values) / 2:
            continue  # a measurement: what it says of a row may be corrected, and the row would have another name
        else:
            rank = 3
        ranked.append((rank, position, name))
    found = [name for _, _, name in sorted(ranked)]
    return [first, *(n for n in found if n != first)] if first and first in found else ([] if first else found)


def _unique_together(columns: Sequence[np.ndarray]) -> bool:
    return _distinct([c[:_LOOK_FIRST] for c in columns]) == min(_LOOK_FIRST, len(columns[0])) and _distinct(
        columns
    ) == len(columns[0])


def _distinct(columns: Sequence[np.ndarray]) -> int:
    combined = columns[0]
    for column in columns[1:]:
        combined = pd.factorize(combined)[0].astype(np.int64) * (int(column.max(initial=0)) + 1) + column
    return len(pd.unique(combined))


def _grown(codes: Mapping[str, np.ndarray], start: Sequence[str], rest: Sequence[str]) -> tuple[str, ...]:
    chosen, left = list(start), [name for name in rest if name not in start]
    while left and len(chosen) < _MOST_PARTS:
        best = max(left, key=lambda name: _distinct([codes[c][:_LOOK_FIRST] for c in (*chosen, name)]))
        chosen.append(best)
        left.remove(best)
        if _unique_together([codes[name] for name in chosen]):
            break
    return tuple(chosen)


def _needed(codes: Mapping[str, np.ndarray], parts: Sequence[str]) -> tuple[str, ...]:
    """`parts` without those that tell no row apart."""
    kept = list(parts)
    for name in reversed(parts):
        others = [codes[other] for other in kept if other != name]
        if others and _distinct(others) == _distinct([codes[other] for other in kept]):
            kept.remove(name)
    return tuple(kept)


def _nearly(rows: Rows) -> Identity | None:
    """Columns that together name all rows but a few; None if more than `MOST_IN_DOUBT` share a name."""
    order = _parts(rows, None)
    if not order:
        return None
    codes = {n: pd.factorize(rows.frame[n])[0].astype(np.int64) for n in order}
    parts = _needed(codes, _grown(codes, order[:1], order))
    doubtful = int(rows.frame[list(parts)].duplicated(keep=False).sum())
    if doubtful > MOST_IN_DOUBT * len(rows.frame):
        return None
    text = (
        f"{share(doubtful, len(rows.frame))} rows share their name with another row, which says different things: they "
        "go to quarantine (max_bad_rows in model.yaml). A column that tells them apart would keep them"
    )
    why = f"{_and(parts)}, which nearly always are unique"
    notes = (Note("row", f"{_MADE}. Other columns: --id COL --id COL", parts), Note("row", text))
    return Identity(ROW_ID, parts, why, notes, doubtful)


def _none(rows: Rows) -> str:
    twice = int(rows.frame.duplicated().sum())
    same = f"; {share(twice, len(rows.frame))} rows are the same as an earlier one, and are counted" if twice else ""
    return (
        f"no column of text or whole numbers names each row, and no few of them together do{same}. Labels find their "
        "rows by content: they land all columns of the inputs too. If columns are unique within a partition, name them "
        "with --id"
    )


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _options(parts: Sequence[str]) -> str:
    return " ".join(f"--id {part}" if re.fullmatch(r"[\w.-]+", part) else f"--id '{part}'" for part in parts)
