"""Answer a request: by the version that serves now, from what is accepted now, and on record before it is given."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import online as records
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables.online import OnlineRequest
from evergreen.core.names import PartitionKey
from evergreen.core.store.objects import sha256
from evergreen.errors import BadInputError, DefinitionError, EvergreenError, NotReadyError, RefusedError
from evergreen.loop.features.feature_code import FeatureCode, of_version, runnable, serving
from evergreen.loop.features.features_file import load_build
from evergreen.loop.intake import pseudonyms
from evergreen.loop.online.context import Basis, Contexts, read_basis
from evergreen.loop.online.predict import BrokenModelError, as_known, predict
from evergreen.loop.online.request import Row, keys_of, named_columns, read_rows, to_inputs
from evergreen.loop.training.decide import chosen
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy.orm import Session

    from evergreen.core.ledger.tables import Deployment
    from evergreen.loop.features.features_file import Build
    from evergreen.loop.training.classes import Names
    from evergreen.loop.training.losses import Floats
    from evergreen.loop.training.model_files import Predictor

log = logging.getLogger("evergreen.online")

Choices = list[Any] | None
"""The chosen class of each row; None if the model chooses none"""
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
    """Of each row, in the request's order: entity and event time as they were sent, what was made of them, `partition`,
    `prediction`, and `choice`, the chosen class, if the definition has a `decision`. Of a multiclass model `prediction`
    is the most probable class, and `probabilities` those of all: {class: probability}"""
    missing: tuple[str, ...]
    """Partitions whose labels the features should look back on and that are not accepted"""
    repeated: bool
    """Whether the same request had been answered before, with this answer"""


@dataclass(frozen=True)
class _Serving:
    """Who answers."""

    version: int
    code: FeatureCode
    """That the version is fed by"""


@dataclass(frozen=True)
class _Asked:
    """A request that was read."""

    definition: ModelDefinition
    rows: Sequence[Row]
    """As they were sent"""
    frame: pd.DataFrame
    """The same as inputs"""
    keys: Sequence[PartitionKey]
    """Partition of each"""
    body_hash: str

    def given(self, values: Floats, classes: Names = (), choices: Choices = None) -> tuple[dict[str, Any], ...]:
        """What is answered for each row."""
        told = choices or [None] * len(values)
        named, made = named_columns(self.definition), self.definition.feed.made.columns
        return tuple(
            {name: row[name] for name in named}
            | {name: _plain({name: self.frame[name].iloc[place]})[name] for name in made}
            | {"partition": key}
            | _said(value, classes, choice)
            for place, (row, key, value, choice) in enumerate(zip(self.rows, self.keys, values, told, strict=True))
        )

    def record(self, name: str, by: _Serving, bases: Sequence[Basis], code_version: str) -> dict[str, Any]:
        """The ledger's row of the request."""
        return {
            "model": self.definition.name, "name": name, "body_hash": self.body_hash, "version": by.version,
            "rows": len(self.rows), "built_from": {basis.key: basis.to_json() for basis in bases},
            "code_hash": by.code.hash, "code_version": code_version,
        }  # fmt: skip

    def records(self, values: Floats, classes: Names = (), choices: Choices = None) -> list[dict[str, Any]]:
        """The ledger's rows of the predictions, with the inputs as they were accepted."""
        inputs = self.frame.astype(object).to_dict("records")
        model, feed = self.definition.name, self.definition.feed
        return [
            {
                "model": model, "key": key, "entity": str(row[feed.entity]), "event_time": row[feed.event_time],
                "prediction": float(np.max(value)), "inputs": _plain(row),
                "probabilities": [list(pair) for pair in _pairs(value, classes)] if classes else None,
                "choice": choice,
            }
            for row, key, value, choice in zip(
                inputs, self.keys, values, choices or [None] * len(values), strict=True
            )
        ]  # fmt: skip

    def again(self, session: Session, known: OnlineRequest) -> Answer:
        """The answer that was given before.

        Raises:
            RefusedError: it was given to other rows.
        """
        if known.body_hash != self.body_hash:
            raise RefusedError(
                f"another request was answered under the name {known.name}; give each request an Idempotency-Key of "
                "its own"
            )
        rows = records.predictions_of(session, known)
        classes = tuple(name for name, _ in (rows[0].probabilities or ())) if rows else ()
        several = [[share for _, share in row.probabilities or ()] for row in rows]
        values = np.asarray(several if classes else [row.prediction for row in rows], dtype=np.float64)
        missing = tuple(sorted({key for built in known.built_from.values() for key in built["missing"]}))
        choices = [row.choice for row in rows] if rows and rows[0].choice is not None else None
        given = self.given(values, classes, choices)
        return Answer(self.definition.name, known.version, known.name, given, missing, repeated=True)


