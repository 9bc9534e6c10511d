"""Make the columns of a table that do not land: the id of a row, and its time (docs/time-and-identity.md).

An id of several columns joins their texts, and can be parted again. An id of a row's content is its digest; of rows
that are equal in every column the second has `-2` behind it, the third `-3`: which is which makes no difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from evergreen.core.definition.made import EVENT_TIME, ROW_ID, calendar_parts
from evergreen.core.frames import ARROW_TYPES, on_the_clock
from evergreen.loop.intake.failures import refuse_rows
from evergreen.loop.intake.reading import local_times
from evergreen.loop.intake.reading.joined_id import joined, parted, texts_of

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.core.definition.local_days import Clock
    from evergreen.core.definition.model import FeedSection, TableName

_BYTES = 16
"""Of a digest: that two of 10**12 different rows have the same one has a chance of 10**-15"""
_CLOCK = r"^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,6})0*)?)?$"
_HOURS = 23
_PARTS = {"year": (1, 9999), "quarter": (1, 4), "month": (1, 12), "day": (1, 31), "hour": (0, _HOURS)}
"""Part of a time -> its least and its largest number"""
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_LEAST_LETTERS = 3
"""Of a month's name: Jan, Sept, January"""
_HOUR = 3
"""Its place among them"""


def with_made(frame: pd.DataFrame, definition: ModelDefinition, table: TableName) -> pd.DataFrame:
    """`frame`, the landed columns with the definition's dtypes, and before them those that are made of them.

    Raises:
        UnfitFileError: rows whose columns of time are no time together.
    """
    feed, found = definition.feed, dict[str, pd.Series]()
    if feed.made.entity:
        found[ROW_ID] = _ids(frame, feed)
    if feed.made.event_time:
        found[EVENT_TIME] = _times(frame, definition)
    if not found:
        return frame
    order = [name for name in feed.tables[table].columns if name in found or name in frame]
    return pd.concat([pd.DataFrame(found, index=frame.index), frame], axis=1)[order]


def _ids(frame: pd.DataFrame, feed: FeedSection) -> pd.Series:
    if not feed.made.content:
        return joined(frame, feed.made.entity)
    texts = [(name, texts_of(_one_zero(frame[name])).to_list()) for name in feed.made.entity if name in frame]
    # What has no value says nothing: a column that came later gives the rows of before no other id.
    rows = zip(*([None if one is None else f"{name}={one}" for one in values] for name, values in texts), strict=True)
    digests = pd.Series([_digest([part for part in row if part is not None]) for row in rows], frame.index, object)
    again = digests.groupby(digests, sort=False).cumcount() + 1
    return digests.where(again == 1, digests + "-" + again.astype(str))


def _one_zero(values: pd.Series) -> pd.Series:
    """-0.0 as 0.0, which it equals."""
    return values + 0.0 if pd.api.types.is_float_dtype(values.dtype) else values


def _digest(parts: Sequence[str]) -> str:
    whole = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=_BYTES).hexdigest()


def _times(frame: pd.DataFrame, definition: ModelDefinition) -> pd.Series:
    return event_times(frame, definition.feed.made.event_time, definition.calendar.clock)


def event_times(frame: pd.DataFrame, names: Sequence[str], clock: Clock) -> pd.Series:
    """What the columns `names` of `frame` say together, as instants (datetime64[us, UTC]); null if one is missing.

    Args:
        frame: a timestamp and a time of day (whole hours, text or timestamp), or Int64 years, months (or their English
            names), days and hours, or years and quarters (numbers or texts such as Q1).
        names: these columns, in this order.
        clock: whose days and hours these are.

    Raises:
        UnfitFileError: rows that are no date, no time of day, or a time that the zone's clocks skip.
    """
    told = " and ".join(names)
    if pd.api.types.is_integer_dtype(frame[names[0]].dtype):
        shown = _of_calendar_parts(frame, names)
        days = np.full(len(frame), len(names) <= _HOUR)
        return local_times.instants(told, shown, clock, days=days)
    date, time_of_day = names
    midnights = on_the_clock(frame[date], clock.timezone).dt.normalize()
    shown = (midnights + _time_of_day(time_of_day, frame[time_of_day], clock.timezone)).dt.as_unit("us")
    return local_times.instants(told, shown.dt.tz_localize("UTC"), clock)


