"""Landing zone, ledger and store: what landed was received once, kept as it was, and judged once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from evergreen.operations.audit import files
from evergreen.operations.audit.disagreement import Disagreement, Row, by
from evergreen.operations.audit.files import Landed
from evergreen.operations.audit.ledger_rows import Rows

_LIST = ".parts.json"
"""How the name of a raw copy ends that lists part files"""
AREA = "partitions"
OUTCOMES = ("accepted", "quarantined")
BRING_IN = (
    "Trigger the model's ingest DAG for this partition; evergreen.housekeeping does so by itself within the hour."
)
RESTORE = "Restore the file from a backup of the store, or land the partition again and run its ingest DAG."


def check(rows: Rows, landed: Iterable[Landed]) -> Iterator[Disagreement]:
    """Compare what lies in the landing zone, what the ledger received and judged, and what the store keeps of it."""
    verdicts = by(rows.verdicts, "partition_version_id")
    versions = by(rows.partition_versions, "table", "key")
    for drop in landed:
        yield from _received(drop, versions.get((drop.table, drop.key), []))
    for history in versions.values():
        yield from _numbered(history)
        for version in history:
            yield from _kept(version, rows.collected)
            yield from _judged(version, verdicts.get(version["id"], []), rows.collected)


def name(version: Row) -> str:
    """How a version of a partition is called."""
    return f"{version['table']} of {version['key']}, version {version['version']}"


def _received(drop: Landed, history: list[Row]) -> Iterator[Disagreement]:
    about = f"{drop.table} of {drop.key}"
    if not history:
        what = f"{drop.uri} has landed, and the ledger has never received it"
        yield Disagreement(AREA, about, what, BRING_IN, drop.modified)
        return
    newest = history[-1]
    # A copy with tokens in its personal columns has other bytes than what landed, and nobody here has the key.
    comparable = newest["raw_uri"] != newest["landed_uri"] and ".tokens." not in newest["raw_uri"]
    comparable = comparable and not drop.is_lake
    if comparable and _landed_hash(drop, newest) not in (None, newest["content_hash"]):
        what = f"{drop.uri} holds other bytes than version {newest['version']}, the newest that the ledger received"
        yield Disagreement(AREA, about, what, BRING_IN, drop.modified)


def _landed_hash(drop: Landed, newest: Row) -> str | None:
    """SHA-256 of what lies there, as the ledger records it; None if it cannot be read, or not be compared."""
    if not drop.parts:
        data = files.read(drop.uri)
        return None if data is None else files.sha256(data)
    if not newest["raw_uri"].endswith(_LIST):
        return ""  # one file was received, and now there is a folder
    said = _list_of(files.read(newest["raw_uri"]) or b"")
    if said is None:  # collected, or damaged: `_kept` says so
        return None
    wanted = sorted((part["name"], part["sha256"]) for part in said["parts"])
    found = sorted((uri.rpartition("/")[2], files.sha256(files.read(uri) or b"")) for uri in drop.parts)
    return str(newest["content_hash"]) if found == wanted else ""


def _list_of(data: bytes) -> dict[str, Any] | None:
    """The list of part files (`parts`, each with name and sha256, and `format`); None if these bytes are none."""
    try:
        said = json.loads(data)
        whole = isinstance(said["format"], str) and all(
            isinstance(part["name"], str) and isinstance(part["sha256"], str) for part in said["parts"]
        )
    except (ValueError, TypeError, KeyError):
        return None
    return said if whole else None


def parts_kept(version: Row, data: bytes) -> str | None:
    """What is wrong with the files of a list of part files, or None."""
    folder = version["raw_uri"].removesuffix(".json")
    said = _list_of(data)
    if said is None:
        return f"{version['raw_uri']} is no list of part files"
    for number, part in enumerate(said["parts"]):
        uri = f"{folder}/{number:05d}-{part['sha256'][:16]}.{said['format']}"
        found = files.read(uri)
        if found is None:
            return f"the copy of {part['name']}, {uri}, is not there"
        if files.sha256(found) != part["sha256"]:
            return f"{uri}, the copy of {part['name']}, does not have the SHA-256 that was recorded"
    return None


def _numbered(history: list[Row]) -> Iterator[Disagreement]:
    """Versions count 1, 2, 3, and no bytes were received twice in a row."""
    about = f"{history[0]['table']} of {history[0]['key']}"
    numbers = [version["version"] for version in history]
    if numbers != list(range(1, len(numbers) + 1)):
        what = f"the ledger's versions are {', '.join(map(str, numbers))}, and not 1 to {len(numbers)}"
        yield Disagreement(AREA, about, what, "Find out who changed the table partition_version by hand.")
    for earlier, later in pairwise(history):
        if (earlier["content_hash"], earlier["raw_uri"]) == (later["content_hash"], later["raw_uri"]):
            what = f"versions {earlier['version']} and {later['version']} are the same bytes, received twice"
            yield Disagreement(AREA, about, what, "Report it: the same bytes are one version.", later["received_at"])


def _kept(version: Row, collected: frozenset[str]) -> Iterator[Disagreement]:
    if version["raw_uri"] == version["landed_uri"]:  # too large to be copied: quarantined where it landed
        return
    data = files.read(version["raw_uri"])
    if data is None and version["raw_uri"] in collected:
        return
    if data is None:
        what = f"the copy of the landed bytes, {version['raw_uri']}, is not there"
    elif files.sha256(data) != version["content_hash"]:
        what = f"{version['raw_uri']} does not have the SHA-256 {version['content_hash'][:12]} that the ledger recorded"
    else:
        lost = parts_kept(version, data) if version["raw_uri"].endswith(_LIST) else None
        if lost is None:
            return
        what = lost
    yield Disagreement(AREA, name(version), what, RESTORE, version["received_at"])


def _judged(version: Row, verdicts: list[Row], collected: frozenset[str]) -> Iterator[Disagreement]:
    about = name(version)
    if not verdicts:
        what = "it was received and has no verdict"
        yield Disagreement(AREA, about, what, BRING_IN, version["received_at"])
        return
    for earlier, later in pairwise(verdicts):
        if earlier["suite_hash"] == later["suite_hash"]:
            what = f"verdicts {earlier['id']} and {later['id']} were given under the same suite"
            yield Disagreement(AREA, about, what, "Report it: one suite gives one verdict.", later["decided_at"])
    latest = verdicts[-1]
    if latest["outcome"] not in OUTCOMES:
        what = f"its verdict is {latest['outcome']!r}, which is neither of {' and '.join(OUTCOMES)}"
        yield Disagreement(AREA, about, what, "Find out who changed the table verdict by hand.", latest["decided_at"])
    if latest["outcome"] == "accepted":
        yield from _accepted(version, latest, collected)
    results = latest["results_uri"]
    if results is not None and results not in collected and files.read(results) is None:
        what = f"the validation's result, {results}, is not there"
        yield Disagreement(AREA, about, what, RESTORE, latest["decided_at"])


def _accepted(version: Row, verdict: Row, collected: frozenset[str]) -> Iterator[Disagreement]:
    parts = [("clean_uri", "rows_accepted", "accepted rows")]
    if verdict["rejected_uri"] is not None:
        parts.append(("rejected_uri", "rows_rejected", "rows that were kept out"))
    for uri, count, what in parts:
        if verdict[uri] in collected:
            continue
        said = rows_of(verdict[uri], verdict[count], what)
        if said is not None:
            yield Disagreement(AREA, name(version), said, RESTORE, verdict["decided_at"])
    if verdict["rows_accepted"] + verdict["rows_rejected"] != version["rows"]:
        what = (
            f"{verdict['rows_accepted']} rows accepted and {verdict['rows_rejected']} kept out are not the "
            f"{version['rows']} that it has"
        )
        yield Disagreement(AREA, name(version), what, "Report it: no row may be lost.", verdict["decided_at"])


def rows_of(uri: str | None, expected: int, what: str) -> str | None:
    """What is wrong with a file of rows, or None."""
    data = None if uri is None else files.read(uri)
    if data is None:
        return f"the {what}, {uri}, are not there"
    found = files.table(data)
    if found is None:
        return f"the {what}, {uri}, are no readable Parquet file"
    return None if found.num_rows == expected else f"{uri} has {found.num_rows} rows, the ledger says {expected}"
