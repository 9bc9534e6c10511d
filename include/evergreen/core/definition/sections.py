"""What the sections of `model.yaml` have in common, and those that are about what runs and when, not about the data."""

from __future__ import annotations

import codecs
import datetime as dt
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from evergreen.core.definition.calendar import Calendar, Unit, Weekday
from evergreen.core.definition.local_days import UTC, Clock, zone_of


class Section(BaseModel):
    """A part of a definition: frozen, and closed to unknown fields.

    `document.py` reads what the fields mean from the source; pydantic would do so in every process that imports it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class CalendarSection(Section):
    """Which partitions exist."""

    period: Unit = "week"
    """Length of a partition: `hour`, `day`, `week` or `month`. All instants are UTC."""
    start: dt.date
    """First partition's first day; of hours, the day of the first."""
    end: dt.date | None = None
    """Last partition's first day (of hours, the day of the last); leave it out for a feed that goes on."""
    timezone: str = UTC
    """Zone of the IANA database, such as `Europe/Berlin`: days, weeks and months begin at its midnights, and times that
    land without a zone are its clock's (docs/time-and-identity.md)."""
    week_start: Weekday = "monday"
    """Weekday on which weeks begin."""
    repeated_hour: Literal["refuse", "first", "second"] = "refuse"
    """Which of the two is meant by a time without a zone in the hour that the clocks of autumn show twice. Times that
    they skip in spring are always refused."""

    def build(self) -> Calendar:
        """The calendar of these settings."""
        return Calendar(self.period, self.start, self.end, self.timezone, self.week_start)

    @property
    def clock(self) -> Clock:
        """How times that land without a zone are read."""
        return Clock(self.timezone, self.repeated_hour)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zone_of(value)
        return value

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        calendar = self.build()
        for name in ("start", "end"):
            day = getattr(self, name)
            if day is not None and calendar.first_day(day) != day:
                raise ValueError(f"{name} {day} is not the first day of a {self.period}; try {calendar.key_of(day)}")
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}")
        return self


class LabelsSection(Section):
    """When the labels of a partition are complete enough to learn from and to judge by (decision 027)."""

    complete: float | None = Field(default=None, ge=0, le=1)
    """Share of the accepted inputs that must have a label (one that is not null); until then the partition trains
    nothing and judges nothing. Left out: learned from the partitions before; 0 takes labels as they come."""