class Predictors:
    """The loaded champion of each model. Another version replaces it once it is loaded itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    def get(self, definition: ModelDefinition, version: int) -> Predictor:
        """The model's version `version`.

        Raises:
            BrokenModelError: it is gone from the registry, or its file is none that may be loaded.
            UnavailableError: the registry does not answer.
        """
        held = self._loaded.get(definition.name)
        if held is not None and held.version == version:
            return held
        with self._lock:
            held = self._loaded.get(definition.name)
            if held is None or held.version != version:
                held = self._loaded[definition.name] = self._load(definition, version)
        return held

    def _load(self, definition: ModelDefinition, version: int) -> Predictor:
        from evergreen.loop.training.model_files import load

        try:
            found = load(definition, version, settings=self._settings)
        except (BadInputError, RefusedError) as error:
            raise BrokenModelError(f"version {version} of {definition.name} cannot be loaded: {error}") from error
        log.info("%s: version %d is loaded", definition.name, version)
        return found


class Online:
    """What answers requests. One object a process; its methods may be called by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = Ledger.kept_open(settings, CONNECTIONS)
        self._contexts = Contexts(settings)
        self._predictors = Predictors(settings)
        self._builds: dict[tuple[str, str, bool], Build] = {}
        self._kept, self._copying = ExitStack(), threading.Lock()
        self._keys: dict[str, bytes] = {}
        self._said: dict[str, str] = {}
        self._reached = -READY_FOR

    @property
    def ready(self) -> bool:
        """Whether the ledger has answered lately."""
        return time.monotonic() - self._reached < READY_FOR

    def answer(self, definition: ModelDefinition, body: bytes, name: str | None = None) -> Answer:
        """The predictions for a request's body (`evergreen.loop.online.request.SHAPE`).

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
        frame = to_inputs(definition, rows, self._key(definition), lambda: self._columns(definition))
        asked = _Asked(definition, rows, frame, keys_of(definition, frame), sha256(body))
        with self._ledger.transaction() as session:
            known = records.answered(session, definition.name, name) if name else None
            if known is not None:
                return asked.again(session, known)
            champion = _champion(session, definition.name, asked.keys)
            by = _Serving(champion.version, of_version(session, definition, champion.version))
            bases = [read_basis(session, by.code.definition, key) for key in dict.fromkeys(asked.keys)]
        values, classes, choices = self._predict(asked, by, bases)
        name = name or str(uuid.uuid4())
        with self._ledger.transaction() as session:
            row = asked.record(name, by, bases, self._settings.code_version)
            if not records.record(session, row, asked.records(values, classes, choices)):
                # Another server was faster: its answer is the one on record.
                return asked.again(session, session.scalars(records.named(definition.name, name)).one())
        log.info(
            "%s: version %d answered %s: %s rows, %.0f ms",
            definition.name, champion.version, name, f"{len(rows):,}", 1000 * (time.perf_counter() - begun),
        )  # fmt: skip
        missing = tuple(sorted({key for basis in bases for key in basis.missing}))
        given = asked.given(values, classes, choices)
        return Answer(definition.name, champion.version, name, given, missing, repeated=False)

    def warm(self, definitions: Iterable[ModelDefinition]) -> None:
        """See that the champions of `definitions` are loaded, so that no request has to wait for that.

        Raises:
            UnavailableError: the ledger does not answer.
        """
        with self._ledger.transaction() as session:
            serving = [(d, versions.current_deployment(session, d.name)) for d in definitions]
        self._reached = time.monotonic()
        for definition, deployment in serving:
            if deployment is not None:
                try:
                    self._predictors.get(definition, deployment.version)
                except EvergreenError as error:
                    self._say_once(definition.name, str(error))

    def _say_once(self, model: str, words: str) -> None:
        if self._said.get(model) != words:
            log.error("%s: %s", model, words)
        self._said[model] = words

    def champion(self, model: str) -> Deployment | None:
        """The deployment in force."""
        with self._ledger.transaction() as session:
            return versions.current_deployment(session, model)

    def _key(self, definition: ModelDefinition) -> bytes | None:
        if not pseudonyms.personal(definition, "inputs"):
            return None
        if definition.name not in self._keys:
            # It asks the store whether the key is the one of the tokens that are there: once, not for each request.
            self._keys[definition.name] = pseudonyms.key_of(self._settings, definition)
        return self._keys[definition.name]

    def _columns(self, definition: ModelDefinition) -> frozenset[str]:
        """Columns of the inputs that the serving version's code knows."""
        with self._ledger.transaction() as session:
            return frozenset(serving(session, definition).definition.feed.tables["inputs"].columns)

    def _predict(self, asked: _Asked, by: _Serving, bases: list[Basis]) -> tuple[Floats, Names, Choices]:
        """Predictions in the rows' order, their classes (none if the task is not multiclass), and what is chosen."""
        definition, code = asked.definition, by.code
        predictor, build = self._predictors.get(definition, by.version), self._build(code)
        table = as_known(asked.frame, definition, code)
        classes = predictor.classes
        at, values = np.asarray(asked.keys), np.empty((len(table), len(classes)) if classes else len(table))
        for basis in bases:
            places = np.flatnonzero(at == basis.key)
            rows = table.iloc[places].reset_index(drop=True)
            values[places] = predict(code.definition, predictor, rows, self._contexts.get(code, basis), build)
        choice = chosen(definition, predictor.rule, values, classes)
        return values, classes, None if choice is None else choice.tolist()

    def _build(self, code: FeatureCode) -> Build:
        """The function of this code; a copy of it stays on disk as long as the server runs."""
        # What is loaded from the model's folder may read files there when it runs: once they change, the copy runs.
        name = (code.definition.name, code.hash, code.is_today)
        if name not in self._builds:
            try:
                with self._copying:
                    there = self._kept.enter_context(runnable(code, self._settings))
                    self._builds[name] = load_build(there)
            except DefinitionError:
                raise
            except BadInputError as error:
                raise BrokenModelError(str(error)) from error
        return self._builds[name]


