"""`python -m evergreen.loop.intake.lake_reader`: the process in which the library of a lake's table runs.

It reads a question as JSON from its input: `uri`, `kind`, files `answer` and `rows`, and `known`. It writes the version
that it found as JSON to the file `answer` and, unless that version is `known`, its rows to the file `rows`, some at a
time.

Of Delta's library the query engine is used: its readers into Arrow give null for columns that the log renames, and its
`count()` counts deleted rows (deltalake 1.6).
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_ENGINE_MEMORY = 4 << 30
"""Address space that the libraries' threads and allocators reserve beside what they use"""
_MISSING, _AWAY = 3, 4
_NO_ANSWER = re.compile(r"error sending request|after \d+ retries|AWS Error (?!NO_SUCH|RESOURCE_NOT_FOUND)")
"""How object_store (Delta) and Arrow's S3 (Iceberg) say that a server does not answer, whatever type the error has"""
_OF_SERVER = re.compile(r"Generic (?!LocalFileSystem)\w+ error")
Found = tuple[dict[str, str], pa.RecordBatchReader]
"""Which version it is (format, table, version), and its rows"""


def delta(uri: str) -> Found:
    """The Delta table at `uri`."""
    from deltalake import DeltaTable, QueryBuilder

    options = {"AWS_ALLOW_HTTP": "true"} if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http:") else None
    table = DeltaTable(uri, storage_options=options)
    rows = QueryBuilder().register("landed", table).execute("SELECT * FROM landed")
    found = {"format": "delta", "table": str(table.metadata().id), "version": str(table.version())}
    return found, pa.RecordBatchReader.from_stream(rows)


def iceberg(uri: str) -> Found:
    """The Iceberg table at `uri`."""
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(_metadata_file(uri), _iceberg_properties(uri))
    snapshot = table.current_snapshot()
    newest = str(snapshot.snapshot_id) if snapshot else ""
    found = {"format": "iceberg", "table": str(table.metadata.table_uuid), "version": newest}
    return found, table.scan().to_arrow_batch_reader()


def _iceberg_properties(uri: str) -> dict[str, str]:
    names = {
        "s3.endpoint": "AWS_ENDPOINT_URL",
        "s3.access-key-id": "AWS_ACCESS_KEY_ID",
        "s3.secret-access-key": "AWS_SECRET_ACCESS_KEY",
        "s3.region": "AWS_DEFAULT_REGION",
    }
    return {name: os.environ[env] for name, env in names.items() if os.environ.get(env)} if uri[:3] == "s3:" else {}


def _metadata_file(uri: str) -> str:
    """The newest `*.metadata.json`: their names begin with a number (`00002-...`, or `v2.` of Hadoop's catalog)."""
    from evergreen.core.store.filesystem import url_to_fs

    fs, path = url_to_fs(uri)
    names = [str(n) for n in fs.ls(f"{path.rstrip('/')}/metadata", detail=False) if str(n).endswith(".metadata.json")]
    newest = max(names, key=lambda name: int(name.rpartition("/")[2].lstrip("v").replace(".", "-").split("-")[0]))
    return str(fs.unstrip_protocol(newest)) if "://" in uri else newest


def write(found: Found, path: Path) -> None:
    """The rows as one Parquet file with checksums; its metadata says which version they are."""
    version, reader = found
    schema = reader.schema.with_metadata({b"evergreen.source": json.dumps(version).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in reader:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))


def is_outage(error: BaseException) -> bool:
    """Whether the place of the table cannot be reached, so that nothing is known of the table itself.

    An OSError without a number is Arrow's about a damaged file, or a library's about a server: its words say which.
    """
    from evergreen.errors import UnavailableError

    if isinstance(error, UnavailableError | TimeoutError):
        return True
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return False
    words = str(error)
    by_system = isinstance(error, OSError) and (error.errno is not None or bool(_OF_SERVER.search(words)))
    return by_system or bool(_NO_ANSWER.search(words))


def main() -> int:
    """Answer the question on standard input."""
    asked: dict[str, Any] = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (asked["seconds"], asked["seconds"] + 5))
    with suppress(OSError, ValueError):
        most = asked["memory"] + _ENGINE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        found = {"delta": delta, "iceberg": iceberg}[asked["kind"]](asked["uri"])
        if found[0] != asked["known"]:
            write(found, Path(asked["rows"]))
        Path(asked["answer"]).write_text(json.dumps(found[0]))
    except ImportError as error:
        sys.stderr.write(f"\n{error}\n")
        return _MISSING
    except BaseException as error:  # the libraries raise panics that are no exceptions
        sys.stderr.write(f"\n{type(error).__name__}: {' '.join(str(error).split())}\n")
        return _AWAY if is_outage(error) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
