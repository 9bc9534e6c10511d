"""What all tables of the ledger have in common."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from evergreen.core.names import PartitionKey, Uri
from evergreen.core.values import IN_COLUMNS

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Declarative base; names of constraints are fixed so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        str: Text,
        PartitionKey: Text,
        Uri: Text,
        **dict.fromkeys(IN_COLUMNS, Text),
        int: BigInteger,
        dt.datetime: DateTime(timezone=True),
        Json: JSONB,
        list[Any]: JSONB,
    }
