"""Reference tables: what landed is kept as it was, and no features read what was not known when they had to be."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator

from evergreen.core.definition import ModelDefinition
from evergreen.operations.audit import files
from evergreen.operations.audit.disagreement import Disagreement, Row, by
from evergreen.operations.audit.features import refused_keys
from evergreen.operations.audit.files import Entry
from evergreen.operations.audit.ledger_rows import Rows
from evergreen.operations.audit.partitions import parts_kept, rows_of

AREA = "references"
BUILD = "Clear the task `build` of the model's features DAG for this partition: it builds what is missing."
BRING_IN = "Trigger the model's DAG ingest_references; it runs every ten minutes by itself."
RESTORE = "Restore the file from a backup of the store."
REPORT = "Report it: features must be point-in-time correct."
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)(T\d\d(?:\d\d){0,2})?(?:\.([2-9]|[1-9]\d{1,3}))?")


def check(definition: ModelDefinition, rows: Rows, landing: Iterable[Entry]) -> Iterator[Disagreement]:
    """Compare the landing zone, the versions of references on record, the store, and what snapshots were built from."""
    for version in rows.reference_versions:
        yield from _kept(definition, version)
    for (name, stamp), found in by(rows.reference_versions, "name", "stamp").items():
        accepted = [version for version in found if version["outcome"] == "accepted"]
        if len(accepted) > 1:
            what = f"{len(accepted)} versions of one stamp are accepted; one is never replaced"
            yield Disagreement(AREA, f"{name} of {stamp}", what, "Find out who changed the table reference_version.")
    yield from _received(definition, rows, landing)
    versions = {version["id"]: version for version in rows.reference_versions}
    for snapshot in rows.snapshots:
        yield from _in_time(definition, snapshot, versions)
    final = refused_keys(rows) | rows.keys_not_rebuilt()
    for key, snapshot in rows.current_snapshots.items():
        if key not in final:
            yield from _is_current(definition, snapshot, rows)
            yield from _recent(definition, snapshot, rows)


def _about(version: Row) -> str:
    return f"reference {version['name']} of {version['stamp']}"


def _kept(definition: ModelDefinition, version: Row) -> Iterator[Disagreement]:
    about, since = _about(version), version["received_at"]
    if version["known_from"] != _known_from(definition, version["stamp"]):
        what = f"the ledger says that it was known from {version['known_from']:%Y-%m-%d %H:%M:%S}; its stamp does not"
        yield Disagreement(
            AREA, about, what, "Was calendar.timezone changed? Versions keep what their stamp meant.", since
        )
    if version["raw_uri"] != version["landed_uri"]:  # else it could not be copied: quarantined where it landed
        data = files.read(version["raw_uri"])
        if data is None:
            yield Disagreement(AREA, about, f"the copy of it, {version['raw_uri']}, is not there", RESTORE, since)
        elif files.sha256(data) != version["content_hash"]:
            what = f"{version['raw_uri']} does not have the SHA-256 {version['content_hash'][:12]} that was recorded"
            yield Disagreement(AREA, about, what, RESTORE, since)
        elif version["raw_uri"].endswith(".parts.json") and (lost := parts_kept(version, data)):
            yield Disagreement(AREA, about, lost, RESTORE, since)
    if version["outcome"] == "accepted":
        said = rows_of(version["clean_uri"], version["rows"], "accepted rows")
        if said is not None:
            yield Disagreement(AREA, about, said, RESTORE, since)


def _known_from(definition: ModelDefinition, stamp: str) -> dt.datetime | None:
    found = _STAMP.fullmatch(stamp)
    if found is None:
        return None
    try:
        day = dt.date.fromisoformat(found[1])
        if found[2] is None:
            return definition.partitions.midnight(day)
        digits = found[2][1:].ljust(6, "0")
        clock = dt.time(int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    except ValueError:  # no day or time of any calendar: a stray folder, which intake reports
        return None
    return dt.datetime.combine(day, clock, dt.UTC)


def _received(definition: ModelDefinition, rows: Rows, landing: Iterable[Entry]) -> Iterator[Disagreement]:
    """Every whole version in the landing zone is on record. Files only: of folders, the list of parts says more."""
    folders: dict[tuple[str, str], dict[str, Entry]] = {}
    for entry in landing:
        parts = entry.path.split("/")
        if len(parts) == 4 and parts[0] == "references" and parts[1] in definition.feed.references:
            folders.setdefault((parts[1], parts[2]), {})[parts[3]] = entry
    known = by(rows.reference_versions, "name", "stamp")
    for (name, stamp), names in sorted(folders.items()):
        mark = names.get("_SUCCESS")
        tables = [e for n, e in names.items() if n.partition(".")[0] == name and n != "_SUCCESS" and not e.is_link]
        newest = max(tables, key=lambda entry: entry.modified, default=None)
        if newest is None or mark is None or mark.modified < newest.modified or _known_from(definition, stamp) is None:
            continue
        if any(v["raw_uri"] == v["landed_uri"] == newest.uri for v in known.get((name, stamp), [])):
            continue  # it was too large to copy, and is recorded where it landed by size and time
        data = files.read(newest.uri)
        hashes = {version["content_hash"] for version in known.get((name, stamp), [])}
        if data is not None and files.sha256(data) not in hashes:
            what = f"{newest.uri} has landed, and the ledger has never received it"
            yield Disagreement(AREA, f"reference {name} of {stamp}", what, BRING_IN, newest.modified)


def _in_time(definition: ModelDefinition, snapshot: Row, versions: dict[int, Row]) -> Iterator[Disagreement]:
    begin, about = definition.partitions.period(snapshot["key"]).start, _features(snapshot)
    for name, number in snapshot["references_used"].items():
        version = versions.get(number)
        if number is not None and version is None:
            what = f"it was built from version {number} of {name}, which the ledger does not have"
            yield Disagreement(AREA, about, what, "Restore the ledger from a backup.", snapshot["created_at"])
        elif version is not None and (version["known_from"] > begin or version["outcome"] != "accepted"):
            what = f"it was built from {_about(version)}, which was not known and accepted when {snapshot['key']} began"
            yield Disagreement(AREA, about, what, REPORT, snapshot["created_at"])
    ahead = [key for key in (*snapshot["recent_inputs"], *snapshot["recent_missing"]) if key >= snapshot["key"]]
    if ahead:
        what = f"it reads inputs of {', '.join(sorted(ahead))}, which land after {snapshot['key']} has begun"
        yield Disagreement(AREA, about, what, REPORT, snapshot["created_at"])


def _features(snapshot: Row) -> str:
    return f"features of {snapshot['key']}, version {snapshot['version']}"


def _is_current(definition: ModelDefinition, snapshot: Row, rows: Rows) -> Iterator[Disagreement]:
    begin = definition.partitions.period(snapshot["key"]).start
    for name, number in snapshot["references_used"].items():
        known = [
            version for version in rows.reference_versions
            if version["name"] == name and version["outcome"] == "accepted" and version["known_from"] <= begin
        ]  # fmt: skip
        newest = max(known, key=lambda v: (v["known_from"], v["revision"], v["stamp"]), default=None)
        if newest is not None and newest["id"] != number:
            what = f"it should have been built from {_about(newest)}, the newest that was known when it began"
            yield Disagreement(AREA, _features(snapshot), what, BUILD, newest["received_at"])


def _recent(definition: ModelDefinition, snapshot: Row, rows: Rows) -> Iterator[Disagreement]:
    current = rows.current_partitions("inputs")
    versions = {row["id"]: row for row in rows.partition_versions}
    wanted = {*snapshot["recent_inputs"], *snapshot["recent_missing"]} & current.keys()
    for key in sorted(wanted):
        version, verdict = current[key]
        used = versions.get(snapshot["recent_inputs"].get(key))
        if used is None or used["content_hash"] != version["content_hash"]:
            what = (
                f"it reads inputs of {key} {'not at all' if used is None else 'of an earlier version'}; accepted is "
                f"version {version['version']}"
            )
            yield Disagreement(AREA, _features(snapshot), what, BUILD, verdict["decided_at"])
