"""Ledger and store: each snapshot that a champion serves has its predictions, once, and a check of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.operations.audit import choices, files
from evergreen.operations.audit.disagreement import Disagreement, Row, by
from evergreen.operations.audit.features import stored_at
from evergreen.operations.audit.files import Entry
from evergreen.operations.audit.ledger_rows import Rows

AREA = "predictions"
SCORE = "Trigger the model's score DAG for this partition; evergreen.housekeeping does so by itself after three hours."
MONITOR = "Trigger the model's monitor DAG for this partition; evergreen.housekeeping does so after three hours."
RESTORE = "Restore the file from a backup of the store."


def check(definition: ModelDefinition, rows: Rows, store: list[Entry], dvc_url: str) -> Iterator[Disagreement]:
    """Compare snapshots, predictions, their files and their checks; `store` lists the objects of the store."""
    snapshots = {row["id"]: row for row in rows.snapshots}
    rules = {run["version"]: run["decision"] for run in rows.training_runs if run["version"] is not None}
    made, checks = by(rows.predictions, "snapshot_id"), by(rows.drift_checks, "key")
    yield from _all_scored(rows, made)
    for prediction in rows.predictions:
        snapshot = snapshots.get(prediction["snapshot_id"])
        if prediction["uri"] not in rows.collected:
            yield from _whole(definition, prediction, snapshot, dvc_url)
            yield from _choices(prediction, rules.get(prediction["version"]))
        yield from _by_a_champion(prediction, rows.deployments)
    newest = {row["key"]: row for row in rows.predictions}
    for key, prediction in newest.items():
        if key not in checks:
            what = f"predictions by version {prediction['version']} were never checked"
            yield Disagreement(AREA, key, what, MONITOR, prediction["created_at"])
    yield from _online(rows.odd_requests)
    known = {row["uri"].rpartition("/predictions/")[2] for row in rows.predictions}
    for entry in store:
        part = entry.path.partition(f"predictions/{definition.name}/")
        if part[0] == "" and part[1] and not _hidden(entry) and f"{definition.name}/{part[2]}" not in known:
            what = f"no row of the ledger names {entry.uri}"
            fix = (
                "A scoring that was killed before it recorded the file left it, and another version scored: delete it."
            )
            yield Disagreement(AREA, part[2], what, fix, entry.modified)


def _online(odd: list[Row]) -> Iterator[Disagreement]:
    """Each request for predictions was answered by who served, and every row of it is on record."""
    for request in odd:
        about, since = f"request {request['name']}", request["asked_at"]
        if not request["by_champion"]:
            what = f"version {request['version']} answered it and was not champion then"
            yield Disagreement(AREA, about, what, "Report it: only a champion predicts.", since)
        if request["predictions"] != request["rows"]:
            what = f"it had {request['rows']} rows, and {request['predictions']} predictions are on record"
            yield Disagreement(AREA, about, what, "Find out who changed online_prediction by hand.", since)


def _hidden(entry: Entry) -> bool:
    return entry.path.rpartition("/")[2].startswith(".")


def _name(prediction: Row) -> str:
    return f"predictions of {prediction['key']} by version {prediction['version']}"


def _all_scored(rows: Rows, made: dict[int, list[Row]]) -> Iterator[Disagreement]:
    """Every current snapshot since the first champion has its predictions, and no snapshot has two."""
    first = rows.deployments[0] if rows.deployments else None
    newest, snapshots = {row["key"]: row for row in rows.predictions}, {row["id"]: row for row in rows.snapshots}
    for key, snapshot in rows.current_snapshots.items():
        predicted = snapshots.get(newest[key]["snapshot_id"]) if key in newest else None
        if predicted is not None and predicted["code_hash"] != snapshot["code_hash"] and _covers(predicted, snapshot):
            continue  # by a version of other code: that code changes is no reason to predict again
        if first is not None and key >= (first["from_key"] or "") and snapshot["id"] not in made:
            what = f"features of version {snapshot['version']} have no predictions"
            yield Disagreement(AREA, key, what, SCORE, max(snapshot["created_at"], first["served_from"]))
    for found in made.values():
        if len(found) > 1:
            what = f"snapshot {found[0]['snapshot_id']} was predicted {len(found)} times"
            yield Disagreement(AREA, found[0]["key"], what, "Report it: a snapshot is predicted once.")


def _covers(predicted: Row, snapshot: Row) -> bool:
    """Whether a snapshot by other code was built from the rows that this one was, or later."""
    if predicted["id"] > snapshot["id"]:
        return True
    if (predicted["inputs_version_id"], predicted["rows"]) != (snapshot["inputs_version_id"], snapshot["rows"]):
        return False
    for column in ("labels_used", "inputs_looked_back"):
        before, now = predicted[column], snapshot[column]
        if any(key in now and now[key] != version for key, version in before.items()):
            return False
    return not set(predicted["labels_missing"]) & set(snapshot["labels_used"])


def _whole(definition: ModelDefinition, prediction: Row, snapshot: Row | None, dvc_url: str) -> Iterator[Disagreement]:
    about, since = _name(prediction), prediction["created_at"]
    if snapshot is None or snapshot["key"] != prediction["key"]:
        what = f"snapshot {prediction['snapshot_id']}, which it says to predict, is not one of {prediction['key']}"
        yield Disagreement(AREA, about, what, "Find out who changed the table prediction by hand.", since)
        return
    data = files.read(prediction["uri"])
    if data is None:
        yield Disagreement(AREA, about, f"{prediction['uri']} is not there", RESTORE, since)
        return
    if files.sha256(data) != prediction["content_hash"]:
        what = f"{prediction['uri']} does not have the SHA-256 {prediction['content_hash'][:12]} that was recorded"
        yield Disagreement(AREA, about, what, RESTORE, since)
        return
    found = files.table(data)
    if found is None or not prediction["rows"] == snapshot["rows"] == found.num_rows:
        has = "no readable Parquet file" if found is None else f"{found.num_rows} rows"
        what = f"the ledger says {prediction['rows']} rows of {snapshot['rows']} in the features; the file has {has}"
        yield Disagreement(AREA, about, what, "Report it: each row is predicted once.", since)
        return
    features = files.table(files.read(stored_at(dvc_url, snapshot["dvc_hash"])) or b"")
    entity = found.column_names[0]  # as the feed called it when it was predicted
    if features is not None and found[entity].to_pylist() != features[entity].to_pylist():
        what = f"its column {entity} is not that of the features"
        yield Disagreement(AREA, about, what, "Report it: each row is predicted once.", since)


def _choices(prediction: Row, rule: dict[str, Any] | None) -> Iterator[Disagreement]:
    table = files.table(files.read(prediction["uri"]) or b"") if rule else None
    if table is not None:
        yield from choices.check(_name(prediction), prediction, table, rule)


def _by_a_champion(prediction: Row, deployments: list[Row]) -> Iterator[Disagreement]:
    """The version that predicted had become champion by then."""
    began = [d["served_from"] for d in deployments if d["version"] == prediction["version"]]
    if not began or min(began) > prediction["created_at"]:
        what = f"version {prediction['version']} was not champion when it predicted"
        yield Disagreement(AREA, _name(prediction), what, "Report it: only a champion predicts.")
