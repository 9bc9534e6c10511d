"""The schema of `include/models/<name>/model.yaml`.

Every threshold has a default that holds without tuning. Settings are frozen and unknown fields are refused, so a
misspelt field is an error with its line and never a silently missing guard.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from evergreen.core.definition.alerts import AlertsSection
from evergreen.core.definition.calendar import Calendar
from evergreen.core.definition.decision import CHOICE, DEFAULT_POSITIVES, Costs, DecisionSection, check_decision
from evergreen.core.definition.feed import (
    NAME,
    RESERVED,
    Column,
    FeedSection,
    Name,
    TableName,
    TableSection,
    unreserved,
)
from evergreen.core.definition.sections import (
    CalendarSection,
    MonitoringSection,
    OnlineSection,
    RetentionSection,
    Section,
)
from evergreen.core.definition.sinks import SinkSection
from evergreen.core.definition.spans import Span
from evergreen.core.definition.tasks import (
    DISPARITIES,
    LOSSES,
    MOST_CLASSES,
    ClassName,
    ColumnType,
    Disparity,
    Loss,
    Task,
    check_classes,
)
from evergreen.core.definition.training import TrainingSection

__all__ = [
    "DISPARITIES",
    "LOSSES",
    "NAME",
    "RESERVED",
    "ColumnType",
    "Disparity",
    "FeedSection",
    "Loss",
    "ModelDefinition",
    "TableName",
    "TableSection",
    "Task",
]


class FeaturesSection(Section):
    """What `features.py` builds. No column may be called `cluster`, `part`, `prediction` or `target`."""

    numeric: tuple[Column, ...] = ()
    """Columns of numbers that `features.py` returns; nulls are allowed."""
    categorical: tuple[Column, ...] = ()
    """Columns of text that `features.py` returns; values unseen in training are allowed."""
    look_back: Span = 4
    """Label partitions that the features of a partition look back on: how many (0 to 53), or how long before the
    partition begins, such as `P90D`."""
    history: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns of the inputs and labels looked back on that `features.py` reads; all by default. Fewer are faster."""
    recent_inputs: Span = Field(default=0, exclude_if=lambda value: not value)
    """Partitions before it whose inputs `build` gets as `recent`, with labels or without: how many, or how long."""
    recent_columns: tuple[str, ...] | None = Field(default=None, min_length=1, exclude_if=lambda value: value is None)
    """Columns of `recent`; all of the inputs by default. Fewer are faster."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All feature columns, numeric first, in the order the model reads them."""
        return self.numeric + self.categorical

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.columns:
            raise ValueError("name at least one numeric or categorical feature")
        twice = {c for c in self.columns if self.columns.count(c) > 1}
        if twice:
            raise ValueError(f"features named twice: {', '.join(sorted(twice))}")
        if self.recent_columns is not None and not self.recent_inputs:
            raise ValueError("recent_columns are those of recent_inputs, which is 0; say how many partitions")
        return self


class FairnessSection(Section):
    """Groups of rows, such as people of one sex, between which a challenger must not differ much; left out, none."""

    by: tuple[str, ...] = Field(min_length=1)
    """Feature or inputs columns whose values are the groups; a column of numbers is cut at its quartiles."""
    metric: Disparity | None = None
    """What must not differ; default: mean_absolute_error_difference for regression, else equalized_odds_difference (of
    a multiclass task for each class against the rest)."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which on a row counts as predicted true (binary only)."""
    max_difference: float = Field(default=0.1, ge=0, le=0.5)
    """Difference allowed: of rates or, for regression, in parts of the champion's mean absolute error."""
    min_rows: int = Field(default=200, ge=30, le=1_000)
    """Holdout rows of a group that a rate is taken of, below which it is not judged."""


