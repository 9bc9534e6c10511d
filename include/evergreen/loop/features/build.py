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
from evergreen.core.ledger.tables import ReferenceVersion, Snapshot
from evergreen.core.names import PartitionKey
from evergreen.core.store import Store
from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import QuarantinedError, UnavailableError
from evergreen.loop.features.beside import read_beside
from evergreen.loop.features.build_plan import BuildPlan, read_plan
from evergreen.loop.features.feature_code import FeatureCode, keep, runnable, serving_code
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


def build(
    definition: ModelDefinition,
    key: PartitionKey,
    *,
    settings: Settings,
    run_url: str | None = None,
    code: FeatureCode | None = None,
) -> Built:
    """The snapshot of the features of partition `key`: made now, or by an earlier run from the same inputs and code.

    It is made by `code`: by the one that feeds the champion if None, whatever stands in `features.py` today.

    Another process that builds the same key waits for its turn and then finds this one. A run killed between publishing
    and recording leaves a commit without a ledger row; the next run makes the same bytes, finds them and records them.
    Labels that are accepted while it builds are built in as well: the task that accepted them found no snapshot yet to
    call stale.

    Raises:
        NotReadyError: the inputs of `key` have no accepted version.
        QuarantinedError: the features suite refused what was built; a mail is written, nothing is published.
        BadInputError, DefinitionError: `features.py` is at fault.
        UnavailableError: ledger, store, Git or DVC remote do not answer.
    """
    code = code or serving_code(definition, settings)
    if not code.is_today:
        log.info(
            "%s %s: the feature code has changed since the version was made that this feeds: it goes on being fed by "
            "code %s, which it was made from, until a version made from the new code is promoted",
            definition.name, key, code.short,
        )  # fmt: skip
    _review(code.definition, settings)
    built = _build(code, key, settings=settings, run_url=run_url)
    for _ in range(OVERTAKEN):
        if built.reused or not _overtaken(code, key, settings):
            break
        built = _build(code, key, settings=settings, run_url=run_url)
    return built


def _review(definition: ModelDefinition, settings: Settings) -> None:
    """Know which labels are complete: who accepted them may not have come to it yet, or never will."""
    if definition.features.look_back:
        coverage.review(definition, settings=settings)


def _overtaken(code: FeatureCode, key: PartitionKey, settings: Settings) -> bool:
    """Whether what the snapshot was built from is no longer what is accepted."""
    _review(code.definition, settings)
    model = code.definition.name
    with Ledger.from_settings(settings).transaction() as session:
        current = snapshots.current(session, model, key, code.hash)
        wanted = read_plan(session, code.definition, key).build_hash(model, code.hash)
    return current is not None and current.build_hash != wanted


def _build(code: FeatureCode, key: PartitionKey, *, settings: Settings, run_url: str | None) -> Built:
    definition, model, kept = code.definition, code.definition.name, keep(code, settings)
    path = dvc_path(model, key, kept.folder)
    with Ledger.from_settings(settings).lock("features", model, key) as session:
        plan = read_plan(session, definition, key)
        current = snapshots.current(session, model, key, code.hash)
        build_hash = plan.build_hash(model, code.hash)
        if current is not None and (current.build_hash, current.dvc_path) == (build_hash, path):
            log.info(
                "%s %s: nothing to build: version %d was built from the same partitions by the same code (%s)",
                model, key, current.version, current.snapshot_id,
            )  # fmt: skip
            return _describe(current, reused=True)
        newest = snapshots.current(session, model, key)
        _announce(definition, plan, newest)
        version = newest.version + 1 if newest else 1
        made = _make(session, code, plan, path, version, settings=settings, run_url=run_url)
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
    for name, found in plan.beside.references.items():
        log.info("%s %s: reference %s: %s", definition.name, plan.key, name, _said(found))
    if plan.describe_missing():
        log.warning(
            "%s %s: built without %s, which is not accepted or complete yet; built again when it is",
            definition.name, plan.key, plan.describe_missing(),
        )  # fmt: skip
    if current is not None:
        log.info(
            "%s %s: version %d was built from other partition versions or by other code",
            definition.name, plan.key, current.version,
        )  # fmt: skip