def _of_calendar_parts(frame: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """The first instant of the year, quarter, month, day or hour that the columns name, as if UTC."""
    parts = calendar_parts(names)
    values = {part: numbers_of(frame[name], name, part) for part, name in zip(parts, names, strict=True)}
    for part, name in zip(parts, names, strict=True):
        low, high = _PARTS[part]
        wrong = ((values[part] < low) | (values[part] > high)).fillna(False)
        _refuse(name, values[part], wrong, f"{part}s from {low} to {high}")
    if "quarter" in values:
        values["month"] = 3 * values.pop("quarter") - 2
    whole = pd.concat(list(values.values()), axis=1).notna().all(axis=1)
    year, month, day, hour = (
        values[part][whole].to_numpy(np.int64) if part in values else np.full(int(whole.sum()), low, dtype=np.int64)
        for part, (low, _) in _PARTS.items()
        if part != "quarter"
    )
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    instants = months.astype("datetime64[D]") + (day - 1)
    wrong_day = pd.Series(False, index=frame.index)
    wrong_day[whole] = instants.astype("datetime64[M]") != months
    if "day" in values:
        _refuse(names[2], values["day"], wrong_day, "days of their month")
    shown = pd.Series(np.datetime64("NaT"), index=frame.index, dtype="datetime64[us]")
    shown[whole] = instants.astype("datetime64[us]") + hour * np.timedelta64(3_600_000_000, "us")
    return shown.dt.tz_localize("UTC")


def numbers_of(values: pd.Series, name: str, part: str) -> pd.Series:
    """`values` as Int64 numbers of the `part`: months may be English names or their beginnings, quarters Q1.

    Raises:
        UnfitFileError: texts that name none.
    """
    if pd.api.types.is_integer_dtype(values.dtype):
        return values
    texts = values.astype("string").str.strip().str.lower().str.removesuffix(".")
    found = pd.to_numeric(texts.str.removeprefix("q") if part == "quarter" else texts, errors="coerce")
    if part == "month":
        found = found.fillna(texts.map(_month_of)).astype("Float64")
    whole = found.where(found == found.round()).astype("Int64")
    expected = "months such as Jan or January" if part == "month" else "quarters such as Q1"
    _refuse(name, values, whole.isna() & values.notna(), expected)
    return whole


def _month_of(text: str) -> float:
    """The number of the month whose English name begins with `text`; NaN if none does."""
    if not isinstance(text, str) or len(text) < _LEAST_LETTERS:
        return float("nan")
    found = [number for number, month in enumerate(_MONTHS, start=1) if month.startswith(text)]
    return float(found[0]) if found else float("nan")


def _time_of_day(name: str, values: pd.Series, zone: str) -> pd.Series:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        local = on_the_clock(values, zone)
        since_midnight: pd.Series = local - local.dt.normalize()
        return since_midnight
    if pd.api.types.is_integer_dtype(values.dtype):
        wrong = ((values < 0) | (values > _HOURS)).fillna(False)
        _refuse(name, values, wrong, "hours from 0 to 23")
        return pd.to_timedelta(values.astype("Float64").astype("float64"), unit="h")
    parts = values.astype("string").str.strip().str.extract(_CLOCK)
    _refuse(name, values, parts[0].isna() & values.notna(), "times of day such as 06:30")
    seconds = [pd.to_numeric(parts[at]).astype("float64") * unit for at, unit in ((0, 3600), (1, 60))]
    whole = seconds[0] + seconds[1] + pd.to_numeric(parts[2]).astype("float64").fillna(0)
    micros = pd.to_numeric(parts[3].str.ljust(6, "0")).astype("float64").fillna(0)
    return pd.to_timedelta(whole, unit="s") + pd.to_timedelta(micros, unit="us")


def _refuse(name: str, values: pd.Series, wrong: pd.Series, expected: str) -> None:
    rows = pa.array(np.asarray(wrong, dtype=bool))
    refuse_rows(name, pa.array(values, from_pandas=True), rows, f"are not {expected}", expected)


def id_parts(ids: pa.Array, feed: FeedSection) -> dict[str, pa.Array]:
    """The columns that the ids were made of, in the definition's types, for those who know rows by them.

    Without the event time, which stands beside the id; empty if the id is a column that landed, or a row's content.
    """
    if feed.made.content or not feed.made.entity:
        return {}
    kinds = {name: feed.tables["inputs"].columns[name] for name in feed.made.entity}
    found = parted(ids, kinds).items()
    return {name: values.cast(ARROW_TYPES[kinds[name]]) for name, values in found if name != feed.event_time}
