"""The tables of how complete labels are: coverage of each partition, what is held back, what was found one-sided."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from evergreen.core.ledger.tables.base import Base
from evergreen.core.names import PartitionKey
from evergreen.core.values import HoldCause


class LabelCoverage(Base):
    """How many of a partition's accepted inputs have a label: one row for each pair of what is accepted of both.

    And for each target: a definition that names another column of the labels is judged by that one's values.
    """

    __tablename__ = "label_coverage"
    __table_args__ = (
        UniqueConstraint(
            "inputs_version_id", "inputs_rows", "labels_version_id", "labels_rows", "target",
            name="uq_label_coverage_pair",
        ),
        Index(None, "model", "key"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    inputs_version_id: Mapped[int] = mapped_column(ForeignKey("partition_version.id"))
    inputs_rows: Mapped[str]
    """Which of these inputs counted, as `Performance.labels_rows` says it of labels"""
    labels_version_id: Mapped[int] = mapped_column(ForeignKey("partition_version.id"))
    labels_rows: Mapped[str]
    target: Mapped[str]
    """Column of the labels whose values were counted"""
    inputs: Mapped[int]
    """Accepted inputs"""
    labelled: Mapped[int | None]
    """Those of them that have a label that is not null; None if retention has removed the rows"""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class LabelHold(Base):
    """A partition whose labels are held back, or were found one-sided, from when until when.

    `released_at` is the one column that changes.
    """

    __tablename__ = "label_hold"
    __table_args__ = (
        Index("uq_label_hold_open", "model", "key", "cause", unique=True, postgresql_where="released_at IS NULL"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    cause: Mapped[HoldCause]
    coverage_id: Mapped[int] = mapped_column(ForeignKey("label_coverage.id"))
    """What was found when it was held"""
    needed: Mapped[float]
    """Share of the inputs that had to have a label"""
    held_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    released_at: Mapped[dt.datetime | None]


class LabelBias(Base):
    """Whether a partition's labelled rows differ from its unlabelled ones: in what was predicted, or in the inputs."""

    __tablename__ = "label_bias"
    __table_args__ = (UniqueConstraint("coverage_id", "prediction_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    key: Mapped[PartitionKey]
    coverage_id: Mapped[int] = mapped_column(ForeignKey("label_coverage.id"))
    prediction_id: Mapped[int] = mapped_column(ForeignKey("prediction.id"))
    version: Mapped[int]
    """Model version that predicted"""
    look: Mapped[int]
    """1, 2, ...: how many partitions of the model had been tested by then; 0 if this one had too few rows for a test"""
    alpha: Mapped[float]
    """Level of this test; those of all looks together are at most `monitoring.share_alpha`"""
    one_sided: Mapped[bool]
    columns: Mapped[list[Any]]
    """Columns that differ, the largest effect first: name, effect (standard deviations), p_value, sentence"""
    sentence: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