def _said(found: ReferenceVersion | None) -> str:
    return f"stamp {found.stamp}, {found.rows:,} rows" if found else "no version was known when the partition began"


def _make(
    session: Session,
    code: FeatureCode,
    plan: BuildPlan,
    path: str,
    version: int,
    *,
    settings: Settings,
    run_url: str | None,
) -> Snapshot | _Refused:
    """Build, validate, publish and record; the caller holds the lock of (model, key)."""
    from evergreen.loop.features.validate import check, owe_alert, scope

    definition, build_hash = code.definition, plan.build_hash(code.definition.name, code.hash)
    with runnable(code, settings) as there:
        frame = _compute(there, plan, settings)
        _see_unchanged(code)
        failures, results_uri = check(there, plan.key, frame, build_hash, store=Store.from_settings(settings))
    if failures:
        told = owe_alert(
            session, definition, plan.key, failures,
            scope=scope(session, code), dedup=build_hash, report=results_uri, run_url=run_url,
        )  # fmt: skip
        return _Refused(told)
    message = f"{definition.name} {plan.key} version {version}: {len(frame)} rows\n\nBuild {build_hash}"
    share(session, FEATURES_REMOTE)  # retention removes nothing from the remote before this build is recorded
    published, content_hash = _publish(definition, path, frame, message, settings=settings)
    snapshot = Snapshot(
        model=definition.name, key=plan.key, version=version, build_hash=build_hash, code_hash=code.hash,
        content_hash=content_hash, rows=len(frame), results_uri=results_uri, run_url=run_url, dvc_path=path,
        dvc_hash=published.dvc_hash, git_commit=published.git_commit, **_sources(plan),
    )  # fmt: skip
    return _record(session, code, snapshot)


def _see_unchanged(code: FeatureCode) -> None:
    """What a deployment puts into the model's folder while rows are built may have built some of them."""
    if code.is_today and code_hash(code.definition) != code.hash:
        raise UnavailableError(
            f"the feature code of {code.definition.name} was changed while it ran; nothing was published. Try again"
        )


def _record(session: Session, code: FeatureCode, snapshot: Snapshot) -> Snapshot:
    from evergreen.loop.features.validate import scope, tell_built

    session.add(snapshot)
    session.flush()
    tell_built(session, code.definition, snapshot.key, snapshot.version, scope=scope(session, code))
    return snapshot


def _compute(definition: ModelDefinition, plan: BuildPlan, settings: Settings) -> pd.DataFrame:
    from evergreen.loop.features.compute import compute
    from evergreen.loop.features.look_back import read_history
    from evergreen.loop.intake.accepted_rows import read_clean_table, read_known

    history = read_history(
        definition, plan.history, lambda verdict, columns: read_clean_table(verdict, settings, columns)
    )
    inputs = read_known(plan.inputs[1], settings, definition, "inputs")
    return compute(definition, inputs, history, beside=read_beside(definition, plan.key, plan.beside, settings))


def _sources(plan: BuildPlan) -> dict[str, object]:
    return {
        "inputs_version_id": plan.inputs[0].id,
        "inputs_verdict_id": plan.inputs[1].id,
        "labels_used": plan.labels_used,
        "inputs_looked_back": plan.inputs_looked_back,
        "labels_missing": list(plan.missing),
        "recent_inputs": plan.beside.recent_used,
        "recent_missing": list(plan.beside.recent_missing),
        "references_used": plan.beside.references_used,
    }


def _publish(
    definition: ModelDefinition, path: str, frame: pd.DataFrame, message: str, *, settings: Settings
) -> tuple[Published, str]:
    """Publish the features; return where they can be read, and the SHA-256 of their file."""
    from evergreen.loop.features.compute import write_parquet

    with scratch_folder("features") as folder:
        file = folder / "features.parquet"
        write_parquet(definition, frame, file)
        content_hash, size = _sha256(file), file.stat().st_size
        published = publish(settings, path, file, message)
    log.info(
        "%s: %s as %s (%s bytes), commit %s, DVC hash %s",
        definition.name, "published" if published.new else "the same bytes are in the repository already",
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
