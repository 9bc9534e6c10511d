"""The section `feed` of `model.yaml`: what lands, and when."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from evergreen.core.definition.made import MadeSection, are_calendar_parts, check, expanded
from evergreen.core.definition.query import QuerySection
from evergreen.core.definition.references import ReferenceSection
from evergreen.core.definition.sections import CsvSection, LabelsSection, Section
from evergreen.core.definition.tasks import ColumnType
from evergreen.core.values import TableName as TableName

NAME = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, Field(pattern=NAME)]
RESERVED = ("cluster", "part", "prediction", "target")
"""Columns that Evergreen puts beside features and the feed's own: in predictions, references and labelled rows."""


def unreserved(name: str) -> str:
    """`name`; raises ValueError if it is one of `RESERVED`, or of Evergreen's own."""
    if name in RESERVED:
        others = ", ".join(other for other in RESERVED if other != name)
        raise ValueError(f"{name!r} is a column that Evergreen puts beside it (as are {others}); give it another name")
    if name.startswith("__"):
        raise ValueError(f"{name!r}: names that begin with two underscores are Evergreen's own; give it another name")
    return name


Column = Annotated[str, AfterValidator(unreserved)]


class TableSection(Section):
    """One table of a feed."""

    columns: dict[str, ColumnType] = Field(min_length=1)
    """Type of each column (docs/file-types.md) or `{type, aliases, since}`; a landed one has all. Others are unread."""
    aliases: dict[str, tuple[str, ...]] = Field(default={}, exclude_if=lambda value: not value)
    """Earlier names of columns, by column; written there as `price: {type: float, aliases: [cost]}`."""
    since: dict[str, dt.date] = Field(default={}, exclude_if=lambda value: not value)
    """First partition that has a column, by column; written there as `tax: {type: float, since: 2024-03-04}`."""
    max_bad_rows: float = Field(default=0.0, ge=0, le=0.5)
    """Share of rows that may break a rule about rows: they alone go to quarantine. 0: one quarantines the partition."""

    @model_validator(mode="before")
    @classmethod
    def _columns_with_more(cls, value: Any) -> Any:
        """Columns that say more than their type, as types, and as what they say."""
        columns = value.get("columns") if isinstance(value, dict) else None
        if not isinstance(columns, dict) or not any(isinstance(said, dict) for said in columns.values()):
            return value
        found = {**value, "columns": dict(columns)}
        for name, said in columns.items():
            if isinstance(said, dict):
                unknown = sorted(map(str, set(said) - {"type", "aliases", "since"}))
                if unknown or "type" not in said:
                    raise ValueError(f"columns.{name}: say its type, aliases and since, and not {', '.join(unknown)}")
                found["columns"][name] = said["type"]
                for part in ("aliases", "since"):
                    if part in said:
                        found[part] = {**found.get(part, {}), name: said[part]}
        return found

    @model_validator(mode="after")
    def _names_of_columns(self) -> Self:
        for part in (self.aliases, self.since):
            strangers = [name for name in part if name not in self.columns]
            if strangers:
                raise ValueError(f"{', '.join(strangers)}: aliases or since of what is no column")
        names = [name for others in self.aliases.values() for name in others]
        taken = sorted({name for name in names if name in self.columns or names.count(name) > 1})
        if taken:
            raise ValueError(f"aliases name {', '.join(taken)}, which is a column, or an alias of two")
        return self

    @field_validator("columns")
    @classmethod
    def _own_names(cls, value: dict[str, ColumnType]) -> dict[str, ColumnType]:
        taken = [name for name in value if name.startswith("evergreen_")]
        if taken:
            raise ValueError(f"rename {', '.join(taken)}: names that begin with evergreen_ are kept for rejected rows")
        return value


