"""Columns that intake makes: the id of a row that several columns name, or its content, and times of several columns.

What is written in `model.yaml` (`entity: [shop, day]`) becomes an ordinary column of both tables here, so that whatever
reads a feed goes on reading one entity and one event time. Only intake and requests know that it did not land.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evergreen.core.definition.sections import Section

if TYPE_CHECKING:
    from evergreen.core.definition.feed import FeedSection

ROW_ID = "row_id"
EVENT_TIME = "event_time"
CONTENT = "none"
"""The `entity` of a feed whose rows nothing names"""
MOST_PARTS = 8
MOST_TIME_PARTS = 4
"""Of an event time: year, month, day and hour"""
_QUARTER = re.compile(r"(^|[^a-z])(quarter|qtr|quart|q)([^a-z]|$)|[a-z](Quarter|Qtr)$", re.IGNORECASE)


class MadeSection(Section):
    """What `entity` and `event_time` were written as; filled in from there."""

    entity: tuple[str, ...] = ()
    """Columns that the column `row_id` is made of."""
    content: bool = False
    """These are all columns of the inputs, and equal rows are counted."""
    event_time: tuple[str, ...] = ()
    """Columns that the column `event_time` is made of: a date and a time of day, or a year, month, day and hour."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are made, and do not land."""
        return (ROW_ID,) * bool(self.entity) + (EVENT_TIME,) * bool(self.event_time)


def expanded(feed: Any) -> Any:
    """The section `feed` as it was written, with the columns that its entity and event time are made as.

    Raises:
        ValueError: a table has a column of such a name, or what is to be joined cannot be.
    """
    if not isinstance(feed, Mapping) or not isinstance(feed.get("tables"), Mapping):
        return feed
    found, made = dict(feed), dict[str, Any]()
    if _is_several(feed.get("entity")):
        made["entity"], found["entity"] = _names("entity", feed["entity"], least=1), ROW_ID
    elif feed.get("entity") == CONTENT and not all(CONTENT in columns for columns in _columns(feed).values()):
        made |= {"entity": tuple(_columns(feed).get("inputs", {})), "content": True}
        found["entity"] = ROW_ID
    if _is_several(feed.get("event_time")):
        made["event_time"] = _names("event_time", feed["event_time"], least=1, most=MOST_TIME_PARTS)
        found["event_time"] = EVENT_TIME
    if made:
        found["made"] = made
        kinds = {ROW_ID: "string"} if "entity" in made else {}
        kinds |= {EVENT_TIME: "timestamp"} if "event_time" in made else {}
        found["tables"] = {name: _with(name, table, kinds) for name, table in feed["tables"].items()}
    return found


