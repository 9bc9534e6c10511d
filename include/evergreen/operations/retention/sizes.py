"""How many bytes the objects of a plan take, asked of where they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from evergreen.core.feature_repository.dvc_remote import scratch
from evergreen.core.ledger.tables import TrainingRun
from evergreen.core.names import Uri
from evergreen.core.store import Store, layout
from evergreen.operations.retention.plan import Item
from evergreen.operations.retention.remove import name_of
from evergreen.settings import Settings


def measure(session: Session, model: str, items: Sequence[Item], settings: Settings) -> dict[str, int]:
    """Bytes by the name of the object; 0 for one that is not there.

    Raises:
        UnavailableError: DVC remote or MLflow do not answer.
    """
    kinds = {kind: [item.name for item in items if item.kind == kind] for kind in {item.kind for item in items}}
    found: dict[str, int] = {}
    for kind, names in kinds.items():
        if kind == "features":
            with scratch(settings.features_dvc_url) as remote:
                found |= remote.sizes(names)
        elif kind == "model":
            found |= _models(session, model, names, settings)
        else:
            found |= _objects([Uri(name) for name in names], settings)
    return {item.name: found.get(item.name, 0) for item in items}


def _objects(uris: Collection[Uri], settings: Settings) -> dict[str, int]:
    """One listing for each folder of the model, not a question for each object."""
    store = Store.from_settings(settings)
    folders = {"/".join(store.name(uri).split("/")[:2]) for uri in uris}
    return {store.uri(name): size for folder in folders for name, size in store.sizes(folder).items()}


def _models(session: Session, model: str, names: Collection[str], settings: Settings) -> dict[str, int]:
    from evergreen.operations.retention import mlflow_runs

    found, store, runs = {}, Store.from_settings(settings), session.query(TrainingRun).filter_by(model=model)
    references = store.sizes(f"reference/{model}")
    for run in runs:
        if name_of(run) in names:
            size = mlflow_runs.count_bytes(settings, mlflow_runs.find(settings, run))
            own = references.get(layout.reference(model, run.version), 0) if run.version is not None else 0
            found[name_of(run)] = size + own
    return found