class FeedSection(Section):
    """What lands, and when."""

    name: Name
    """Folder below the landing zone: landing/<feed>/<partition key>/<table>.parquet."""
    entity: Column
    """Column that identifies a row; in both tables, unique within a partition. Or a list of columns that together do,
    as in `[shop, day]`, or `none`: intake then makes the column `row_id` (docs/time-and-identity.md)."""
    entity_from: tuple[Column, ...] = ()
    """Superseded by a list in `entity`. Columns of the inputs whose texts, joined by `|`, make the entity, which a
    producer lands; `feed land --data` joins them."""
    event_time: Column
    """Timestamp column, in both tables, that lies within the partition's period. Or columns of which intake makes the
    column `event_time`: a date and a time of day, numbers from `[year]` to `[year, month, day, hour]`, or
    `[year, quarter]`."""
    made: MadeSection = Field(default=MadeSection(), repr=False, exclude_if=lambda value: value == MadeSection())
    """Not to be written: what `entity` and `event_time` were written as."""
    label_delay: int = Field(default=1, ge=0, le=366)
    """Periods between the end of a partition and the landing of its labels."""
    labels: LabelsSection = LabelsSection()
    grace: dt.timedelta = dt.timedelta(hours=24)
    """How long after it was due, or its run began, a partition is waited for until it is reported as late."""
    tables: dict[TableName, TableSection]
    """`inputs` (known at prediction time) and `labels` (the ground truth, which lands later)."""
    references: dict[Name, ReferenceSection] = Field(default={}, exclude_if=lambda value: not value)
    """Tables that land when they change, by names of your own, such as `prices`; `build` gets them as `references`."""
    personal: tuple[Column, ...] = ()
    """Columns of personal data, type string: tokens replace their values before anything is kept (docs/security.md)."""
    csv: CsvSection = CsvSection()
    """How text files are written."""
    source: Name | dict[TableName, QuerySection] | None = None
    """Where rows come from if no producer lands the feed: by table, a query to a database (docs/databases.md), or the
    simulator of `evergreen feed land`."""

    def landed_columns(self, table: TableName) -> dict[str, ColumnType]:
        """The columns of `table` that a producer lands: all but those that intake makes."""
        return {name: kind for name, kind in self.tables[table].columns.items() if name not in self.made.columns}

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The landed columns that name a row; none if its content does."""
        return () if self.made.content else self.made.entity or (self.entity,)

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The landed columns that say when an event was."""
        return self.made.event_time or (self.event_time,)

    @property
    def date_columns(self) -> tuple[str, ...]:
        """The landed columns of which only the day counts, whatever time of day they hold; each reader is told."""
        names = self.made.event_time
        return () if not names or are_calendar_parts(names, self.tables["inputs"].columns) else names[:1]

    @model_validator(mode="before")
    @classmethod
    def _several_columns(cls, value: Any) -> Any:
        return expanded(value)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in ("inputs", "labels"):
            table = self.tables.get(name)
            if table is None:
                raise ValueError(f"tables.{name} is missing: a feed has the tables inputs and labels")
            for column in (self.entity, self.event_time):
                if column not in table.columns:
                    raise ValueError(f"tables.{name}.columns lacks {column!r}, the feed's entity or event_time")
            if table.columns[self.event_time] != "timestamp":
                raise ValueError(f"event_time column {self.event_time!r} of tables.{name} must have type timestamp")
        inputs, labels = (self.tables[name].columns[self.entity] for name in ("inputs", "labels"))
        if inputs != labels:
            raise ValueError(
                f"entity {self.entity!r} is of type {inputs} in tables.inputs and {labels} in tables.labels, so "
                "that no label would find its row; give both the type in which the producer lands it"
            )
        check(self)
        self._check_personal()
        return self

    def _check_personal(self) -> None:
        for name, reference in self.references.items():
            shown = [column for column in self.personal if column in reference.columns]
            if shown:
                raise ValueError(
                    f"references.{name} has {', '.join(shown)}, which is personal: references are kept as they land; "
                    "key them by a column that is not"
                )
        for column in self.personal:
            types = {table.columns[column] for table in self.tables.values() if column in table.columns}
            if not types:
                raise ValueError(f"personal names column {column!r}, which no table of the feed has")
            if types != {"string"}:
                raise ValueError(f"personal column {column!r} must have type string: a token is text")
