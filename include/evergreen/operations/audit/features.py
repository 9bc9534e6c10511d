"""Ledger, DVC remote and feature repository: one current snapshot of what is accepted, and its bytes where it says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import yaml

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.git import BRANCH, open_remote
from evergreen.operations.audit import files
from evergreen.operations.audit.disagreement import Disagreement, Row, by
from evergreen.operations.audit.ledger_rows import Rows

AREA = "features"
BUILD = "Clear the task `build` of the model's features DAG for this partition: it builds what is missing."
PUSH = "Restore the file from a backup of the DVC remote, or delete it there and clear the task `build`."
HISTORY = "Was EVERGREEN_FEATURES_GIT_URL changed, or the repository's history rewritten? Restore it from a backup."


@dataclass(frozen=True)
class Repository:
    """What the feature repository's branch holds."""

    commits: frozenset[str]
    tip: str | None
    pointers: dict[tuple[str, str], str]
    """MD5 by (commit, path of the data file), if the commit holds it"""


def read_repository(url: str, snapshots: list[Row]) -> Repository:
    """The commits of the branch, and the `.dvc` files that the snapshots' commits and the newest one hold.

    Raises:
        UnavailableError: the Git remote does not answer.
    """
    with open_remote(url) as git:
        if git.fetch_tip() is None:
            return Repository(frozenset(), None, {})
        git.run("fetch", "--quiet", "--no-tags", "--depth=2147483647", "--", git.url, BRANCH)
        commits = git.run("rev-list", "FETCH_HEAD").decode().split()
        known, pointers = set(commits), dict[tuple[str, str], str]()
        wanted = {(row["git_commit"], row["dvc_path"]) for row in snapshots if row["git_commit"] in known}
        wanted |= {(commits[0], row["dvc_path"]) for row in snapshots}
        for commit, rows in _paths_by_commit(wanted).items():
            for path, text in git.read(commit, [f"{path}.dvc" for path in rows]).items():
                if text is not None:
                    pointers[commit, path.removesuffix(".dvc")] = str(yaml.safe_load(text)["outs"][0]["md5"])
    return Repository(frozenset(commits), commits[0], pointers)