class CsvSection(Section):
    """How the producer's text files are written; the defaults are RFC 4180. Parquet files are read as they are."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """Character between two fields, such as `;`. A .tsv file is separated by tabs whatever is said here."""
    decimal: Literal[".", ","] = "."
    """Sign before the decimals of a number."""
    thousands: str | None = Field(default=None, pattern=r"^[.,' _\u00a0\u202f]$")
    """Sign between the thousands of a number; none by default, and a number that has one is refused."""
    encoding: str = "utf-8"
    """Encoding of the text, such as `cp1252`."""
    time_format: str | dict[str, str] | None = None
    """How timestamps are written if not in ISO 8601, such as `%d/%m/%Y %H:%M`: in all timestamp columns, or by column.
    Times without a zone are those of `calendar.timezone`."""
    max_unpacked: int = Field(default=2 << 30, ge=1 << 10, le=4 << 30)
    """Bytes that a packed text file (.csv.gz, .tsv.zip) may unpack to."""

    def format_of(self, column: str) -> str | None:
        """Format of the times of `column`, or None if they are ISO 8601."""
        return self.time_format.get(column) if isinstance(self.time_format, dict) else self.time_format

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            known = codecs.lookup(value)
            "1,2".encode(known.name).decode(known.name)
        except (LookupError, ValueError, TypeError):
            raise ValueError(f"{value!r} is no encoding that Python knows; examples: utf-8, cp1252, utf-16") from None
        return value

    @field_validator("time_format")
    @classmethod
    def _whole_format(cls, value: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for form in value.values() if isinstance(value, dict) else [value] if value else []:
            check_time_format(form)
        return value

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if not (self.delimiter.isprintable() or self.delimiter == "\t") or self.delimiter in '"\\':
            raise ValueError(f"delimiter {self.delimiter!r} cannot separate fields; use a sign such as ; or |")
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: no number could be read")
        return self


def check_time_format(form: str) -> None:
    """Raise ValueError if times in the strptime format `form` do not name a day (hours, minutes and zone may lack)."""
    day = dt.datetime(2023, 11, 25, tzinfo=dt.UTC)
    try:
        back = dt.datetime.strptime(day.strftime(form), form).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise ValueError(f"time format {form!r} cannot be used ({error}); an example: %d/%m/%Y %H:%M") from None
    if back.date() != day.date():
        raise ValueError(f"time format {form!r} does not name year, month and day; an example: %d/%m/%Y %H:%M")


class MonitoringSection(Section):
    """What is watched, and what is done about it."""

    share_alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance that a check of a batch without drift raises an input-drift alarm, over all columns together."""
    min_effect: float = Field(default=0.1, ge=0, lt=1)
    """Effect size below which a column's drift is not reported, however certain."""
    reference: Literal["training", "rolling", "season"] = "training"
    """What inputs and predictions are compared with: what the champion was made of, the partitions before, or the same
    season a year before (which needs more than a year; until then it is `training`)."""
    reference_window: int = Field(default=8, ge=2, le=400)
    """Partitions of a rolling or seasonal reference."""
    harm_alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance of a harm alarm over the life of a champion that is as good as it was."""
    harm_margin: float = Field(default=0.1, ge=0, lt=2)
    """Relative rise of the realised loss over the champion's own at promotion that counts as harm."""
    cool_down: int = Field(default=3, ge=0)
    """Partitions that must pass between two retrains, and before drift or harm asks for the first."""
    min_new_rows: int = Field(default=1000, ge=0)
    """Labelled rows that must have landed since the champion's training."""
    refresh: int = Field(default=4, ge=1)
    """Partitions after which a champion meets a challenger though nothing is wrong; each refusal triples the wait."""
    learned_pace: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether `refresh`, with `cool_down` and `min_new_rows` in proportion, becomes fewer if newer challengers have
    been better so far, and the pool keeps versions of other worlds only (decision 041: for worlds that move at each
    partition; it trains more often)."""
    max_age: int = Field(default=52, ge=1)
    """Partitions after which a champion meets a challenger whatever was refused before."""
    persistence: int = Field(default=2, ge=1)
    """Checks in a row that must see input drift before it alone asks for a retrain."""
    rival_alpha: float = Field(default=0.1, gt=0, le=0.2)
    """Chance of ever giving way to the version before, to a first challenger in the shadow, or to any of the pool
    that is no better: of each of the three."""
    rival_margin: float = Field(default=0.02, ge=0, lt=1)
    """Relative loss that a champion must cost over such a rival before it gives way."""
    rollback_within: int = Field(default=8, ge=0, le=400)
    """Labelled partitions a new champion has served within which it can be taken back; 0 never does."""
    pool: int = Field(default=3, ge=0, le=8)
    """Newest versions that served earlier and are still scored beside the champion: one that is proven better again, as
    when a season returns, is restored. 0 keeps none."""


class OnlineSection(Section):
    """Predictions on request (docs/online-predictions.md)."""

    context: Literal["request", "partition"] = "request"
    """Rows that `features.py` gets: those of the request, or beside them the accepted inputs of their partition."""


class RetentionSection(Section):
    """What is kept, counted from the newest back; a field that is left out keeps everything.

    What the champion, a rollback or the next training needs stays, however little is to be kept (decision 016).
    """

    keep_partitions: int | None = Field(default=None, ge=1)
    """Newest partitions whose landed copies, accepted rows and features are kept."""
    keep_quarantined: int | None = Field(default=None, ge=1)
    """Newest partitions of which drops are kept that were quarantined and have been landed again since."""
    keep_predictions: int | None = Field(default=None, ge=1)
    """Newest partitions whose predictions are kept."""
    keep_validations: int | None = Field(default=None, ge=1)
    """Newest partitions whose full Great Expectations results are kept."""
    keep_reports: int | None = Field(default=None, ge=1)
    """Newest partitions whose monitoring reports are kept."""
    keep_models: int | None = Field(default=None, ge=1)
    """Newest versions in the registry that are kept with their runs; what has served is always kept."""
