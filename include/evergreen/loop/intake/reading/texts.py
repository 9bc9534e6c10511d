"""Parse text as values of the definition's types: from CSV files and from requests alike."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition.local_days import Clock
from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.sections import CsvSection
from evergreen.loop.intake.failures import refuse_rows
from evergreen.loop.intake.reading import local_times, times

_MISSING = pa.array(["", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "NaT", "<NA>", r"\N"])
_PATTERNS: dict[ColumnType, tuple[str, str]] = {
    "integer": (r"^[+-]?[0-9]+(\.0*)?$", "a whole number"),
    "float": (r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$|^[+-]?(?i:inf(inity)?)$", "a number"),
    "boolean": (r"^(?i:true|false|t|f|1|0)$", "true or false"),
}
_LONG = 18
"""Digits that a 64-bit integer holds whatever they are"""
LOOKED_AT = 5_000
"""Different values that are looked at to say what else they may be"""
DEFAULT = CsvSection()
IN_UTC = Clock()


def is_known(values: pa.Array, *, from_text: bool) -> pa.Array:
    """Whether each value is one, and not missing under any of its spellings; booleans."""
    if from_text:
        return pc.invert(pc.is_in(pc.utf8_trim_whitespace(pc.fill_null(values, "")), value_set=_MISSING))
    return pc.invert(pc.is_null(values, nan_is_null=True))


def known(texts: pa.Array) -> pa.Array:
    """`texts` without blanks around them; null for each spelling of a missing value."""
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(texts, value_set=_MISSING), pa.scalar(None, pa.string()), texts)


def parse(name: str, texts: pa.Array, kind: ColumnType, form: CsvSection = DEFAULT, clock: Clock = IN_UTC) -> pa.Array:
    """Text of the column `name` as values of `kind`, which is not string; times without a zone are those of `clock`.

    Raises:
        UnfitFileError: with the number of values that do not parse, and some of them.
    """
    texts = known(texts)
    if kind == "timestamp":
        return _times(name, texts, form.format_of(name), clock)
    shown = texts
    if kind in ("integer", "float"):
        texts = _usual_signs(texts, form)
    pattern, expected = _PATTERNS[kind]
    wrong = pc.invert(pc.match_substring_regex(texts, pattern))
    refuse_rows(name, shown, wrong, f"are not {expected}", expected, hint=_number_hint(kind, shown, wrong, form))
    if kind == "integer":
        return _whole(name, pc.replace_substring_regex(texts, r"\.0*$", ""))
    if kind == "float":
        return pc.cast(texts, pa.float64())
    yes = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(["true", "t", "1"]))
    return pc.if_else(pc.is_valid(texts), yes, pa.scalar(None, pa.bool_()))


def _usual_signs(texts: pa.Array, form: CsvSection) -> pa.Array:
    """Numbers as Python writes them; those whose thousands are not groups of three stay as they are."""
    if form.thousands:
        sign, point = re.escape(form.thousands), re.escape(form.decimal)
        grouped = pc.match_substring_regex(texts, rf"^[+-]?[0-9]{{1,3}}({sign}[0-9]{{3}})+({point}[0-9]*)?$")
        texts = pc.if_else(grouped, pc.replace_substring(texts, form.thousands, ""), texts)
    if form.decimal != ".":
        pointed = pc.match_substring(texts, ".")  # not a number in this form
        texts = pc.if_else(pointed, pc.binary_join_element_wise("'", texts, ""), pc.replace_substring(texts, ",", "."))
    return texts


def _number_hint(kind: ColumnType, shown: pa.Array, wrong: pa.Array, form: CsvSection) -> str:
    """What else the numbers that do not parse may be."""
    if kind == "boolean" or not pc.any(wrong).as_py():
        return ""
    first = shown.filter(pc.fill_null(wrong, False))[0].as_py()
    if kind == "integer" and re.fullmatch(r"[+-]?[0-9.]+[eE]\+?[0-9]+", first):
        return "an exponent cuts digits off: write all of them, or declare the column as float"
    if form.decimal == "." and re.fullmatch(r"[+-]?[0-9]+,[0-9]+", first):
        return "if the comma stands before the decimals, declare feed.csv.decimal: ',' (--decimal of `evergreen new`)"
    if not form.thousands and re.fullmatch(r"[+-]?[0-9]{1,3}([.,' _][0-9]{3})+([.,][0-9]*)?", first):
        return "if thousands have a sign, declare feed.csv.thousands (--thousands of `evergreen new`)"
    return ""


def _whole(name: str, texts: pa.Array) -> pa.Array:
    """64-bit integers of texts of digits, to the last digit."""
    long = pc.fill_null(pc.greater(pc.utf8_length(texts), _LONG), False).to_numpy(zero_copy_only=False)
    if not long.any():
        return _cast(texts)
    beyond = long.copy()
    rows = np.flatnonzero(long)
    for row, text in zip(rows, texts.take(pa.array(rows)).to_pylist(), strict=True):
        digits = text.lstrip("+-").lstrip("0")
        beyond[row] = len(digits) > _LONG + 1 or not -(2**63) <= int(text) < 2**63
    expected = "whole numbers of at most 64 bits"
    hint = "declare the column as string"
    refuse_rows(name, texts, pa.array(beyond), "do not fit 64 bits", expected, hint=hint)
    return _cast(texts)


def _cast(texts: pa.Array) -> pa.Array:
    # Arrow takes no plus, and no more digits than 64 bits can have.
    return pc.cast(pc.replace_substring_regex(texts, r"^\+?(-?)0*([0-9])", r"\1\2"), pa.int64())


def _times(name: str, texts: pa.Array, form: str | None, clock: Clock) -> pa.Array:
    instants = times.parse(texts, form)
    wrong = pc.and_(pc.is_null(instants), pc.is_valid(texts))
    if pc.any(wrong).as_py():
        expected = f"a timestamp of the format {form}, such as feed.csv.time_format says" if form else times.EXPECTED
        sample = texts.filter(wrong).unique()[:LOOKED_AT].to_pylist()
        everywhere = pc.sum(wrong).as_py() == len(texts) - texts.null_count
        hint = "" if form else times.advice(name, sample, all_rows=everywhere)
        refuse_rows(name, texts, wrong, f"are not {expected}", expected, hint=hint)
    if clock.is_utc:
        return instants
    bare = np.asarray(times.without_zone(texts, form))
    days = np.asarray(times.without_time_of_day(texts, form))
    return pa.array(local_times.instants(name, pd.Series(instants.to_pandas()), clock, bare, days))