def _is_several(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _names(field: str, value: Sequence[Any], least: int = 2, most: int = MOST_PARTS) -> tuple[str, ...]:
    names = tuple(value)
    fit = least <= len(names) <= most and all(isinstance(name, str) for name in names)
    if not fit or len(set(names)) != len(names):
        raise ValueError(f"{field} takes the name of one column, or a list of {least} to {most} different names")
    return names


def _columns(feed: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    tables = {name: table for name, table in feed["tables"].items() if isinstance(table, Mapping)}
    columns = {name: table.get("columns") for name, table in tables.items()}
    return {name: found for name, found in columns.items() if isinstance(found, Mapping)}


def _with(name: str, table: Any, kinds: Mapping[str, str]) -> Any:
    columns = table.get("columns") if isinstance(table, Mapping) else None
    if not isinstance(columns, Mapping):
        return table  # what is wrong with it is said when it is read
    taken = [column for column in kinds if column in columns]
    if taken:
        raise ValueError(
            f"tables.{name} has a column {taken[0]!r}, as Evergreen calls the column that it makes of several; "
            "give yours another name"
        )
    return {**table, "columns": {**kinds, **columns}}


def check(feed: FeedSection) -> None:
    """Raise ValueError if the columns that something is made of are not what it can be made of."""
    _check_entity(feed)
    _check_entity_from(feed)
    if feed.made.event_time:
        _check_time(feed)


def _check_entity(feed: FeedSection) -> None:
    inputs, labels = (feed.tables[name].columns for name in ("inputs", "labels"))
    lacking = [name for name in feed.made.entity if name not in labels]
    if feed.made.content and lacking:
        raise ValueError(
            "entity: none makes the id of a row of its content, by which a label finds its row: tables.labels must "
            f"have all columns of tables.inputs, and lacks {', '.join(lacking)}"
        )
    for name in feed.made.entity:
        for table, columns in (("inputs", inputs), ("labels", labels)):
            if name not in columns:
                raise ValueError(f"tables.{table}.columns lacks {name!r}, one of the columns of feed.entity")
        if inputs[name] != labels[name]:
            raise ValueError(
                f"column {name!r} of feed.entity is of type {inputs[name]} in tables.inputs and {labels[name]} in "
                "tables.labels, so that no label would find its row"
            )
        if inputs[name] == "float" and not feed.made.content:
            raise ValueError(f"column {name!r} of feed.entity is of type float: a measurement names no row")
        if not feed.made.content and any(name in feed.tables[table].since for table in ("inputs", "labels")):
            raise ValueError(f"column {name!r} of feed.entity has `since`: rows of before would have no id")


def _check_entity_from(feed: FeedSection) -> None:
    columns = feed.tables["inputs"].columns
    for name in feed.entity_from:
        if name not in columns or name == feed.entity:
            raise ValueError(f"entity_from names {name!r}, which is not another column of tables.inputs")
    if feed.entity_from and feed.made.entity:
        raise ValueError("entity_from is superseded by the list in entity; remove it")
    if feed.entity_from and columns[feed.entity] != "string":
        raise ValueError(f"entity {feed.entity!r} joins columns (entity_from), so it must have type string")
    tokens = [name for name in feed.entity_from if name in feed.personal]
    if tokens:
        raise ValueError(f"entity_from names personal columns, which the entity would show: {', '.join(tokens)}")


def calendar_parts(names: Sequence[str]) -> tuple[str, ...]:
    """What the columns `names` of an event time hold, if the first is a year: a quarter is known by its name."""
    if len(names) == 2 and _QUARTER.search(names[1]):
        return ("year", "quarter")
    return ("year", "month", "day", "hour")[: len(names)]


def are_calendar_parts(names: Sequence[str], kinds: Mapping[str, str]) -> bool:
    """Whether the columns `names` of an event time are a year, month, day and hour: the first is a whole number."""
    return kinds.get(names[0]) == "integer"


def _check_time(feed: FeedSection) -> None:
    names = feed.made.event_time
    for table in feed.tables:
        columns = feed.tables[table].columns
        for name in names:
            if name not in columns:
                raise ValueError(f"tables.{table}.columns lacks {name!r}, one of the columns of feed.event_time")
        if are_calendar_parts(names, columns):
            _check_calendar_parts(names, columns)
        else:
            _check_date_and_clock(names, columns)


def _check_calendar_parts(names: Sequence[str], columns: Mapping[str, str]) -> None:
    for name, part in zip(names, calendar_parts(names), strict=True):
        if columns[name] != "integer" and not (part in ("month", "quarter") and columns[name] == "string"):
            words = " (or string: Jan, January)" if part == "month" else " (or string: Q1)" if part == "quarter" else ""
            raise ValueError(f"column {name!r} of feed.event_time must have type integer{words}: it is the {part}")


def _check_date_and_clock(names: Sequence[str], columns: Mapping[str, str]) -> None:
    if columns[names[0]] != "timestamp":
        raise ValueError(
            f"column {names[0]!r} of feed.event_time must have type timestamp (it is the date), or integer (it is the "
            "year, and month, day and hour may follow)"
        )
    if len(names) != 2:
        raise ValueError("event_time takes one timestamp column, [date, time of day], or [year, month, day, hour]")
    if columns[names[1]] not in ("integer", "string", "timestamp"):
        raise ValueError(
            f"column {names[1]!r} of feed.event_time must have type integer (hours from 0 to 23), string (such as "
            "06:30) or timestamp: it is the time of day"
        )
