"""Every challenger that could have been made: one for each partition whose labels have landed, kept on disk.

`fit(as_of)` is what the train DAG would have made of labels through `as_of`: its window, its held-out partitions, its
tuning. What each predicts for every later partition is kept too, so that a policy is replayed in seconds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import numpy as np

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.errors import NotReadyError
from evergreen.loop.training.assemble import Labelled, choose
from evergreen.loop.training.classes import Names, learned
from evergreen.loop.training.decide import Choice, Rule, chosen, losses_of
from evergreen.loop.training.estimators.own import source_hash
from evergreen.loop.training.estimators.trusted import trusted_types
from evergreen.loop.training.examples import concatenate
from evergreen.loop.training.learn import learn
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.model_files import Predictor, freeze, thaw
from evergreen.loop.training.provenance import hash_json, lock_hash, training_sources
from evergreen.tools.backtest.landed_data import History, Partition, Progress

log = logging.getLogger("evergreen.replay")

MODEL_FILE = "model.skops"


@dataclass(frozen=True)
class Fit:
    """A challenger, and what it predicts.

    Attributes:
        as_of: newest partition whose labels it was made of.
        train_keys: partitions it was fitted on, oldest first.
        holdout_keys: partitions it was judged on.
        predictions: of every row of each partition from the first it was fitted on, in the rows' order.
        classes: of a multiclass model, those whose probabilities the predictions are; else none.
    """

    as_of: PartitionKey
    train_keys: tuple[PartitionKey, ...]
    holdout_keys: tuple[PartitionKey, ...]
    predictions: Mapping[PartitionKey, Floats]
    classes: Names = ()
    rule: Rule | None = None
    """How the challenger chooses, if the definition has a `decision`"""


@dataclass(frozen=True)
class Fits:
    """All challengers of one history, by the partition they are as of."""

    history: History
    by_as_of: Mapping[PartitionKey, Fit]
    _known: dict[tuple[str, str], Floats] = field(default_factory=dict, repr=False, compare=False)

    def losses(self, as_of: PartitionKey, key: PartitionKey) -> Floats:
        """Loss of each labelled row of the partition `key` under the challenger of `as_of`: float64."""
        if (as_of, key) not in self._known:
            target, predicted = self.history[key].examples.target, self.labelled_predictions(as_of, key)
            classes, choice = self.by_as_of[as_of].classes, self.choice(as_of, predicted)
            self._known[as_of, key] = losses_of(self.history.definition, target, predicted, classes, choice)
        return self._known[as_of, key]

    def choice(self, as_of: PartitionKey, predicted: Floats) -> Choice | None:
        """What the challenger of `as_of` chooses, given what it predicts; None without a `decision`."""
        made = self.by_as_of[as_of]
        return chosen(self.history.definition, made.rule, predicted, made.classes)

    def labelled_predictions(self, as_of: PartitionKey, key: PartitionKey) -> Floats:
        """Predictions of the labelled rows of the partition `key`."""
        partition = self.history[key]
        return self.by_as_of[as_of].predictions[key][labelled_rows(self.history.definition, partition)]


def labelled_rows(definition: ModelDefinition, partition: Partition) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Positions in the partition's features of the rows that have a label."""
    if len(partition.examples) == len(partition.features):
        return np.arange(len(partition.features))
    known = partition.features[definition.feed.entity].isin(set(partition.examples.entity))
    return np.flatnonzero(known.to_numpy())


def fit_all(
    history: History, *, cache: Path | None = None, jobs: int | None = None, progress: Progress | None = None
) -> Fits:
    """Every challenger that the history allows: made now, or taken from the folder `cache`.

    Args:
        history: the partitions.
        cache: keeps models and predictions by the hash of what they were made of; None keeps nothing.
        jobs: processes; all cores by default. A challenger is the same however many there are.
        progress: told after each challenger.
    """
    keys = [p.key for p in history if len(p.examples) and possible(history, p.key)]
    workers = min(jobs or os.cpu_count() or 1, max(1, len(keys)))
    found: dict[PartitionKey, Fit] = {}
    for done, made in enumerate(_each(history, keys, cache, workers), 1):
        if made is not None:
            found[made.as_of] = made
        if progress:
            progress(done, len(keys))
    return Fits(history, found)


def possible(history: History, as_of: PartitionKey) -> bool:
    """Whether there are labels enough for a challenger as of `as_of`."""
    try:
        split(history, as_of)
    except NotReadyError:
        return False
    return True


