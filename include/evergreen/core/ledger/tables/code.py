"""Table of the feature code that is kept, so that each version is always fed by the code that it was made from."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from evergreen.core.ledger.tables.base import Base, Json
from evergreen.core.names import Uri


class FeatureCode(Base):
    """A copy of a model's feature code in the store: `features.py`, the files beside it, and `expectations.py`.

    The newest row of a code counts: `expectations.py`, which `code_hash` does not cover, may have changed since.
    """

    __tablename__ = "feature_code"
    __table_args__ = (UniqueConstraint("model", "code_hash", "content_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    code_hash: Mapped[str]
    """As of `Snapshot`"""
    content_hash: Mapped[str]
    """SHA-256 of the kept archive"""
    folder: Mapped[str]
    """Folder of its features in the feature repository, below the model's; empty for a model's first code"""
    definition: Mapped[Json]
    """What the definition said of `features`, and of the `feed`'s entity, event_time and tables"""
    uri: Mapped[Uri]
    """The archive in the store"""
    kept_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