def _said(value: Any, classes: Names, choice: bool | str | None) -> dict[str, Any]:
    """One prediction: a number, or the most probable class with the probabilities of all; and the chosen class."""
    beside = {} if choice is None else {"choice": choice}
    if not classes:
        return {"prediction": float(value), **beside}
    return {"prediction": classes[int(np.argmax(value))], **beside, "probabilities": dict(_pairs(value, classes))}


def _pairs(value: Any, classes: Names) -> list[tuple[str, float]]:
    return [(name, float(share)) for name, share in zip(classes, value, strict=True)]


def _champion(session: Session, model: str, keys: Sequence[PartitionKey]) -> Deployment:
    champion = versions.current_deployment(session, model)
    if champion is None:
        raise NotReadyError(f"{model} has no champion yet, so there is nothing to predict with; trigger {model}.train")
    first = versions.first_deployment(session, model)
    if first is not None and first.from_key is not None and min(keys) < first.from_key:
        raise BadInputError(
            f"rows of {min(keys)} lie before {first.from_key}, the first partition that a champion of {model} was "
            "meant to serve: it was trained on them, so that a prediction would prove nothing"
        )
    return champion


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    import pandas as pd

    known = {str(name): None if pd.isna(value) else value for name, value in row.items()}
    return {name: value.isoformat() if isinstance(value, pd.Timestamp) else value for name, value in known.items()}