def _paths_by_commit(wanted: set[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for commit, path in sorted(wanted):
        found.setdefault(commit, []).append(path)
    return found


def check(definition: ModelDefinition, rows: Rows, repository: Repository, dvc_url: str) -> Iterator[Disagreement]:
    """Compare accepted inputs, snapshots, the repository's commits and the bytes in the DVC remote."""
    versions = {row["id"]: row for row in rows.partition_versions}
    current = {table: rows.current_partitions(table) for table in files.TABLES}
    built, refused, since = rows.current_snapshots, refused_keys(rows), _code_since(rows)
    for key, (version, verdict) in current["inputs"].items():
        if key not in built and key not in refused:
            what = f"inputs of version {version['version']} are accepted, and no features were built from them"
            yield Disagreement(AREA, key, what, BUILD, verdict["decided_at"])
    final = refused | rows.keys_not_rebuilt()
    for key, snapshot in built.items():
        if key not in final:
            for found in _is_current(snapshot, versions, current, rows):
                yield replace(found, since=max(filter(None, (found.since, since)), default=None))
    newest = {(row["key"], row["dvc_path"]): row for row in rows.snapshots}
    for snapshot in newest.values():
        if repository.pointers.get((repository.tip or "", snapshot["dvc_path"])) != snapshot["dvc_hash"]:
            what = f"the newest commit of the feature repository does not name its bytes, MD5 {snapshot['dvc_hash']}"
            yield Disagreement(AREA, _name(snapshot), what, HISTORY, snapshot["created_at"])
    for history in by(rows.snapshots, "key").values():
        yield from _numbered(history)
    for snapshot in rows.snapshots:
        yield from _in_time(definition, snapshot)
        yield from _published(snapshot, repository, dvc_url, rows.collected)


def _code_since(rows: Rows) -> dt.datetime | None:
    """When the code began to serve that does: what an earlier code built may have to be built again from then on."""
    runs = {run["version"]: run.get("features_hash") for run in rows.training_runs}
    since = None
    for deployment in reversed(rows.deployments):
        if runs.get(deployment["version"]) != rows.serving_code:
            return since
        since = deployment["served_from"]
    return None


def _name(snapshot: Row) -> str:
    return f"features of {snapshot['key']}, version {snapshot['version']}"


def refused_keys(rows: Rows) -> set[str]:
    """Keys of which a build was refused by the features suite: a mail says so."""
    told = [(row["dedup_key"], row) for row in rows.alerts] + [(met["name"], met) for met in rows.occurrences]
    return {row["key"] for name, row in told if ":features:" in name and row["kind"] == "quarantine"}


def _is_current(
    snapshot: Row,
    versions: dict[int, Row],
    current: dict[str, dict[str, tuple[Row, Row]]],
    rows: Rows,
) -> Iterator[Disagreement]:
    """The snapshot was built from what is accepted today."""
    inputs = {snapshot["key"]: snapshot["inputs_version_id"], **snapshot["inputs_looked_back"]}
    read = [("inputs", inputs), ("labels", snapshot["labels_used"])]
    for table, used in read:
        for key, version_id in used.items():
            accepted = current[table].get(key)
            if accepted and versions[version_id]["content_hash"] != accepted[0]["content_hash"]:
                what = (
                    f"it was built from {table} of {key}, version {versions[version_id]['version']}; accepted is "
                    f"version {accepted[0]['version']} with other bytes"
                )
                yield Disagreement(AREA, _name(snapshot), what, BUILD, accepted[1]["decided_at"])
    for key in sorted(rows.incomplete_labels & snapshot["labels_used"].keys()):
        what = f"it looks back on {key}, whose labels are held back as incomplete"
        yield Disagreement(AREA, _name(snapshot), what, BUILD, current["labels"][key][1]["decided_at"])
    for key in snapshot["labels_missing"]:
        found = [current[table][key] for table in files.TABLES if key in current[table]]
        if len(found) == len(files.TABLES) and key not in rows.incomplete_labels:
            what = f"it was built without {key}, whose inputs and labels are accepted by now"
            since = max(verdict["decided_at"] for _, verdict in found)
            yield Disagreement(AREA, _name(snapshot), what, BUILD, since)


def _numbered(history: list[Row]) -> Iterator[Disagreement]:
    numbers = [row["version"] for row in history]
    if numbers != list(range(1, len(numbers) + 1)):
        what = f"the ledger's versions are {', '.join(map(str, numbers))}, and not 1 to {len(numbers)}"
        yield Disagreement(AREA, f"features of {history[0]['key']}", what, "Find out who changed the table snapshot.")
    for earlier, later in pairwise(history):
        if earlier["build_hash"] == later["build_hash"]:
            what = f"it was built twice in a row from the same partitions by the same code ({later['build_hash'][:12]})"
            yield Disagreement(AREA, _name(later), what, "Report it: one build is made once.", later["created_at"])


def _in_time(definition: ModelDefinition, snapshot: Row) -> Iterator[Disagreement]:
    """No labels were looked back on that could not have been known when the partition began."""
    calendar, key = definition.partitions, snapshot["key"]
    begin = calendar.period(key).start
    ahead = [used for used in snapshot["labels_used"] if calendar.due(used, definition.feed.label_delay) > begin]
    if ahead:
        what = f"it looks back on labels of {', '.join(sorted(ahead))}, which are due after {key} has begun"
        yield Disagreement(AREA, _name(snapshot), what, "Report it: features must be point-in-time correct.")


def _published(
    snapshot: Row, repository: Repository, dvc_url: str, collected: frozenset[str]
) -> Iterator[Disagreement]:
    about, since, name = _name(snapshot), snapshot["created_at"], snapshot["dvc_hash"]
    if snapshot["git_commit"] not in repository.commits:
        what = f"commit {snapshot['git_commit'][:12]} is not on the branch main of the feature repository"
        yield Disagreement(AREA, about, what, HISTORY, since)
    elif repository.pointers.get((snapshot["git_commit"], snapshot["dvc_path"])) != name:
        what = f"commit {snapshot['git_commit'][:12]} does not name {snapshot['dvc_path']} with MD5 {name}"
        yield Disagreement(AREA, about, what, HISTORY, since)
    uri = stored_at(dvc_url, name)
    data = files.read(uri)
    if data is None and name in collected:
        return
    if data is None:
        yield Disagreement(AREA, about, f"the DVC remote has no {uri}", PUSH, since)
        return
    if files.md5(data) != name or files.sha256(data) != snapshot["content_hash"]:
        what = f"{uri} has other bytes than the MD5 and the SHA-256 say that the ledger recorded"
        yield Disagreement(AREA, about, what, PUSH, since)
        return
    found = files.table(data)
    if found is None or found.num_rows != snapshot["rows"]:
        has = "is no readable Parquet file" if found is None else f"has {found.num_rows} rows"
        yield Disagreement(AREA, about, f"{uri} {has}, the ledger says {snapshot['rows']} rows", PUSH, since)


def stored_at(dvc_url: str, md5: str) -> str:
    """Where a DVC remote keeps the file with this MD5."""
    return f"{dvc_url.rstrip('/')}/files/md5/{md5[:2]}/{md5[2:]}"
