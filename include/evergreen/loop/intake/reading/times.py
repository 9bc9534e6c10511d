"""Times in text: those that can mean one instant only are read; of others it is said how to convert them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
_ZONED = r":.*([Zz]|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)$"
"""A time of day, and a zone behind it"""
_ISO = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.,][0-9]{{1,9}})?)?{_ZONE})?$"
"""What `pandas` reads as it stands"""
_WRITTEN = (
    r"^[0-9]{4}(-[0-9]{1,2}-|/[0-9]{1,2}/)[0-9]{1,2}"
    r"([Tt ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)? ?(Z|z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
)
"""As warehouses write instants: PostgreSQL (+00), BigQuery (UTC), Snowflake (blank and +0000), Spark, spreadsheets"""
_TO_ISO = (
    (r"^([0-9]{4})/([0-9]{1,2})/", r"\1-\2-"),
    (r"^([0-9]{4})-([0-9])-", r"\1-0\2-"),
    (r"^([0-9]{4}-[0-9]{2})-([0-9])($|[Tt ])", r"\1-0\2\3"),
    (r"[Tt ]([0-9]):", r" 0\1:"),
    (r"^(.{10})t", r"\1T"),
    (r" ?(z|UTC|GMT)$", "Z"),
    (r"([0-9]) ([+-]|Z)", r"\1\2"),
    (r"(:[0-9.,]+[+-][0-9]{2})$", r"\1:00"),
)
"""Regular expression -> what it becomes, one after the other, until the text is as `_ISO` says"""
EXPECTED = "a timestamp such as 2013-01-07T06:00:00Z"


def parse(texts: pa.Array, form: str | None = None) -> pa.Array:
    """Instants in microseconds, UTC, of trimmed `texts`; null for those that are none.

    `form` is a strptime format. Without it ISO 8601 is read, and what differs from it only in how the same is spelt.
    """
    if form is not None:
        instants = pd.to_datetime(_series(texts), format=form, utc=True, errors="coerce")
        return pa.array(instants.dt.as_unit("us"))
    plain_iso = pc.match_substring_regex(texts, _ISO)
    if not pc.all(plain_iso).as_py():
        written = pc.match_substring_regex(texts, _WRITTEN)
        texts = pc.if_else(written, texts, pa.scalar(None, pa.string()))
        for pattern, better in _TO_ISO:
            texts = pc.replace_substring_regex(texts, pattern, better)
    instants = pd.to_datetime(_series(texts), format="ISO8601", utc=True, errors="coerce")
    return pa.array(instants.dt.as_unit("us"))


def without_zone(texts: pa.Array, form: str | None = None) -> pa.Array:
    """Whether each of trimmed `texts`, which `parse` reads by the same `form`, says no zone; false for null."""
    if form is not None:
        return pa.array(np.full(len(texts), not re.search(r"(?<!%)(%%)*%[zZ]", form)))
    return pc.fill_null(pc.invert(pc.match_substring_regex(texts, _ZONED)), False)


def without_time_of_day(texts: pa.Array, form: str | None = None) -> pa.Array:
    """Whether each of trimmed `texts`, which `parse` reads by the same `form`, is a date; false for null."""
    if form is not None:
        return pa.array(np.full(len(texts), not re.search(r"(?<!%)(%%)*%[HIMSfpcXTRrs]", form)))
    return pc.fill_null(pc.invert(pc.match_substring(texts, ":")), False)


def _series(texts: pa.Array) -> pd.Series:
    return pd.Series(texts.to_pandas(), dtype=object)


def advice(name: str, wrong: Sequence[str], *, all_rows: bool, in_text: bool = True) -> str:
    """What to do about times of the column `name` that are not read; empty if that depends on what they mean.

    `wrong` are these values, each once (some thousand are enough). `all_rows`: there are no others, so that one format
    reads them all. `in_text`: of a text file, for which a format can be declared.
    """
    guess = _line_for(name, wrong) if wrong else None
    if guess is None:
        return (
            "if they are times, convert them in the code that writes the file; if not, name the column of the event's "
            "time: a row needs one"
            if all_rows
            else ""
        )
    line, forms = guess
    if not forms or not in_text:
        return f"convert them before: {line}"
    if not all_rows:
        return f"other rows are written otherwise: correct these at their source, or convert them: {line}"
    first = "day" if len(forms) > 1 and forms[1].index("%d") < forms[1].index("%m") else "month"
    other = f"; '{forms[1]}' reads all of them too, if the {first} stands first" if len(forms) > 1 else ""
    return (
        f"declare the format (--time-format '{forms[0]}' of `evergreen new`, feed.csv.time_format in model.yaml"
        f"{other}), or convert them before: {line}"
    )


_EPOCHS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
"""Digits of an instant of these years, counted from 1970 -> the unit"""
_DIGITS = {8: ("%Y%m%d",), 7: ("%Y%j",), 6: ("%Y%m", "%m%d%y", "%d%m%y"), 4: ("%Y",)}
"""Formats of so many digits at most: the zero that a month began with may be lost"""
_QUARTER = r"^[0-9]{4}[ -]?[Qq][1-4]$"


def _line_for(name: str, wrong: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """A line of Python that converts times like `wrong`, and the strptime formats that read all of them."""
    column, text = f"df[{name!r}]", wrong[0]
    values = pa.array(wrong, pa.string())
    if pc.all(pc.match_substring_regex(values, r"^-?[0-9]+(\.[0-9]*)?$")).as_py():
        return _line_for_numbers(column, wrong)
    if pc.all(pc.match_substring_regex(values, _QUARTER)).as_py():
        bare = f"{column}.str.replace('[ -]', '', regex=True)"
        return f"{column} = pd.PeriodIndex({bare}, freq='Q').to_timestamp()", ()
    forms = _formats_of(text, wrong)
    return (f"{column} = pd.to_datetime({column}, format={forms[0]!r}, utc=True)", forms) if forms else None


def _line_for_numbers(column: str, wrong: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    digits = {len(text.lstrip("-").partition(".")[0]) for text in wrong}
    unit = _EPOCHS.get(max(digits))
    if unit:
        return f"{column} = pd.to_datetime({column}, unit={unit!r}, utc=True)", ()
    if digits == {5}:
        return f"{column} = pd.to_datetime({column}, unit='D', origin='1899-12-30', utc=True)", ()
    if any("." in text.rstrip("0").rstrip(".") for text in wrong):
        return None
    likely = _DIGITS.get(max(digits), ())
    found = [form for form in likely if _reads(form, wrong) and _is_an_age(form, wrong)]
    forms = tuple(found[:1] + [form for form in found[1:] if _exchanged(form) == found[0]])
    if forms:
        return f"{column} = pd.to_datetime({column}.astype(str), format={forms[0]!r}, utc=True)", forms
    return None


def _reads(form: str, wrong: Sequence[str]) -> bool:
    return bool(pd.to_datetime(pd.Series(wrong, dtype=object), format=form, errors="coerce").notna().all())


def _is_an_age(form: str, wrong: Sequence[str]) -> bool:
    """Whether the years that `form` finds are such as events have: digits can be read in many ways."""
    years = pd.to_datetime(pd.Series(wrong, dtype=object), format=form, errors="coerce").dt.year
    return bool(years.between(1600, 2200).all())


_CLOCKS = {
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,6}$": " %H:%M:%S.%f",
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2}$": " %H:%M:%S",
    r" [0-9]{1,2}:[0-9]{2}$": " %H:%M",
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2} ?[AaPp][Mm]$": " %I:%M:%S %p",
    r" [0-9]{1,2}:[0-9]{2} ?[AaPp][Mm]$": " %I:%M %p",
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}$": " %H:%M:%S %z",
    r"^[^:]+$": "",
}
_NAMED = [
    form.replace(" ", sign)
    for month in ("%b", "%B")
    for form in (f"%d {month} %Y", f"{month} %d %Y", f"%Y {month} %d", f"{month} %Y", f"%Y {month}")
    for sign in (" ", "-", "/", ".")
]
"""Months by name; the signs between are whatever people write"""
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y",
    "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", *_NAMED, "%d-%b-%y", "%d%b%Y", "%d%b%y", "%b %d, %Y", "%B %d, %Y",
    "%a %b %d %Y", "%A, %B %d, %Y", "%Y%m%d", "%Y-%m", "%Y/%m", "%m/%Y", "%b-%y",
)  # fmt: skip


def _formats_of(text: str, wrong: Sequence[str]) -> tuple[str, ...]:
    """The strptime format that reads all of `wrong`, and the one with day and month exchanged, if that does too."""
    for pattern, clock in _CLOCKS.items():
        if pc.match_substring_regex(pa.scalar(text), pattern).as_py():
            clock = clock.replace(" %p", "%p") if "%p" in clock and " " not in text[-3:] else clock
            fitting = [day + clock for day in _DAYS if _reads(day + clock, [text])]
            whole = [form for form in fitting if _reads(form, wrong)]
            exchanged = [form for form in whole[1:] if _exchanged(form) == whole[0]]
            return tuple(whole[:1] + exchanged)
    return ()


def _exchanged(form: str) -> str:
    return form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