def split(history: History, as_of: PartitionKey) -> tuple[list[PartitionKey], list[PartitionKey]]:
    """Training and held-out partitions of the challenger of `as_of`, by the train DAG's own rule.

    Raises:
        NotReadyError: too few partitions or rows.
    """
    rows = [_Rows(p.key, len(p.examples)) for p in history if len(p.examples) and p.key <= as_of]
    train, held_out = choose(history.definition, cast("list[Labelled]", rows), as_of)
    return [p.key for p in train], [p.key for p in held_out]


@dataclass(frozen=True)
class _Rows:
    """What `choose` reads of a partition."""

    key: PartitionKey
    rows: int


def fit(history: History, as_of: PartitionKey, *, cache: Path | None = None) -> Fit:
    """The challenger of `as_of` with its predictions.

    Raises:
        NotReadyError: there are too few labels, or they cannot teach anything.
    """
    definition = history.definition
    train_keys, holdout_keys = split(history, as_of)
    folder = cache / recipe_hash(history, train_keys) if cache else None
    examples = concatenate([history[key].examples for key in train_keys])
    predictor: list[Predictor] = []

    def model() -> Predictor:
        if not predictor:
            predictor.append(kept_model(definition, lambda: freeze(learn(definition, examples).model), folder))
        return predictor[0]

    classes = learned(definition, examples.target) if definition.task == "multiclass" else ()
    later = [p for p in history if p.key >= train_keys[0]]
    predictions = {p.key: _predict(p, model, folder, len(classes)) for p in later}
    rule = model().rule if definition.decision else None
    return Fit(as_of, tuple(train_keys), tuple(holdout_keys), predictions, classes, rule)


def kept_model(definition: ModelDefinition, make: Callable[[], bytes], folder: Path | None) -> Predictor:
    """The model in `folder`, or a new one that is put there."""
    file = folder / MODEL_FILE if folder else None
    data = file.read_bytes() if file and file.is_file() else make()
    if file and not file.is_file():
        _write(file, data)
    return Predictor(thaw(data, trusted_types(definition), what=str(file or "a model")), 0)


def _predict(partition: Partition, model: Callable[[], Predictor], folder: Path | None, classes: int) -> Floats:
    file = folder / f"{partition.features_digest}.f8" if folder else None
    if file and file.is_file():
        kept = np.frombuffer(file.read_bytes(), dtype="<f8").astype(np.float64)
        return kept.reshape(-1, classes) if classes else kept
    found = model().predict(partition.features)
    if file:
        _write(file, found.astype("<f8").tobytes())
    return found


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all: another process may be making the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_bytes(data)
    scratch.replace(file)


def recipe_hash(history: History, train_keys: Sequence[PartitionKey]) -> str:
    """Name of what makes a challenger: its rows, and the code, settings and libraries that make a model of them."""
    definition = history.definition
    recipe = {
        "sources": training_sources(),
        "candidates": source_hash(definition),
        "training": definition.training.model_dump(mode="json"),
        "features": definition.features.columns,
        "task": definition.task,
        **({"classes": definition.classes} if definition.classes else {}),
        "loss": definition.loss,
        **({"decision": definition.decision.model_dump(mode="json")} if definition.decision else {}),
        "libraries": lock_hash(),
        "rows": [history[k].examples_digest for k in train_keys],
    }
    return hash_json(recipe)[:32]


def _each(history: History, keys: Sequence[PartitionKey], cache: Path | None, workers: int) -> Iterator[Fit | None]:
    if workers == 1:
        yield from (_try(history, key, cache) for key in keys)
        return
    # Spawned: a fork would copy the locks of the libraries' thread pools.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (history, cache)) as pool:
        yield from pool.map(_work, keys)


def _try(history: History, key: PartitionKey, cache: Path | None) -> Fit | None:
    """The challenger, or None if its rows cannot teach anything (one class only)."""
    try:
        return fit(history, key, cache=cache)
    except NotReadyError as reason:
        log.warning("no challenger as of %s: %s", key, reason)
        return None


_task: list[tuple[History, Path | None]] = []


def _start(history: History, cache: Path | None) -> None:
    _task[:] = [(history, cache)]


def _work(key: PartitionKey) -> Fit | None:
    history, cache = _task[0]
    return _try(history, key, cache)
