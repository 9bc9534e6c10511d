"""Drops of several files, as other systems write them."""

import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write_parts(folder: Path, tables, *, name="part-{:05d}.parquet", marked=True) -> None:
    """Part files as Spark leaves them: with its checksums, its commit files and its own `_SUCCESS`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        table = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
        file = folder / name.format(number)
        if file.suffix == ".csv":
            table.to_pandas().to_csv(file, index=False)
        else:
            pq.write_table(table, file)
        (folder / f".{file.name}.crc").write_bytes(b"crc\0")
    (folder / "_started_7").write_text("{}")
    (folder / "_committed_7").write_text("{}")
    if marked:
        (folder / "_SUCCESS").write_bytes(b"")


def put(path: Path, when: int, data: bytes = b"x") -> None:
    """A file of that time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (when, when))
