"""Accepted rows, for the later stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.errors import NotReadyError
from evergreen.ledger.tables import Verdict
from evergreen.settings import Settings
from evergreen.store import Store

if TYPE_CHECKING:
    import pandas as pd


def read_clean(verdict: Verdict, settings: Settings) -> pd.DataFrame:
    """The rows that `verdict` accepted, in landed order, with the definition's columns.

    Dtypes: string -> object (missing: None), integer -> Int64, float -> float64 (missing: NaN), boolean -> bool,
    timestamp -> datetime64[us, UTC].

    Raises:
        NotReadyError: the verdict is `quarantined`: there are no accepted rows.
        FileNotFoundError: the store no longer has them.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if verdict.clean_uri is None:
        raise NotReadyError(f"partition version {verdict.partition_version_id} is quarantined: {verdict.reason}")
    store = Store.from_settings(settings)
    table = pq.read_table(pa.BufferReader(store.read(store.name(verdict.clean_uri))))
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame
