"""Times in text: those that can mean one instant only are read; of others it is said how to convert them."""

from __future__ import annotations

import re

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


def advice(name: str, wrong: list[str], *, all_rows: bool, in_text: bool = True) -> str:
    """What to do about times of the column `name` that are not read; empty if that depends on what they mean.

    `all_rows`: every row is like the samples `wrong`, so that one format reads them all. `in_text`: of a text file, for
    which a format can be declared.
    """
    guess = _line_for(name, wrong[0]) if wrong else None
    if guess is None:
        return ""
    line, form = guess
    if form is None or not in_text:
        return f"convert them before: {line}"
    if not all_rows:
        return f"other rows are written otherwise: correct these at their source, or convert them: {line}"
    return (
        f"declare the format (--time-format '{form}' of `evergreen new`, feed.csv.time_format in model.yaml), or "
        f"convert them before: {line}"
    )


_EPOCHS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
"""Digits of an instant of these years, counted from 1970 -> the unit"""


def _line_for(name: str, text: str) -> tuple[str, str | None] | None:
    """A line of Python that converts times like `text`, and their strptime format if they have one."""
    column = f"df[{name!r}]"
    whole = pa.scalar(text)
    if pc.match_substring_regex(whole, r"^-?[0-9]+(\.[0-9]*)?$").as_py():
        digits = text.lstrip("-").partition(".")[0]
        unit = _EPOCHS.get(len(digits))
        if unit:
            return f"{column} = pd.to_datetime({column}, unit={unit!r}, utc=True)", None
        if len(digits) == 8 and "." not in text:
            return f"{column} = pd.to_datetime({column}.astype(str), format='%Y%m%d', utc=True)", "%Y%m%d"
        if len(digits) == 5:
            return f"{column} = pd.to_datetime({column}, unit='D', origin='1899-12-30', utc=True)", None
        return None
    form = _format_of(text)
    return (f"{column} = pd.to_datetime({column}, format={form!r}, utc=True)", form) if form else None


_CLOCKS = {
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,6}$": " %H:%M:%S.%f",
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2}$": " %H:%M:%S",
    r" [0-9]{1,2}:[0-9]{2}$": " %H:%M",
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2} ?[AaPp][Mm]$": " %I:%M:%S %p",
    r" [0-9]{1,2}:[0-9]{2} ?[AaPp][Mm]$": " %I:%M %p",
    r" [0-9]{1,2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}$": " %H:%M:%S %z",
    r"^[^ :]+$": "",
}
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y",
    "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d%b%Y", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%Y%m%d",
)  # fmt: skip


def _format_of(text: str) -> str | None:
    """The strptime format of `text`; of two that fit, the day comes first, and the caller must know better."""
    for pattern, clock in _CLOCKS.items():
        if pc.match_substring_regex(pa.scalar(text), pattern).as_py():
            clock = clock.replace(" %p", "%p") if "%p" in clock and " " not in text[-3:] else clock
            for day in _DAYS:
                if pd.notna(pd.to_datetime(text, format=day + clock, errors="coerce")):
                    return day + clock
    return None
