"""Remove collected objects from where they are, under the locks of those who write them.

A collection is in the ledger before anything is removed. A process that dies in between leaves it open, and the next
call finishes it: to remove what is not there is no error.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from evergreen.core.feature_repository.dvc_remote import scratch
from evergreen.core.feature_repository.snapshots import FEATURES_REMOTE
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries.collected import count_rows, model_name, run_name
from evergreen.core.ledger.tables import Collection, TrainingRun
from evergreen.core.names import Uri
from evergreen.core.store import Store, layout
from evergreen.errors import EvergreenError
from evergreen.loop.intake.raw_parts import names_of
from evergreen.settings import Settings

log = logging.getLogger("evergreen.retention")

BATCH = 500
"""Objects that are removed, and marked as removed, in one transaction."""
Lock = tuple[str, ...]


def finish(model: str, *, settings: Settings) -> int:
    """Remove all that is recorded as to be collected and is still there; how many objects that were.

    One place that does not answer keeps no other from being cleared.

    Raises:
        UnavailableError: store, DVC remote or MLflow did not answer; what is left is removed by the next call.
    """
    ledger, errors, done = Ledger.from_settings(settings), list[EvergreenError](), 0
    with ledger.transaction() as session:
        marks = session.scalars(open_collections(model)).all()
    for lock, batch in _batches(marks, Store.from_settings(settings)):
        try:
            with ledger.lock(*lock) as session:
                done += _remove(session, model, [mark.id for mark in batch], settings)
        except EvergreenError as error:
            log.error("%s: %d objects were not removed: %s", model, len(batch), error)
            errors.append(error)
    if errors:
        raise errors[0]
    return done


def open_collections(model: str) -> Select[Collection]:
    """The query of what is recorded as to be collected and not removed yet, in order."""
    unsettled = (Collection.done_at.is_(None), Collection.kept_at.is_(None))
    return select(Collection).where(Collection.model == model, *unsettled).order_by(Collection.id)


def _batches(marks: Sequence[Collection], store: Store) -> list[tuple[Lock, list[Collection]]]:
    """The collections by the lock under which they are removed, at most `BATCH` together."""
    groups: dict[Lock, list[Collection]] = {}
    for mark in marks:
        groups.setdefault(_lock(mark, store), []).append(mark)
    return [
        (lock, group[start : start + BATCH]) for lock, group in groups.items() for start in range(0, len(group), BATCH)
    ]


def _lock(mark: Collection, store: Store) -> Lock:
    if mark.kind in ("raw", "accepted", "profile", "quarantined"):
        table, key = store.name(Uri(mark.name)).split("/")[2:4]
        return ("partition", mark.model, table, key)
    if mark.kind == "features":
        return (FEATURES_REMOTE,)
    return ("champion", mark.model) if mark.kind == "model" else ("written once", mark.model)


def _remove(session: Session, model: str, ids: Sequence[int], settings: Settings) -> int:
    """Remove the objects of one batch and say so, in one transaction; those that are named again stay."""
    marks = session.scalars(open_collections(model).where(Collection.id.in_(ids))).all()
    rows = count_rows(session, [mark.name for mark in marks])
    going = []
    for mark in marks:
        if rows[mark.name] == mark.rows:
            going.append(mark)
        else:
            log.info("%s: %s is named by a new row since it was to be collected; it stays", model, mark.name)
            mark.kept_at = func.now()
    _remove_objects(going, settings)
    _remove_features(going, settings)
    _remove_models(session, going, settings)
    for mark in going:
        mark.done_at = func.now()
    return len(going)


def _remove_objects(marks: Sequence[Collection], settings: Settings) -> None:
    store = Store.from_settings(settings)
    names = [store.name(Uri(mark.name)) for mark in marks if mark.kind not in ("features", "model")]
    # The files of a list go before the list, without which nobody would find them again.
    parts = [part for name in names if name.endswith(f".{layout.PARTS}") for part in names_of(store, name)]
    for gone in (parts, names):
        if gone:
            store.delete(gone)


def _remove_features(marks: Sequence[Collection], settings: Settings) -> None:
    hashes = [mark.name for mark in marks if mark.kind == "features"]
    if hashes:
        with scratch(settings.features_dvc_url) as remote:
            remote.remove(hashes)


def _remove_models(session: Session, marks: Sequence[Collection], settings: Settings) -> None:
    wanted = {mark.name for mark in marks if mark.kind == "model"}
    if not wanted:
        return
    from evergreen.operations.retention import mlflow_runs

    for run in session.scalars(select(TrainingRun).where(TrainingRun.model == marks[0].model)):
        if name_of(run) in wanted:
            mlflow_runs.remove(settings, run)
            if run.version is not None:
                Store.from_settings(settings).delete([layout.reference(run.model, run.version)])


def name_of(run: TrainingRun) -> str:
    """What the model of a training run is called in collections."""
    return run_name(run.model, run.id) if run.version is None else model_name(run.model, run.version)
