"""Answer a request: by the version that serves now, from what is accepted now, and on record before it is given."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.definition import ModelDefinition
from evergreen.errors import BadInputError, EvergreenError, NotReadyError, RefusedError
from evergreen.features.code import code_hash
from evergreen.intake import pseudonyms
from evergreen.ledger import Ledger, models
from evergreen.ledger import online as records
from evergreen.ledger.online import OnlineRequest
from evergreen.online.context import Basis, Contexts, read_basis
from evergreen.online.predict import predict
from evergreen.online.request import Row, keys_of, read_rows, to_inputs
from evergreen.settings import Settings
from evergreen.store.objects import sha256

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy.orm import Session

    from evergreen.features.code import Build
    from evergreen.ledger.tables import Deployment
    from evergreen.training.losses import Floats
    from evergreen.training.models import Predictor

log = logging.getLogger("evergreen.online")

CONNECTIONS = 8
"""To the ledger, kept open by one server"""
READY_FOR = 30.0
"""Seconds for which a server counts as ready after the ledger has answered it"""


@dataclass(frozen=True)
class Answer:
    """The predictions for one request."""

    model: str
    version: int
    request: str
    """Its name on record"""
    predictions: tuple[dict[str, Any], ...]
    """Of each row, in the request's order: entity and event time as they were sent, `partition`, `prediction`"""
    missing: tuple[str, ...]
    """Partitions whose labels the features should look back on and that are not accepted"""
    repeated: bool
    """Whether the same request had been answered before, with this answer"""


class Predictors:
    """The loaded champion of each model. Another version replaces it once it is loaded itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    def get(self, definition: ModelDefinition, version: int) -> Predictor:
        """The model's version `version`; raises as `evergreen.training.models.load`."""
        from evergreen.training.models import load

        held = self._loaded.get(definition.name)
        if held is None or held.version != version:
            with self._lock:
                held = self._loaded.get(definition.name)
                if held is None or held.version != version:
                    held = self._loaded[definition.name] = load(definition, version, settings=self._settings)
                    log.info("%s: version %d is loaded", definition.name, version)
        return held