class GateSection(Section):
    """What a challenger must show before it is promoted. No value in range switches the gate off.

    What is looser than the default is said in the reason of each promotion.
    """

    loss: Loss | None = None
    """Default: squared_error for regression, else brier, which for several classes is the sum over them. `poisson`
    is the deviance of counts (regression): what is fitted and what is compared; the target must not be below 0.
    `cost` is the money that a better choice would have saved, by `decision.costs`; models are fitted as by brier."""
    holdout: int = Field(default=2, ge=1, le=400)
    """Newest labelled partitions, which neither champion nor challenger was trained on."""
    cluster: str | None = None
    """Inputs column whose values fail together (a date); default: the day of event_time, in the calendar's
    time zone."""
    alpha: float = Field(default=0.01, ge=1e-6, le=0.2)
    """Chance of promoting a champion's first challenger though it is no better; each later one gets half of it."""
    margin: float = Field(default=0.02, ge=0, le=0.1)
    """Relative loss a challenger may be worse by if the champion is proven harmed (non-inferiority)."""
    min_positives: int | None = Field(
        default=None, ge=DEFAULT_POSITIVES, le=100_000, exclude_if=lambda value: value is None
    )
    """Of a binary task: held-out rows of the rarer class without which no challenger replaces a champion. Left out: 20
    if the definition has a `decision`, else none are asked for."""
    slices: tuple[str, ...] = ()
    """Feature or inputs columns on whose values a challenger must not be much worse."""
    slice_margin: float = Field(default=0.05, ge=0, le=0.25)
    """Relative loss a slice may be worse by."""
    slice_min_rows: int = Field(default=200, ge=30, le=1_000)
    """Holdout rows below which a slice is not judged."""
    calibration_margin: float = Field(default=0.02, ge=0, le=0.1)
    """Expected calibration error a challenger may be worse by; for several classes, of each against the rest."""
    max_latency_ms: float = Field(default=50.0, gt=0, le=5_000)
    """Milliseconds for a prediction of 1,000 rows."""
    max_model_mb: float = Field(default=100.0, gt=0, le=5_000)
    """Megabytes (of 1,000,000 bytes) of the registered model file: each process that scores loads it."""
    fairness: FairnessSection | None = None
    """Left out: groups are not compared."""
    approval: Literal["never", "borderline", "always"] = "never"
    """When a person is asked before a promotion."""
    approval_timeout: dt.timedelta = Field(default=dt.timedelta(hours=24), gt=dt.timedelta(0), le=dt.timedelta(days=90))
    """How long the person has; no answer refuses."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns by whose values guards divide the rows, each once."""
        return tuple(dict.fromkeys(self.slices + (self.fairness.by if self.fairness else ())))

    @property
    def loosened(self) -> tuple[str, ...]:
        """What these settings allow beyond the defaults, one text each: "alpha 0.2 (default 0.01)"."""
        pairs: list[tuple[str, Section, Section]] = [("", self, GateSection())]
        if self.fairness:
            pairs.append(("fairness.", self.fairness, FairnessSection(by=self.fairness.by)))
        return tuple(
            f"{prefix}{name} {getattr(ours, name):g} (default {getattr(usual, name):g})"
            for prefix, ours, usual in pairs
            for name in ALLOWANCES
            if hasattr(usual, name) and getattr(ours, name) > getattr(usual, name)
        )


ALLOWANCES = (
    "alpha", "margin", "slice_margin", "slice_min_rows", "calibration_margin", "max_latency_ms", "max_model_mb",
    "max_difference", "min_rows",
)  # fmt: skip
"""Settings of the gate of which more allows more."""


