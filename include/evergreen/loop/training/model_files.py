"""Saved models: skops bytes that are the same for the same model, and a loader that refuses untrusted types."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import zipfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import BadInputError, RefusedError
from evergreen.loop.training.classes import names_of, nothing
from evergreen.loop.training.decide import rule_in
from evergreen.loop.training.estimators.built_in import not_installed
from evergreen.loop.training.estimators.trusted import refusal, runs_code, trusted_types
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.model_matrix import model_frame
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from evergreen.core.definition import ModelDefinition

log = logging.getLogger("evergreen.training")

MODEL_FILE = "model.skops"
CHUNK_ROWS = 200_000
"""Rows predicted at once: bounds the memory that one-hot columns take."""
FEW_ROWS = 10_000
"""Rows of several classes up to which one thread predicts them"""
_FLOAT = re.compile(r"-?[0-9]+\.0")
_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_cache: dict[tuple[str, str, int, tuple[str, ...]], Predictor] = {}
_CACHED = 4


class Predictor:
    """A loaded model version."""

    def __init__(self, pipeline: Pipeline, version: int, file_bytes: int | None = None) -> None:
        self.version = version
        self.file_bytes = file_bytes
        """Size of the registered file; None if the model did not come from one"""
        self.pipeline = pipeline
        self.classes = names_of(pipeline)
        """Names of the classes, in the order of their probabilities; none if the task is not multiclass"""
        self.rule = rule_in(pipeline)
        """How the version chooses a class; None if it was trained without a `decision`"""
        columns = {name: tuple(names) for name, _, names in pipeline.named_steps["features"].transformers}
        self.numeric: tuple[str, ...] = columns.get("numeric", ()) + columns.get("empty", ())
        self.categorical: tuple[str, ...] = columns.get("categorical", ()) + columns.get("unheard", ())
        self._pools: Any = None
        self._earlier = _earlier_spellings(pipeline, columns.get("categorical", ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """Feature columns that the model reads."""
        return self.numeric + self.categorical

    def predict(self, frame: pd.DataFrame) -> Floats:
        """Probability of true (binary) or value (regression) of each row: float64, in the rows' order.

        Of a multiclass model the probability of each of `classes`: rows x classes.

        Raises:
            BadInputError: a feature the model was trained on is missing, or a numeric one holds text.
        """
        step: Callable[[pd.DataFrame], Any] = (
            self.pipeline.predict_proba
            if self.classes
            else (lambda part: self.pipeline.predict_proba(part)[:, 1])
            if hasattr(self.pipeline, "predict_proba")
            else self.pipeline.predict
        )
        with self._threads(len(frame)):
            return self._predict(frame, step)

    def _predict(self, frame: pd.DataFrame, step: Callable[[pd.DataFrame], Any]) -> Floats:
        starts = range(0, max(len(frame), 1), CHUNK_ROWS)
        parts = (self._read(frame.iloc[s : s + CHUNK_ROWS]) for s in starts)
        found = [np.asarray(step(part), dtype=np.float64) for part in parts if len(part)]
        return np.concatenate(found) if found else nothing(self.classes)

    def _threads(self, rows: int) -> AbstractContextManager[Any]:
        """One thread for few rows of several classes; else as many as there are.

        Boosting has a tree for each class and round, and threads that wait for each other at each of 350 trees take
        ten times as long as one thread if the cores are busy.
        """
        if not self.classes or rows > FEW_ROWS:
            return nullcontext()
        if self._pools is None:
            from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

            self._pools = ThreadpoolController()
        limited: AbstractContextManager[Any] = self._pools.limit(limits=1, user_api="openmp")
        return limited

    def _read(self, frame: pd.DataFrame) -> pd.DataFrame:
        rows = model_frame(frame, self.numeric, self.categorical)
        for name, known in self._earlier.items():
            rows[name] = rows[name].replace(known)
        return rows


def _earlier_spellings(pipeline: Pipeline, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """How a model knows whole-number categories that releases before 0.2 spelled as floats: {column: {"20": "20.0"}}.

    Nothing of one that was trained since.
    """
    fitted = getattr(pipeline.named_steps["features"], "named_transformers_", {}).get("categorical")
    found = {}
    for name, known in zip(columns, getattr(fitted, "categories_", ()), strict=False):
        texts = {value for value in known if isinstance(value, str)}
        floats = {value.removesuffix(".0"): value for value in texts if _FLOAT.fullmatch(value)}
        if earlier := {whole: value for whole, value in floats.items() if whole not in texts}:
            found[name] = earlier
    return found


def load(definition: ModelDefinition, version: int, *, settings: Settings, anew: bool = False) -> Predictor:
    """The model's version `version` from the registry; kept in this process for the next call.

    With `anew` the registry is asked even if this process has loaded the version before.

    Raises:
        BadInputError: the registry has no such version, or its file is gone or no skops file.
        CollectedError: retention has removed the version.
        RefusedError: the file holds a type that neither skops nor the definition trusts.
        UnavailableError: the registry does not answer.
    """
    from evergreen.core.ledger.queries.collected import explained, model_name
    from evergreen.loop.training.tracking import Registry

    trusted = trusted_types(definition)
    name = (settings.mlflow_url, definition.name, version, trusted)
    if anew or name not in _cache:
        known = model_name(definition.name, version)
        with scratch_folder("model") as folder, explained(settings, known, [known]):
            data = Registry(settings, definition.name).download(version, MODEL_FILE, folder).read_bytes()
        while len(_cache) >= _CACHED:
            _cache.pop(next(iter(_cache)))
        pipeline = thaw(data, trusted, what=f"{definition.name} version {version}")
        _cache[name] = Predictor(pipeline, version, len(data))
    return _cache[name]


def freeze(pipeline: Pipeline) -> bytes:
    """The pipeline as a skops file. The same pipeline gives the same bytes, so their hash names the model.

    skops names objects by their address in memory and files at random; here they are numbered in the order in which
    they occur, and the archive's dates are fixed.
    """
    import skops.io as sio

    renamed = _Renaming()
    with zipfile.ZipFile(io.BytesIO(sio.dumps(pipeline))) as source:
        schema = renamed.apply(json.loads(source.read(_SCHEMA)))
        files = {new: source.read(old) for old, new in renamed.files.items()}
    files[_SCHEMA] = json.dumps(schema, indent=1).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_DEFLATED) as target:
        for file, data in files.items():
            info = zipfile.ZipInfo(file, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, data)
    return buffer.getvalue()


class _Renaming:
    """Gives ids and file names of a skops schema the number of their first occurrence."""

    def __init__(self) -> None:
        self.ids: dict[int, int] = {}
        self.files: dict[str, str] = {}

    def apply(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.apply(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {key: self._value(key, value) for key, value in node.items()}

    def _value(self, key: str, value: Any) -> Any:
        if key == "__id__":
            return self.ids.setdefault(value, len(self.ids) + 1)
        if key == "file" and isinstance(value, str):
            return self.files.setdefault(value, f"{len(self.files) + 1}{Path(value).suffix}")
        return self.apply(value)


def content_hash(data: bytes) -> str:
    """SHA-256, hex, of a frozen model."""
    return hashlib.sha256(data).hexdigest()


def thaw(data: bytes, trusted: tuple[str, ...], *, what: str) -> Pipeline:
    """The pipeline in a skops file.

    Raises:
        RefusedError: it holds types beyond skops' own list and `trusted`, or some that may run code; they are named.
            Or it needs a library that is not installed.
        BadInputError: these bytes are no skops file.
    """
    import skops.io as sio

    try:
        strangers = strangers_in(data, trusted)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BadInputError(f"{what} cannot be read as a skops file ({error}); train it again") from None
    if strangers:
        raise RefusedError(
            f"{what} was not loaded: its file holds the untrusted type {', '.join(strangers)}. Unless you know how "
            f"it came there, the registry may have been tampered with; {refusal(strangers)}"
        )
    try:
        return sio.loads(data, trusted=[name for name in trusted if not runs_code(name)])
    except ImportError as error:
        raise RefusedError(f"{what} was not loaded: {not_installed(error)}") from error


def strangers_in(data: bytes, trusted: tuple[str, ...]) -> list[str]:
    """Types that a skops file holds, that neither skops nor `trusted` lists or that may run code, sorted.

    Raises:
        zipfile.BadZipFile, KeyError, ValueError: these bytes are no skops file.
    """
    import skops.io as sio

    return sorted(t for t in sio.get_untrusted_types(data=data) if t not in trusted or runs_code(t))
