"""What is on record of the query whose answer a drop is: a file beside it, and from there a row of the ledger."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.query import QuerySection
from evergreen.core.store.filesystem import url_to_fs
from evergreen.loop.intake.landing_zone import Drop

_LONGEST = 1 << 20


def note_name(table: str) -> str:
    """Name of the file beside a drop that says which query it is the answer to."""
    return f"{table}.source.json"


def note(asked: QuerySection, period: Period, rows: int, file_sha256: str) -> dict[str, Any]:
    """What is kept of the query; the address of the database is not in it."""
    return {
        "format": "database",
        "connection": asked.connection,
        "query": asked.query,
        "query_sha256": hashlib.sha256(asked.query.encode()).hexdigest(),
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "rows": rows,
        "file_sha256": file_sha256,
    }


def note_of(drop: Drop, file_sha256: str) -> dict[str, Any] | None:
    """The note beside a drop; None if there is none about these bytes: somebody has landed another file."""
    table = drop.uri.rpartition("/")[2].partition(".")[0]
    fs, path = url_to_fs(f"{drop.uri.rpartition('/')[0]}/{note_name(table)}")
    try:
        found = json.loads(fs.cat_file(path, start=0, end=_LONGEST))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("file_sha256") != file_sha256:
        return None
    return {name: value for name, value in found.items() if name != "file_sha256"}
