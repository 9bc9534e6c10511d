"""Which type of a definition a column of a file has, when there is no definition yet."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition.model import ColumnType
from evergreen.core.definition.sections import CsvSection
from evergreen.core.text import plain
from evergreen.loop.intake.failures import SAMPLE, Failure, UnfitFileError, breach, unfit
from evergreen.loop.intake.limits import Limits
from evergreen.loop.intake.reading import convert, texts, times
from evergreen.loop.intake.reading.parquet_types import in_words

_ORDER: tuple[ColumnType, ...] = ("boolean", "timestamp", "integer", "float", "string")


def column_type(field: pa.Field, values: pa.Array, limits: Limits, form: CsvSection | None) -> ColumnType:
    """The narrowest type under which all of `values` are accepted.

    Args:
        field: the column.
        values: of a Parquet file, or text of a text file.
        limits: that a value must keep.
        form: of the text file; None for a Parquet file.

    Raises:
        UnfitFileError: there is none; says what keeps the values from the type that they seem to have.
    """
    if form is not None:
        return _fitting(field, values, type_of_text(field.name, values, form), limits, form)
    if pa.types.is_null(values.type):
        return "string"
    wanted: list[ColumnType] = [kind for kind in _ORDER if convert.ACCEPTED[kind](values.type)]
    if pa.types.is_integer(values.type):
        wanted = ["integer"]  # numbers, also 0 and 1, until a definition says otherwise
    refused: UnfitFileError | None = None
    for kind in wanted:
        try:
            convert.to_series(field, values, kind, limits)
        except UnfitFileError as error:
            # Of whole numbers and numbers, what keeps them from being numbers says more.
            refused = error
        else:
            return kind
    if refused is not None:
        raise refused
    words = in_words(field)
    raise UnfitFileError(unfit("column_type", f"{plain(field.name)}: holds {words}", observed=words, column=field.name))


def _fitting(field: pa.Field, values: pa.Array, kind: ColumnType, limits: Limits, form: CsvSection) -> ColumnType:
    """`kind` if all of `values` are accepted under it, as an infinite number is not; raises UnfitFileError."""
    if kind == "string":
        convert.to_series(field, values, kind, limits)
    else:
        parsed = texts.parse(field.name, values, kind, form)
        convert.to_series(pa.field(field.name, parsed.type), parsed, kind, limits)
    return kind


def type_of_text(name: str, values: pa.Array, form: CsvSection = texts.DEFAULT) -> ColumnType:
    """The narrowest type that all of `values`, text, parse as; `string` if nothing else fits, or nothing is there.

    Numbers that begin with a zero are codes: as numbers they would lose it. So are whole numbers of more than 64 bits.
    """
    known = texts.known(values).drop_null()
    if not len(known):
        return "string"
    if form.format_of(name) is None and pc.any(pc.match_substring_regex(known, r"^[+-]?0[0-9]")).as_py():
        return "string"
    for kind in ("timestamp", "integer", "float"):
        if kind == "timestamp" and form.format_of(name) is None and _are_digits(known):
            continue
        try:
            texts.parse(name, known, kind, form)
        except UnfitFileError:
            if kind == "integer" and _are_digits(known):
                return "string"
            continue
        return kind
    return "boolean" if pc.all(pc.match_substring_regex(known, "^(?i:true|false)$")).as_py() else "string"


def _are_digits(known: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring_regex(known, "^[+-]?[0-9]+$")).as_py())


def no_time(field: pa.Field, values: pa.Array) -> Failure:
    """What is wrong with a column of a Parquet file that should hold times, and how to convert it."""
    known = values.drop_null()
    sample = known[:SAMPLE].to_pylist()
    shown = [str(value) for value in known.unique()[: texts.LOOKED_AT].to_pylist()]
    hint = times.advice(field.name, shown, all_rows=True, in_text=False)
    return breach(
        "column_type", field.name, f"are {in_words(field)}",
        rows=pc.indices_nonzero(values.is_valid()).to_numpy(), total=len(values), expected=times.EXPECTED,
        sample=sample, hint=hint,
    )  # fmt: skip