class ModelDefinition(Section):
    """One model: everything Evergreen knows about it beside its two Python files."""

    name: Name
    """The folder's name; prefix of the model's DAGs."""
    title: str = Field(max_length=120)
    """A few words for people."""
    description: str = ""
    """A paragraph for people: what is predicted, for whom."""
    owner: str
    """The team; owner of the DAGs."""
    task: Task
    """`binary` predicts a probability, `regression` a value, `multiclass` a probability of each of several classes."""
    target: str
    """Column of the labels table that is predicted."""
    classes: tuple[ClassName, ...] = Field(default=(), max_length=MOST_CLASSES, exclude_if=lambda value: not value)
    """Of a multiclass task: the values of the target that are learned, in the order in which they are shown. Left out,
    each training learns those that have 10 rows or more."""
    calendar: CalendarSection
    feed: FeedSection
    features: FeaturesSection
    training: TrainingSection = TrainingSection()
    gate: GateSection = GateSection()
    decision: DecisionSection | None = Field(default=None, exclude_if=lambda value: value is None)
    """Left out: no class is chosen."""
    monitoring: MonitoringSection = MonitoringSection()
    online: OnlineSection = OnlineSection()
    alerts: AlertsSection
    sinks: dict[Name, SinkSection] = Field(default={}, exclude_if=lambda value: not value)
    """Where predictions are delivered to beside the store, by names of your own (docs/sinks.md)."""
    retention: RetentionSection | None = None
    """Left out: nothing is ever collected."""
    folder: Path = Field(default=Path(), exclude=True)
    """Where the definition was read from; filled in by the loader."""

    @property
    def loss(self) -> Loss:
        """The loss that the gate and the monitor judge by."""
        return self.gate.loss or LOSSES[self.task][0]

    @property
    def training_loss(self) -> Loss:
        """The loss that models are fitted and tuned by: a proper score, also if they are compared by money."""
        return LOSSES[self.task][0] if self.loss == "cost" else self.loss

    @property
    def costs(self) -> Costs | None:
        """What each choice costs; None if the definition does not say."""
        return self.decision.priced(self.classes) if self.decision else None

    @property
    def unit(self) -> str:
        """What the loss is in, a row, if it is money; else empty."""
        return self.costs.unit if self.costs and self.loss == "cost" else ""

    @property
    def loss_label(self) -> str:
        """The loss as it is named here; if it is money, with its unit."""
        return f"avoidable cost ({self.unit} a row)" if self.unit else self.loss

    @property
    def min_positives(self) -> int:
        """Held-out rows of the rarer class without which the gate promotes nothing over a champion."""
        if self.gate.min_positives is not None:
            return self.gate.min_positives
        return DEFAULT_POSITIVES if self.task == "binary" and self.decision else 0

    @property
    def disparity(self) -> Disparity:
        """What `gate.fairness` compares between groups."""
        named = self.gate.fairness.metric if self.gate.fairness else None
        return named or DISPARITIES[self.task][0]

    @property
    def partitions(self) -> Calendar:
        """The model's calendar."""
        return self.calendar.build()

    @field_validator("target")
    @classmethod
    def _not_the_prediction(cls, value: str) -> str:
        # The one reserved name that labels may not have: both stand in one frame when the loss is measured.
        return unreserved(value) if value == "prediction" else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.target not in self.feed.tables["labels"].columns:
            raise ValueError(f"target {self.target!r} is not a column of feed.tables.labels")
        if self.target in self.feed.made.entity + self.feed.made.event_time:
            raise ValueError(f"target {self.target!r} is a column of feed.entity or feed.event_time, known before")
        if self.target in self.feed.personal:
            raise ValueError(f"target {self.target!r} is in feed.personal: a token cannot be predicted")
        self._check_target()
        if self.loss not in LOSSES[self.task]:
            raise ValueError(f"gate.loss {self.loss!r} does not fit task {self.task!r}; use one of {LOSSES[self.task]}")
        self._check_decision()
        landed = {column for table in self.feed.tables.values() for column in table.columns}
        unknown = [c for c in self.features.history or () if c not in landed]
        if unknown:
            raise ValueError(f"features.history names columns that no table of the feed has: {', '.join(unknown)}")
        unknown = [c for c in self.features.recent_columns or () if c not in self.feed.tables["inputs"].columns]
        if unknown:
            raise ValueError(f"features.recent_columns names columns that the inputs lack: {', '.join(unknown)}")
        self._check_look_back()
        self._check_gate()
        return self

    def _check_target(self) -> None:
        kind = self.feed.tables["labels"].columns[self.target]
        if self.task == "multiclass":
            feed = self.feed
            ids = (feed.entity, feed.event_time, *feed.id_columns, *feed.made.entity)
            check_classes(self.target, kind, self.classes, (*ids, *self.features.columns))
            return
        if self.classes:
            raise ValueError(f"classes are those of task 'multiclass', and task is {self.task!r}: remove one of them")
        if kind in ("string", "timestamp"):
            wanted = "boolean, or integer with 0 and 1" if self.task == "binary" else "float or integer"
            raise ValueError(
                f"target {self.target!r} of feed.tables.labels is of type {kind}, which does not fit task "
                f"{self.task!r}; declare it as {wanted}, and have it landed so"
            )

    def _check_decision(self) -> None:
        if self.decision:
            check_decision(self.decision, self.task, self.classes)
            feed = self.feed
            taken = (feed.entity, feed.event_time, *feed.id_columns, *feed.made.entity, *self.features.columns)
            if CHOICE in taken or self.target == CHOICE:
                raise ValueError(f"{CHOICE!r} is the column of the chosen class: give that of the feed another name")
        if self.loss == "cost" and not (self.decision and self.decision.costs):
            raise ValueError("gate.loss 'cost' needs decision.costs: what each outcome costs (docs/costs.md)")
        if self.gate.min_positives is not None and self.task != "binary":
            raise ValueError(f"gate.min_positives is of task 'binary', and task is {self.task!r}: remove it")

    def _check_look_back(self) -> None:
        """Refuse a duration that is too short to reach any label: the history would always be empty."""
        span, delay, calendar = self.features.look_back, self.feed.label_delay, self.partitions
        if isinstance(span, dt.timedelta):
            far = calendar.shift(calendar.first_key, calendar.most_partitions(span) + delay + 2)
            if not calendar.look_back(far, span, delay):
                raise ValueError(
                    f"features.look_back of {span.days} days reaches no labels: the newest that are due when a "
                    f"partition begins end {delay} {calendar.unit}s before it (feed.label_delay); say a longer time"
                )

    def _check_gate(self) -> None:
        inputs, fairness = self.feed.tables["inputs"].columns, self.gate.fairness
        known = {*self.features.columns, *inputs}
        for field, names in (("slices", self.gate.slices), ("fairness.by", fairness.by if fairness else ())):
            strangers = [name for name in names if name not in known]
            if strangers:
                raise ValueError(f"gate.{field} names unknown columns: {', '.join(strangers)}")
        if fairness and fairness.metric and fairness.metric not in DISPARITIES[self.task]:
            raise ValueError(
                f"gate.fairness.metric {fairness.metric!r} does not fit task {self.task!r}; "
                f"use one of {DISPARITIES[self.task]}"
            )
        cluster = self.gate.cluster
        if cluster is None:
            return
        if cluster not in inputs:
            raise ValueError(f"gate.cluster {cluster!r} is not a column of feed.tables.inputs")
        if cluster in (self.feed.entity, self.feed.event_time) or inputs[cluster] == "float":
            raise ValueError(
                f"gate.cluster {cluster!r} differs from row to row, so that rows of one day would count as independent "
                "and chance as proof; name a column of dates, or leave it out for the day of event_time"
            )
