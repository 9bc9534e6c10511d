"""Table of what was delivered to the users of predictions."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from evergreen.core.ledger.tables.base import Base
from evergreen.core.names import PartitionKey


class SinkDelivery(Base):
    """Predictions of one partition that a sink has: written after the sink's own transaction, never changed.

    The sink itself knows what it has, so that a process that dies in between delivers nothing twice. The newest row of
    a (sink, key) is what the sink has of that partition.
    """

    __tablename__ = "sink_delivery"
    __table_args__ = (UniqueConstraint("model", "sink", "prediction_id"), Index(None, "model", "key"))

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    sink: Mapped[str]
    """Its name in the definition"""
    key: Mapped[PartitionKey]
    prediction_id: Mapped[int] = mapped_column(ForeignKey("prediction.id"))
    version: Mapped[int]
    """Model version that predicted"""
    rows: Mapped[int]
    place: Mapped[str]
    """Table or URI, as the sink was declared then; no secret"""
    delivered_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    run_url: Mapped[str | None]
