"""Rows of reference tables as features may see them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evergreen.core.names import Uri
from evergreen.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from evergreen.core.definition.references import ReferenceSection
    from evergreen.core.ledger.tables import ReferenceVersion
    from evergreen.settings import Settings


def read_references(
    sections: Mapping[str, ReferenceSection],
    versions: Mapping[str, ReferenceVersion | None],
    until: dt.datetime,
    settings: Settings,
) -> dict[str, pd.DataFrame]:
    """The rows of `versions` by name, as `visible` leaves them; without a version none, but all columns.

    Args:
        sections: of the definition, each of which is in the result.
        versions: which one is read.
        until: end of the partition's period, aware.
        settings: where the store is.

    Raises:
        BadInputError: the store has other bytes or none; values do not fit the type that a column has now.
        UnavailableError: the store does not answer.
    """
    found = {}
    for name, section in sections.items():
        version = versions.get(name)
        try:
            found[name] = visible(section, None if version is None else _table(version, settings), until)
        except BadInputError as error:
            raise type(error)(f"reference {name}: {error}") from None
    return found


def visible(section: ReferenceSection, table: pa.Table | None, until: dt.datetime) -> pd.DataFrame:
    """The rows of a version without those that are valid only from `until` on: no event of the partition is so late.

    Dtypes as of `core.frames.to_frame`. Pure.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from evergreen.core.frames import ARROW_TYPES, conform, to_frame

    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in section.columns.items()])
    known = conform(schema.empty_table() if table is None else table, section.columns)
    if section.valid_from is not None:
        known = known.filter(pc.less(known.column(section.valid_from), pa.scalar(until, ARROW_TYPES["timestamp"])))
    return to_frame(known)


def _table(version: ReferenceVersion, settings: Settings) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evergreen.core.store import Store

    store = Store.from_settings(settings)
    try:
        data = store.read(store.name(Uri(str(version.clean_uri))))
    except FileNotFoundError:
        raise BadInputError(f"{version.clean_uri} is gone from the store; restore it from a backup") from None
    return pq.ParquetFile(pa.BufferReader(data)).read()
