"""What columns mean beside their type: codes, texts that are numbers or dates, numbers that stand for nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd

from evergreen.core.definition.model import RESERVED, ColumnType
from evergreen.core.text import plain, share
from evergreen.tools.scaffold.identity import is_running
from evergreen.tools.scaffold.notes import Note

_SAMPLE = 5
_STRAYS = 0.1
"""Share of values that are no numbers up to which a column of text was probably meant to hold numbers"""
_CODE = re.compile(
    r"(^|[^a-z])(zip|zipcode|postal|postcode|plz|code|station|store|shop|dept|department|type|class|category|cat|sector|"
    r"zone|region|district|branch|product|item|route|line|sku|site|device|sensor|machine|customer|user|account|vendor|"
    r"supplier|plant|warehouse|location|loc|id)([^a-z]|$)|(Id|ID|Code|Type|Class)$",
    re.IGNORECASE,
)
_COUNTS = re.compile(
    r"(^|[^a-z])(cnt|count|counts|qty|quantity|num|nr|no|number|n|hour|hr|minute|day|week|month|year|age|rank|score|rating|"
    r"grade|level|size|amount|price|rooms?|bedrooms?|total|adults|children)([^a-z]|$)",
    re.IGNORECASE,
)
"""Names of what is counted or measured: never codes for having few values alone"""
_ID = re.compile(r"(^|[^a-z])(id|ids|uuid|guid)([^a-z]|$)|[a-z](Id|ID)$", re.IGNORECASE)


def is_called(name: str) -> str | None:
    """`count` if a column of this name holds what is counted or measured, `code` if codes; None if it says neither."""
    return "count" if _COUNTS.search(name) else "code" if _CODE.search(name) else None


_MOST_CODES = 200
"""Different numbers of a column that is called like a code up to which it is taken for one"""
_FEW_CODES = 12
"""The same of any column of whole numbers"""
_EACH = 20
"""Rows of each code on average"""
_RECUR = 0.99
"""Share of the later half's rows whose code the earlier half knows: a year is no code"""
_FAR_LEAST, _FAR_SHARE, _FAR_DISTINCT = 3, 0.001, 5

_SIGN = r"[+\-\u2212]?"
_SPELLINGS: tuple[tuple[str, str], ...] = (
    (rf"{_SIGN}\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?", "numbers with a comma between thousands"),
    (rf"{_SIGN}\d{{1,3}}(?:\.\d{{3}})*,\d+", "numbers written with a decimal comma"),
    (rf"{_SIGN}\d+,\d+", "numbers written with a decimal comma"),
    (rf"{_SIGN}\d{{1,3}}(?:\.\d{{3}}){{2,}}", "numbers with a point between thousands"),
    (rf"{_SIGN}\d{{1,3}}(?:['\u2019\u00a0\u202f ]\d{{3}})+(?:[.,]\d+)?", "numbers with a mark between thousands"),
    (rf"{_SIGN}[\d.,]*\d\s*(?:%|percent|pct)", "numbers with a % sign"),
    (rf"{_SIGN}\s*(?:[$€£¥₹₩]|USD|EUR|GBP|CHF|R\$)\s*{_SIGN}[\d.,' ]*\d", "numbers with a currency sign"),
    (rf"{_SIGN}[\d.,' ]*\d\s*(?:[$€£¥₹₩]|USD|EUR|GBP|CHF)", "numbers with a currency sign"),
    (r"\((?:[$€£¥])?[\d.,]*\d\)", "numbers in brackets, as accountants write what is below zero"),
)
_PLAIN_NUMBER = rf"{_SIGN}\d+(?:\.\d+)?"
_UNIT = re.compile(rf"{_SIGN}\d+(?:[.,]\d+)?\s*([A-Za-z°µ/²³]{{1,12}})")
_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?"
_DATES: tuple[tuple[str, str], ...] = (
    (r"\d{1,2}[/.\-]\d{1,2}[/.\-](?:\d{4}|\d{2})(?:[ T,]+\d{1,2}[:.]\d{2}.*)?", "dates such as {}"),
    (r"\d{4}[/.]\d{1,2}[/.]\d{1,2}(?:[ T,]+\d{1,2}[:.]\d{2}.*)?", "dates such as {}"),
    (r"(?:19|20)\d{2}-\d{1,2}(?:-\d{1,2})?(?:[ T,]+\d{1,2}[:.]\d{2}.*)?", "dates such as {}"),
    (rf"(?:[a-z]{{3,9}},? )?\d{{1,2}}(?:st|nd|rd|th)?[ \-/]?{_MONTHS}[ \-/,]*\d{{2,4}}(?: .*)?", "dates such as {}"),
    (rf"(?:[a-z]{{3,9}},? )?{_MONTHS} ?\d{{1,2}}(?:st|nd|rd|th)?,? ?\d{{2,4}}(?: .*)?", "dates such as {}"),
    (rf"{_MONTHS}[ \-]\d{{2,4}}", "months such as {}"),
    (r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)? ?(?:[ap]\.?m\.?)?", "times of the day such as {}"),
    (r"\d{4}[ -]?[qQ][1-4]|[qQ][1-4][ -]?\d{4}", "quarters such as {}"),
)


