"""What is on record of the query whose answer a drop is: a file beside it, and from there a row of the ledger."""

from __future__ import annotations

import errno
import hashlib
import json
from typing import Any

from evergreen.core.definition.calendar import Period
from evergreen.core.definition.query import QuerySection
from evergreen.core.store.filesystem import url_to_fs
from evergreen.errors import UnavailableError
from evergreen.loop.intake.landing_zone import Drop, note_name

_LONGEST = 1 << 20


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
    """The note beside a drop; None if there is none about these bytes: somebody has landed another file.

    Raises:
        UnavailableError: it cannot be read, which does not mean that there is none.
    """
    found = _beside(drop)
    if found is None or found.get("file_sha256") != file_sha256:
        return None
    return {name: value for name, value in found.items() if name != "file_sha256"}


def is_answer(drop: Drop) -> bool:
    """Whether the drop holds the bytes that a query gave; False if somebody has landed another file in their place.

    Raises:
        UnavailableError: the drop or its note cannot be read.
    """
    found = _beside(drop)
    if found is None or drop.parts:
        return False
    digest = hashlib.sha256()
    try:
        fs, path = url_to_fs(drop.uri)
        with fs.open(path, "rb") as file:
            while block := file.read(_LONGEST):
                digest.update(block)
    except OSError as error:
        raise UnavailableError(f"cannot read {drop.uri}: {error.strerror or error}; try again") from error
    return bool(found.get("file_sha256") == digest.hexdigest())


def _beside(drop: Drop) -> dict[str, Any] | None:
    """The note beside a drop, whatever bytes it is about; raises UnavailableError if it cannot be read."""
    folder, _, name = drop.uri.rpartition("/")
    uri = f"{folder}/{note_name(name.partition('.')[0])}"
    fs, path = url_to_fs(uri)
    try:
        found = json.loads(fs.cat_file(path, start=0, end=_LONGEST))
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # S3 has no range of an empty file
            return None
        raise UnavailableError(f"cannot read {uri}: {error.strerror or error}; try again") from error
    return found if isinstance(found, dict) else None