class Online:
    """What answers requests. One object a process; its methods may be called by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = Ledger.kept_open(settings, CONNECTIONS)
        self._contexts = Contexts(settings)
        self._predictors = Predictors(settings)
        self._builds: dict[str, tuple[str, Build]] = {}
        self._reached = -READY_FOR

    @property
    def ready(self) -> bool:
        """Whether the ledger has answered lately."""
        return time.monotonic() - self._reached < READY_FOR

    def answer(self, definition: ModelDefinition, body: bytes, name: str | None = None) -> Answer:
        """The predictions for a request's body (`evergreen.online.request.SHAPE`).

        Args:
            definition: the model.
            body: JSON.
            name: the client's name for the request: sent again with the same body it gets the same answer.

        Raises:
            UnfitFileError, BadInputError: the rows are not what the feed's inputs are; nothing was predicted.
            RefusedError: another body was answered under this name.
            NotReadyError: there is no champion yet, or it was trained on what is asked for.
            UnavailableError: ledger, registry or store do not answer; nothing was predicted.
        """
        begun = time.perf_counter()
        rows = read_rows(body)
        frame = to_inputs(definition, rows, self._key(definition))
        keys = keys_of(definition, frame)
        digest = sha256(body)
        with self._ledger.transaction() as session:
            known = records.answered(session, definition.name, name) if name else None
            if known is not None:
                return _again(session, definition, known, rows, digest)
            champion = _champion(session, definition.name, keys)
            bases = [read_basis(session, definition, key) for key in dict.fromkeys(keys)]
        values = self._predict(definition, champion.version, frame, keys, bases)
        name = name or str(uuid.uuid4())
        request = {
            "model": definition.name, "name": name, "body_hash": digest, "version": champion.version,
            "rows": len(rows), "built_from": {basis.key: basis.to_json() for basis in bases},
            "code_hash": code_hash(definition), "code_version": self._settings.code_version,
        }  # fmt: skip
        with self._ledger.transaction() as session:
            if not records.record(session, request, _records(definition, frame, keys, values)):
                known = records.answered(session, definition.name, name)
                if known is not None:
                    return _again(session, definition, known, rows, digest)
        log.info(
            "%s: version %d answered %s: %s rows, %.0f ms",
            definition.name, champion.version, name, f"{len(rows):,}", 1000 * (time.perf_counter() - begun),
        )  # fmt: skip
        missing = tuple(sorted({key for basis in bases for key in basis.missing}))
        given = _given(definition, rows, keys, values)
        return Answer(definition.name, champion.version, name, given, missing, repeated=False)

    def warm(self, definitions: Iterable[ModelDefinition]) -> None:
        """See that the champions of `definitions` are loaded, so that no request has to wait for that.

        Raises:
            UnavailableError: the ledger does not answer.
        """
        with self._ledger.transaction() as session:
            serving = [(d, models.current_deployment(session, d.name)) for d in definitions]
        self._reached = time.monotonic()
        for definition, deployment in serving:
            if deployment is not None:
                try:
                    self._predictors.get(definition, deployment.version)
                except EvergreenError as error:
                    log.error("%s: version %d cannot be loaded: %s", definition.name, deployment.version, error)

    def champion(self, model: str) -> Deployment | None:
        """The deployment in force."""
        with self._ledger.transaction() as session:
            return models.current_deployment(session, model)

    def _key(self, definition: ModelDefinition) -> bytes | None:
        if not pseudonyms.personal(definition, "inputs"):
            return None
        return pseudonyms.key_of(self._settings, definition)

    def _predict(
        self, definition: ModelDefinition, version: int, frame: pd.DataFrame, keys: Sequence[str], bases: list[Basis]
    ) -> Floats:
        predictor, build = self._predictors.get(definition, version), self._build(definition)
        at, values = np.asarray(keys), np.empty(len(frame), dtype=np.float64)
        for basis in bases:
            chosen = np.flatnonzero(at == basis.key)
            asked = frame.iloc[chosen].reset_index(drop=True)
            values[chosen] = predict(definition, predictor, asked, self._contexts.get(definition, basis), build)
        return values

    def _build(self, definition: ModelDefinition) -> Build:
        from evergreen.features.code import load_build

        wanted = code_hash(definition)
        known = self._builds.get(definition.name)
        if known is None or known[0] != wanted:
            known = self._builds[definition.name] = (wanted, load_build(definition))
        return known[1]


def _champion(session: Session, model: str, keys: Sequence[str]) -> Deployment:
    champion = models.current_deployment(session, model)
    if champion is None:
        raise NotReadyError(f"{model} has no champion yet, so there is nothing to predict with; trigger {model}.train")
    first = models.first_deployment(session, model)
    if first is not None and first.from_key is not None and min(keys) < first.from_key:
        raise BadInputError(
            f"rows of {min(keys)} lie before {first.from_key}, the first partition that a champion of {model} was "
            "meant to serve: it was trained on them, so that a prediction would prove nothing"
        )
    return champion


def _again(
    session: Session, definition: ModelDefinition, known: OnlineRequest, rows: Sequence[Row], digest: str
) -> Answer:
    """The answer that was given before."""
    if known.body_hash != digest:
        raise RefusedError(
            f"another request was answered under the name {known.name}; give each request an Idempotency-Key of its own"
        )
    found = records.predictions_of(session, known)
    values = np.asarray([row.prediction for row in found], dtype=np.float64)
    given = _given(definition, rows, [row.key for row in found], values)
    missing = tuple(sorted({key for built in known.built_from.values() for key in built["missing"]}))
    return Answer(definition.name, known.version, known.name, given, missing, repeated=True)


def _given(
    definition: ModelDefinition, rows: Sequence[Row], keys: Sequence[str], values: Floats
) -> tuple[dict[str, Any], ...]:
    named = (definition.feed.entity, definition.feed.event_time)
    return tuple(
        {name: row[name] for name in named} | {"partition": key, "prediction": float(value)}
        for row, key, value in zip(rows, keys, values, strict=True)
    )


def _records(
    definition: ModelDefinition, frame: pd.DataFrame, keys: Sequence[str], values: Floats
) -> list[dict[str, Any]]:
    """The ledger's rows, with the inputs as they were accepted."""
    inputs = frame.astype(object).to_dict("records")
    entity, event_time = definition.feed.entity, definition.feed.event_time
    return [
        {
            "model": definition.name, "key": key, "entity": str(row[entity]), "event_time": row[event_time],
            "prediction": float(value), "inputs": _plain(row),
        }
        for row, key, value in zip(inputs, keys, values, strict=True)
    ]  # fmt: skip


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    import pandas as pd

    known = {str(name): None if pd.isna(value) else value for name, value in row.items()}
    return {name: value.isoformat() if isinstance(value, pd.Timestamp) else value for name, value in known.items()}