@dataclass
class Meaning:
    """What the inputs' columns are to the model.

    Attributes:
        numeric: features that are numbers.
        categorical: features that are text, or codes.
        left_out: column -> why it is no feature; it lands all the same.
        notes: what is to be said of columns.
    """

    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def meaning(
    inputs: Mapping[str, ColumnType], frame: pd.DataFrame, named: Collection[str], time: str, odd: Mapping[str, str]
) -> Meaning:
    """What each of `inputs` is; `named` (the entity, the event time) are nothing to the model, `odd` as `spellings`."""
    found = Meaning()
    ordered = frame.sort_values(time, kind="stable") if len(frame) else frame
    for name, kind in inputs.items():
        if name in named:
            continue
        values = ordered[name]
        reason = odd.get(name) or _no_feature(name, kind, values)
        if reason:
            found.left_out[name] = reason
        elif kind == "string":
            found.categorical.append(name)
        elif kind == "integer" and (codes := _codes(name, values)):
            found.categorical.append(name)
            found.notes.append(Note("column", codes, (name,)))
        else:
            found.numeric.append(name)
        if kind in ("integer", "float") and name not in found.left_out and (far := far_value(name, values)):
            found.notes.append(Note("missing", far, (name,)))
    return found


def _no_feature(name: str, kind: ColumnType, values: pd.Series) -> str | None:
    distinct, known = values.nunique(), int(values.notna().sum())
    if name in RESERVED:
        return "Evergreen has a column of this name; rename it in features.py"
    if kind == "timestamp":
        return "a time; make numbers of it in features.py"
    if not known:
        return "has no value in any row"
    if distinct < 2:
        return "never differs"
    if kind == "string" and distinct > known / 2:
        return f"{distinct:,} different texts in {known:,} rows"
    if kind == "integer" and distinct > _MOST_CODES and _ID.search(name):
        return f"named like an id, {distinct:,} different: as a number it says nothing; count or average by it"
    if kind == "integer" and known > 2 * _EACH and is_running(values):
        return "a running number: it counts the rows, and every later one is new"
    return None


def _codes(name: str, values: pd.Series) -> str | None:
    """Why whole numbers are taken for codes; None if they are not."""
    known = values.dropna()
    distinct, called = known.nunique(), bool(_CODE.search(name))
    if distinct < 3 or distinct > (_MOST_CODES if called else _FEW_CODES) or len(known) < _EACH * distinct:
        return None
    if not called and _COUNTS.search(name):
        return None
    half = len(known) // 2
    if known.iloc[half:].isin(known.iloc[:half].unique()).mean() < _RECUR:
        return None
    shown = ", ".join(str(v) for v in sorted(known.unique())[:_SAMPLE])
    more = f", ... ({distinct:,} in all)" if distinct > _SAMPLE else ""
    why = "its name is that of a code" if called else "few whole numbers, which recur"
    return (
        f"{name} holds {shown}{more}: taken as categorical ({why}). If it counts or measures, move it to "
        "features.numeric in model.yaml"
    )


