"""Write the champion's predictions of one feature partition, once."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import seen, snapshots, versions
from evergreen.core.ledger.queries.collected import explained
from evergreen.core.ledger.tables import Deployment, Prediction, Snapshot
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import Store, layout
from evergreen.core.store.objects import sha256
from evergreen.errors import BadInputError, NotReadyError, RefusedError
from evergreen.loop.champion.evaluation.guards import CANNOT_PREDICT
from evergreen.loop.features.build import build
from evergreen.loop.features.feature_code import of_version
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.loop.scoring.predict_file import Predictions
    from evergreen.loop.training.losses import Floats

log = logging.getLogger("evergreen.scoring")


@dataclass(frozen=True)
class Scored:
    """Predictions of one feature snapshot."""

    prediction_id: int
    version: int
    rows: int
    mean: float
    """Mean prediction; of several classes, mean probability of the most probable one"""
    uri: Uri
    reused: bool
    """Whether they had been written before"""


def score(definition: ModelDefinition, key: PartitionKey, *, settings: Settings, run_url: str | None = None) -> Scored:
    """Predict the current snapshot of `key` with the champion and record it: one set of predictions a snapshot.

    A partition that the champion was trained or judged on (it landed again, or what its features look back on did) is
    predicted by the newest version that has served and had not seen it: in-sample predictions would prove nothing.

    If that version cannot be loaded, or its features cannot be built, the next older one predicts.

    A version reads features of the code that it was made from: they are built now if only other code has built them.
    An earlier version's are brought up to date first: what lands again is built again by the champion's code only.

    The Parquet file in the store has the columns entity, event_time (as the feed calls them) and prediction (float64).
    Of a multiclass model `prediction` is the name of the most probable class, and the columns `probability_<class>`
    (float64) follow. With a `decision` the chosen class stands beside the prediction: `choice`, bool or text.

    Raises:
        NotReadyError: there is no champion, no snapshot of `key`, the partition is from before the first champion, or
            every version that has served has seen it or cannot predict it.
        BadInputError: the champion predicts something that is not a finite number.
        RefusedError: the champion cannot be loaded.
        UnavailableError: the ledger, the registry or the feature remotes do not answer.
    """
    definition.partitions.parse(key)
    with Ledger.from_settings(settings).transaction() as session:
        predictors = _predictors(session, definition.name, key)
    failed: list[str] = []
    for predictor in predictors:
        try:
            return _score(definition, key, predictor, settings, run_url)
        except (RefusedError, BadInputError, ImportError, *CANNOT_PREDICT) as error:
            if predictor.role == "champion":
                raise
            log.warning("%s: version %s cannot predict it: %s", key, predictor.version, error)
            failed.append(f"version {predictor.version}: {error}")
    raise NotReadyError(
        f"{key} is left with the predictions it has: the champion of {definition.name} was trained or judged on it, "
        f"and no earlier version that was not can predict it ({'; '.join(failed)})"
    )


def _score(
    definition: ModelDefinition, key: PartitionKey, predictor: _Predictor, settings: Settings, run_url: str | None
) -> Scored:
    """Predict `key` by one version, unless predictions of it stand."""
    snapshot, found, code = _to_predict(definition, key, predictor, settings, run_url)
    if found is not None:
        log.info("%s: version %s had predicted this snapshot already: %s", key, found.version, found.uri)
        return _scored(found, reused=True)
    predictions = _predict(code, predictor.version, snapshot, settings)
    name = layout.prediction(definition.name, key, snapshot.id, predictor.version)
    uri = Store.from_settings(settings).write(name, predictions.parquet)
    row = {
        "model": definition.name, "key": key, "snapshot_id": snapshot.id, "version": predictor.version, "uri": uri,
        "content_hash": sha256(predictions.parquet), "rows": len(predictions.values),
        "mean": _mean(predictions.values), "run_url": run_url,
    }  # fmt: skip
    with Ledger.from_settings(settings).transaction() as session:
        session.execute(insert(Prediction).values(row).on_conflict_do_nothing(index_elements=["snapshot_id"]))
        prediction = session.scalars(select(Prediction).where(Prediction.snapshot_id == snapshot.id)).one()
    log.info(
        "%s: %s version %s predicted %s rows of snapshot %s, mean prediction %.4f; written to %s",
        key, predictor.role, prediction.version, f"{prediction.rows:,}", snapshot.snapshot_id[:12], prediction.mean,
        prediction.uri,
    )  # fmt: skip
    return _scored(prediction, reused=prediction.uri != uri)


def _to_predict(
    definition: ModelDefinition, key: PartitionKey, predictor: _Predictor, settings: Settings, run_url: str | None
) -> tuple[Snapshot, Prediction | None, ModelDefinition]:
    """The snapshot that `predictor` reads, the predictions that stand, and the definition as its code has it."""
    ledger, model = Ledger.from_settings(settings), definition.name
    with ledger.transaction() as session:
        code = of_version(session, definition, predictor.version)
        snapshot, found = _known(session, model, key, code.hash)
        if found is not None and snapshot is None:  # predictions of other code stand
            snapshot = session.get_one(Snapshot, found.snapshot_id)
    earlier = predictor.role == "earlier"
    if earlier or snapshot is None:
        built = build(definition, key, settings=settings, run_url=run_url, code=code).snapshot_row
        with ledger.transaction() as session:
            snapshot = session.get_one(Snapshot, built)
            found = _known(session, model, key, code.hash)[1] if earlier else _written(session, built)
    return snapshot, found, code.definition


def read_predictions(prediction: Prediction, settings: Settings) -> pd.DataFrame:
    """The predictions that a ledger row names: entity, event_time, prediction; probabilities of several classes."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(read_bytes(prediction, settings)))


