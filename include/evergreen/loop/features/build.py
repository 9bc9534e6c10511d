"""Build the features of one partition, validate them and publish them as a snapshot."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.snapshots import FEATURES_REMOTE, Published, dvc_path, publish
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import snapshots
from evergreen.core.ledger.session import share
from evergreen.core.ledger.tables import Snapshot
from evergreen.core.store import Store
from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import QuarantinedError
from evergreen.loop.features.build_plan import BuildPlan, read_plan
from evergreen.loop.features.features_file import code_hash
from evergreen.loop.intake.labels import coverage
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("evergreen.features")

OVERTAKEN = 5
"""How often a build is followed by another because what it reads has changed meanwhile; then the next event does it."""


@dataclass(frozen=True)
class Built:
    """One feature snapshot."""

    snapshot_row: int
    """Id of its row in the ledger"""
    snapshot_id: str
    """Git commit and DVC hash"""
    version: int
    git_commit: str
    dvc_path: str
    dvc_hash: str
    rows: int
    labels_missing: list[str]
    """Partitions that should have been looked back on and were not there"""
    reused: bool
    """Whether an earlier run had made it"""


@dataclass(frozen=True)
class _Refused:
    reason: str


def build(definition: ModelDefinition, key: str, *, settings: Settings, run_url: str | None = None) -> Built:
    """The snapshot of the features of partition `key`: made now, or by an earlier run from the same inputs and code.

    Whoever else builds the same key waits for its turn and then finds this one. A run killed between publishing and
    recording leaves a commit without a ledger row; the next run makes the same bytes, finds them and records them.
    Labels that are accepted while it builds are built in as well: whoever accepted them found no snapshot yet to call
    stale.

    Raises:
        NotReadyError: the inputs of `key` have no accepted version.
        QuarantinedError: the features suite refused what was built; a mail is owed, nothing is published.
        BadInputError, DefinitionError: `features.py` is at fault.
        UnavailableError: ledger, store, Git or DVC remote do not answer.
    """
    _review(definition, settings)
    built = _build(definition, key, settings=settings, run_url=run_url)
    for _ in range(OVERTAKEN):
        if built.reused or not _overtaken(definition, key, settings):
            break
        built = _build(definition, key, settings=settings, run_url=run_url)
    return built


def _review(definition: ModelDefinition, settings: Settings) -> None:
    """Know which labels are complete: who accepted them may not have come to it yet, or never will."""
    if definition.features.look_back:
        coverage.review(definition, settings=settings)


def _overtaken(definition: ModelDefinition, key: str, settings: Settings) -> bool:
    """Whether what the snapshot was built from is no longer what is accepted."""
    _review(definition, settings)
    with Ledger.from_settings(settings).transaction() as session:
        current = snapshots.current(session, definition.name, key)
        wanted = read_plan(session, definition, key).build_hash(definition.name, code_hash(definition))
    return current is not None and current.build_hash != wanted


def _build(definition: ModelDefinition, key: str, *, settings: Settings, run_url: str | None) -> Built:
    fingerprint = code_hash(definition)
    with Ledger.from_settings(settings).lock("features", definition.name, key) as session:
        plan = read_plan(session, definition, key)
        current = snapshots.current(session, definition.name, key)
        build_hash = plan.build_hash(definition.name, fingerprint)
        if current is not None and current.build_hash == build_hash:
            log.info(
                "%s %s: nothing to build: version %d was built from the same partitions by the same code (%s)",
                definition.name, key, current.version, current.snapshot_id,
            )  # fmt: skip
            return _describe(current, reused=True)
        _announce(definition, plan, current)
        version = current.version + 1 if current else 1
        made = _make(session, definition, plan, fingerprint, version, settings=settings, run_url=run_url)
    if isinstance(made, _Refused):
        raise QuarantinedError(
            f"{definition.name} {key}: the features failed validation and were not published: {made.reason}. "
            "Correct features.py or expectations.py, then clear this task"
        )
    return _describe(made, reused=False)


def _announce(definition: ModelDefinition, plan: BuildPlan, current: Snapshot | None) -> None:
    past = [p.key for p in plan.history]
    seen = f"labels of {past[0]} to {past[-1]} ({len(past)} partitions)" if past else "no labels"
    log.info(
        "%s %s: building from inputs version %d (%s rows), looking back on %s",
        definition.name, plan.key, plan.inputs[0].version, f"{plan.inputs[1].rows_accepted:,}", seen,
    )  # fmt: skip
    if plan.missing:
        log.warning(
            "%s %s: built without %s, which is not accepted or complete yet; built again when it is",
            definition.name, plan.key, plan.describe_missing(),
        )  # fmt: skip
    if current is not None:
        log.info(
            "%s %s: version %d was built from other partition versions or by other code",
            definition.name, plan.key, current.version,
        )  # fmt: skip


def _make(
    session: Session,
    definition: ModelDefinition,
    plan: BuildPlan,
    fingerprint: str,
    version: int,
    *,
    settings: Settings,
    run_url: str | None,
) -> Snapshot | _Refused:
    """Build, validate, publish and record; the caller holds the lock of (model, key)."""
    from evergreen.loop.features.compute import compute
    from evergreen.loop.features.look_back import read_history
    from evergreen.loop.features.validate import check, owe_alert
    from evergreen.loop.intake.accepted_rows import read_clean, read_clean_table

    build_hash = plan.build_hash(definition.name, fingerprint)
    history = read_history(
        definition, plan.history, lambda verdict, columns: read_clean_table(verdict, settings, columns)
    )
    frame = compute(definition, read_clean(plan.inputs[1], settings), history)
    failures, results_uri = check(definition, plan.key, frame, build_hash, store=Store.from_settings(settings))
    if failures:
        return _Refused(
            owe_alert(session, definition, plan.key, failures, dedup=build_hash, report=results_uri, run_url=run_url)
        )
    message = f"{definition.name} {plan.key} version {version}: {len(frame)} rows\n\nBuild {build_hash}"
    share(session, FEATURES_REMOTE)  # retention removes nothing from the remote before this build is recorded
    published, content_hash = _publish(definition, plan.key, frame, message, settings=settings)
    snapshot = Snapshot(
        model=definition.name,
        key=plan.key,
        version=version,
        build_hash=build_hash,
        code_hash=fingerprint,
        content_hash=content_hash,
        rows=len(frame),
        results_uri=results_uri,
        run_url=run_url,
        dvc_path=dvc_path(definition.name, plan.key),
        dvc_hash=published.dvc_hash,
        git_commit=published.git_commit,
        **_sources(plan),
    )
    session.add(snapshot)
    session.flush()
    return snapshot


def _sources(plan: BuildPlan) -> dict[str, object]:
    return {
        "inputs_version_id": plan.inputs[0].id,
        "inputs_verdict_id": plan.inputs[1].id,
        "labels_used": plan.labels_used,
        "inputs_looked_back": plan.inputs_looked_back,
        "labels_missing": list(plan.missing),
    }


def _publish(
    definition: ModelDefinition, key: str, frame: pd.DataFrame, message: str, *, settings: Settings
) -> tuple[Published, str]:
    """Publish the features; where they can be read, and the SHA-256 of their file."""
    from evergreen.loop.features.compute import write_parquet

    path = dvc_path(definition.name, key)
    with scratch_folder("features") as folder:
        file = folder / "features.parquet"
        write_parquet(definition, frame, file)
        content_hash, size = _sha256(file), file.stat().st_size
        published = publish(settings, path, file, message)
    log.info(
        "%s %s: %s as %s (%s bytes), commit %s, DVC hash %s",
        definition.name, key, "published" if published.new else "the same bytes are in the repository already",
        path, f"{size:,}", published.git_commit[:12], published.dvc_hash,
    )  # fmt: skip
    return published, content_hash


def _describe(snapshot: Snapshot, *, reused: bool) -> Built:
    return Built(
        snapshot_row=snapshot.id,
        snapshot_id=snapshot.snapshot_id,
        version=snapshot.version,
        git_commit=snapshot.git_commit,
        dvc_path=snapshot.dvc_path,
        dvc_hash=snapshot.dvc_hash,
        rows=snapshot.rows,
        labels_missing=list(snapshot.labels_missing),
        reused=reused,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