def far_value(name: str, values: pd.Series) -> str | None:
    """What is said of one value far from all others that recurs, as -999 for *missing*; None if there is none."""
    numbers = values.dropna().astype("float64")
    least = max(_FAR_LEAST, int(_FAR_SHARE * len(numbers)))
    for edge in (numbers.min(), numbers.max()):
        count = int((numbers == edge).sum())
        rest = numbers[numbers != edge]
        # A word for nothing is a number that somebody thought of: -200, 9999, -9.99.
        if count < least or rest.nunique() < _FAR_DISTINCT or not _thought_of(float(edge)):
            continue
        low, high = rest.quantile([0.005, 0.995])
        nearest = rest.min() if edge < rest.min() else rest.max()
        if abs(edge - nearest) > max(high - low, 1e-9):
            return (
                f"{name} is {edge:.12g} in {share(count, len(numbers))} rows, far from all others "
                f"({rest.min():.6g} to {rest.max():.6g}): does it stand for missing? Nothing is changed. If so, have "
                f"these values landed empty, or replace them in features.py"
            )
    return None


def _thought_of(value: float) -> bool:
    return value == round(value) or set(f"{abs(value):.6g}".replace(".", "")) == {"9"}


def spellings(types: Mapping[str, ColumnType], frame: pd.DataFrame) -> dict[str, str]:
    """Columns of text whose values are numbers or dates in a spelling that is not read -> why they are no feature."""
    found = {}
    for name in (name for name, kind in types.items() if kind == "string"):
        texts = pd.Series(frame[name].dropna().astype(str).str.strip().unique())
        texts = texts[~texts.str.lower().isin(("", "-", "--", "nil", "none", "n/a", "na", "?", "."))]
        said = _spelling(texts) if len(texts) > 1 else None
        if said:
            found[name] = said
    return found


def _spelling(texts: pd.Series) -> str | None:
    """What nearly all of `texts`, each once, are; None if they are words or codes."""
    enough = (1 - _STRAYS) * len(texts)
    example = plain(texts.iloc[0], 24)
    for pattern, what in _DATES:
        if texts.str.fullmatch(pattern, case=False).sum() >= enough and texts.str.contains(r"\d").all():
            return (
                f"text: {what.format(repr(example))}; left out until they are written as 2013-01-07 or "
                "2013-01-07T06:00:00Z"
            )
    told = _numbers(texts, enough)
    if told:
        return f"text: {told}, such as {example!r}; left out until they are written as plain numbers such as 1234.5"
    return None


def _numbers(texts: pd.Series, enough: float) -> str | None:
    bare = texts.str.fullmatch(_PLAIN_NUMBER)
    for pattern, what in _SPELLINGS:
        marked = texts.str.fullmatch(pattern, case=False)
        # Small numbers have no mark between thousands, and 0 seldom a decimal comma.
        if marked.sum() > 0 and (marked | bare).sum() >= enough and marked.sum() >= 0.02 * len(texts):
            return what
    units = texts.str.extract(f"^{_UNIT.pattern}$")[0]
    if units.notna().sum() >= enough and units.dropna().nunique() == 1:
        return f"numbers with the unit {plain(units.dropna().iloc[0], 12)}"
    return None


def nearly_numbers(types: Mapping[str, ColumnType], frame: pd.DataFrame) -> dict[str, str]:
    """What is no number in the columns of text that hold hardly anything else, as `nil` if a value is missing."""
    found = {}
    for name in (name for name, kind in types.items() if kind == "string"):
        known = frame[name].dropna().astype(str)
        strays = known[pd.to_numeric(known, errors="coerce").isna()]
        if 0 < len(strays) <= _STRAYS * len(known):
            shown = ", ".join(repr(plain(value, 20)) for value in strays.drop_duplicates().head(_SAMPLE))
            found[name] = f"{shown} in {len(strays):,} of {len(known):,} rows"
    return found