def read_bytes(prediction: Prediction, settings: Settings) -> bytes:
    """The Parquet file of the predictions that a ledger row names; its rows stand in the order of their features.

    Raises:
        CollectedError: retention has removed it.
        FileNotFoundError: the store no longer has it.
    """
    store = Store.from_settings(settings)
    with explained(settings, f"the predictions of {prediction.key}", [prediction.uri]):
        return store.read(store.name(prediction.uri))


@dataclass(frozen=True)
class _Predictor:
    """Who predicts a partition."""

    version: int
    role: Literal["champion", "earlier"]


def _predictors(session: Session, model: str, key: PartitionKey) -> list[_Predictor]:
    """The champion, or the versions that had not seen `key`, newest first."""
    champion = _champion(session, model, key)
    if not seen.has_seen(session, model, champion.version, key):
        return [_Predictor(champion.version, "champion")]
    earlier = seen.unseeing(session, model, key)
    if not earlier:
        raise NotReadyError(
            f"{key} is left with the predictions it has: champion version {champion.version} of {model} was trained or "
            "judged on it, and so was every version that has served, so new predictions would prove nothing"
        )
    log.info(
        "%s: champion version %s was trained or judged on it; version %s, which had not seen it, predicts it",
        key, champion.version, earlier[0],
    )  # fmt: skip
    return [_Predictor(version, "earlier") for version in earlier]


def _champion(session: Session, model: str, key: PartitionKey) -> Deployment:
    champion = versions.current_deployment(session, model)
    if champion is None:
        raise NotReadyError(f"{model} has no champion yet, so {key} cannot be scored; trigger the DAG {model}.train")
    if snapshots.current(session, model, key) is None:
        raise NotReadyError(f"{model} has no features of {key} yet; the DAG {model}.features builds them")
    first = versions.first_deployment(session, model)
    if first is not None and first.from_key is not None and key < first.from_key:
        raise NotReadyError(
            f"{key} lies before {first.from_key}, the first partition the first champion was meant to serve: it was "
            "trained on it, so predictions would prove nothing"
        )
    return champion


def _known(
    session: Session, model: str, key: PartitionKey, code_hash: str
) -> tuple[Snapshot | None, Prediction | None]:
    """The current snapshot by this code, and the predictions that stand: of it, or of one by another code.

    Without the snapshot, predictions of other code stand as they are: only a build tells whether rows have changed.
    """
    snapshot = snapshots.current(session, model, key, code_hash)
    if snapshot is not None and (written := _written(session, snapshot.id)) is not None:
        return snapshot, written
    query = select(Prediction).where(Prediction.model == model, Prediction.key == key)
    newest = session.scalar(query.order_by(Prediction.id.desc()).limit(1))
    if newest is None:
        return snapshot, None
    of = session.get_one(Snapshot, newest.snapshot_id)
    stands = of.code_hash != code_hash and (snapshot is None or not snapshots.outdated(of, snapshot))
    return snapshot, newest if stands else None


def _written(session: Session, snapshot_id: int) -> Prediction | None:
    return session.scalar(select(Prediction).where(Prediction.snapshot_id == snapshot_id))


def _predict(definition: ModelDefinition, version: int, snapshot: Snapshot, settings: Settings) -> Predictions:
    import numpy as np

    from evergreen.core.feature_repository.snapshots import pull
    from evergreen.loop.scoring.predict_file import predict_file
    from evergreen.loop.training.model_files import load

    path = snapshot.dvc_path
    with pull(settings, snapshot.git_commit, [path], expected={path: snapshot.dvc_hash}) as files:
        predictions = predict_file(definition, load(definition, version, settings=settings), files[path])
    strange = int((~np.isfinite(predictions.values)).reshape(len(predictions.values), -1).any(axis=1).sum())
    if strange:
        raise BadInputError(
            f"version {version} of {definition.name} predicts no finite number for {strange} of "
            f"{len(predictions.values)} rows of {snapshot.key}; look at its features, and trigger "
            f"{definition.name}.train for another model"
        )
    return predictions


def _mean(values: Floats) -> float:
    import pandas as pd

    shown = values.max(axis=1) if values.ndim == 2 else values
    return float(pd.Series(shown).mean()) if len(shown) else 0.0


def _scored(row: Prediction, *, reused: bool) -> Scored:
    return Scored(row.id, row.version, row.rows, row.mean, row.uri, reused)
