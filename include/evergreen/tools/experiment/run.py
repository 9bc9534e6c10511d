"""Rounds of both models on the landed history, and the gate's comparison over all of them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.errors import NotReadyError
from evergreen.loop.champion.evaluation.paired_test import compare
from evergreen.loop.training.classes import Names
from evergreen.loop.training.decide import Rule, chosen, losses_of
from evergreen.loop.training.examples import concatenate
from evergreen.loop.training.learn import learn
from evergreen.loop.training.losses import Floats
from evergreen.loop.training.model_files import Predictor, freeze
from evergreen.tools.backtest.challengers import kept_model, possible, recipe_hash, split
from evergreen.tools.backtest.landed_data import History, build_history, read_tables
from evergreen.tools.backtest.landed_data import Progress as Read
from evergreen.tools.experiment.result import Result, Round, Side
from evergreen.tools.experiment.variant import Variant

log = logging.getLogger("evergreen.experiment")

ROUNDS = 8
"""Rounds by default: with a holdout of two weeks some four months of days"""
TIMES = 3
"""Predictions timed, of which the quickest counts"""
Progress = Callable[[Round, int], None]
"""Told each round when it is done, and of how many"""


def experiment(
    base: ModelDefinition,
    variant: Variant,
    landing_url: str,
    *,
    rounds: int = ROUNDS,
    cache: Path | None = None,
    read: Read | None = None,
    progress: Progress | None = None,
) -> Result:
    """Compare the variant with the definition on what has landed; nothing is written but the cache.

    A round is what the train DAG would do with labels through one partition: both models are made by their own rules,
    and are judged on the held-out partitions that neither has seen. The rounds end at the newest labels and go back by
    one holdout each, so that no row is judged twice. All rows together are compared by the gate's own test, clustered
    by day (`loop/champion/evaluation/paired_test.py`), at the gate's alpha and by the definition's loss.

    Args:
        base: the model as it is.
        variant: the other way.
        landing_url: landing zone of the feed.
        rounds: at most so many.
        cache: folder that keeps models by the hash of what they were made of; None keeps nothing.
        read: told how many partitions have been read, and of how many.
        progress: told each round.

    Raises:
        BadInputError: nothing has landed, or a `features.py` breaks its contract.
        NotReadyError: too little has landed for one round.
        RefusedError: a candidate does what none may do.
        UnavailableError: the landing zone does not answer.
    """
    ours, theirs = _histories(base, variant.definition, landing_url, read)
    return run_rounds(ours, theirs, variant.changes, rounds=rounds, cache=cache, progress=progress)


def run_rounds(
    ours: History,
    theirs: History,
    changes: tuple[str, ...],
    *,
    rounds: int = ROUNDS,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """As `experiment`, on histories that have been read: the definition's and the variant's, of the same rows."""
    base, judged, fault = ours.definition, list[_Judged](), None
    cuts = cut_points(ours, theirs, rounds)
    if not cuts:
        for history in (ours, theirs):
            split(history, history.keys[-1])  # says what is there and what is needed
        raise NotReadyError(f"no held-out partition of {base.name} is common to the definition and the variant")
    for as_of in cuts:
        try:
            judged.append(_round(ours, theirs, as_of, cache))
        except NotReadyError as reason:  # one class only, say: later windows have both
            log.warning("no round of labels through %s: %s", as_of, reason)
            fault = reason
            continue
        if progress:
            progress(judged[-1].round, len(cuts))
    if not judged and fault is not None:
        raise fault
    comparison = compare(
        np.concatenate([part.definition for part in judged]),
        np.concatenate([part.variant for part in judged]),
        pd.concat([part.clusters for part in judged], ignore_index=True),
        alpha=base.gate.alpha,
    )
    return Result(base.name, base.loss, changes, tuple(part.round for part in judged), comparison, base.unit)


@dataclass(frozen=True)
class _Judged:
    """A round with the losses of its rows."""

    round: Round
    definition: Floats
    variant: Floats
    clusters: pd.Series


def _histories(
    base: ModelDefinition, variant: ModelDefinition, landing_url: str, read: Read | None
) -> tuple[History, History]:
    tables, keys = read_tables(base, landing_url, progress=read)
    ours = build_history(base, tables, keys)
    told = [(d.feed, d.classes, d.training_loss, _text(d, "expectations.py")) for d in (base, variant)]
    if told[0] != told[1]:  # what intake accepts depends on all of these
        tables, keys = read_tables(variant, landing_url, progress=read)
    return ours, build_history(variant, tables, keys)


def _text(definition: ModelDefinition, name: str) -> bytes | None:
    file = definition.folder / name
    return file.read_bytes() if file.is_file() else None


def cut_points(ours: History, theirs: History, most: int) -> list[PartitionKey]:
    """Newest labels of each round, oldest first: at most `most`, a holdout apart, possible for both. Pure."""
    common = {p.key for p in theirs if len(p.examples)}
    labelled = [p.key for p in ours if len(p.examples) and p.key in common]
    found: list[PartitionKey] = []
    for as_of in labelled[:: -ours.definition.gate.holdout]:
        if len(found) == most or not (possible(ours, as_of) and possible(theirs, as_of)):
            break
        if _judged_keys(ours, theirs, as_of):
            found.append(as_of)
    return found[::-1]


def _judged_keys(ours: History, theirs: History, as_of: PartitionKey) -> list[PartitionKey]:
    """Partitions that both hold out."""
    return sorted(set(split(ours, as_of)[1]) & set(split(theirs, as_of)[1]))


def _round(ours: History, theirs: History, as_of: PartitionKey, cache: Path | None) -> _Judged:
    keys = _judged_keys(ours, theirs, as_of)
    sides = [_side(history, as_of, keys, cache) for history in (ours, theirs)]
    frames = [side.losses(ours.definition) for side in sides]
    rows = frames[0].join(frames[1], how="inner", lsuffix="_ours", rsuffix="_theirs")
    a, b = (rows[f"loss_{name}"].to_numpy(np.float64) for name in ("ours", "theirs"))
    round_ = Round(as_of, tuple(keys), len(rows), sides[0].said(a), sides[1].said(b))
    return _Judged(round_, a, b, rows["cluster_ours"].reset_index(drop=True))


@dataclass(frozen=True)
class _Fitted:
    """One side's model of a round, and what it predicts for the judged rows."""

    history: History
    keys: list[PartitionKey]
    train_rows: int
    seconds: float | None
    predict_ms: float
    predictions: dict[PartitionKey, Floats]
    classes: Names
    rule: Rule | None

    def losses(self, judge: ModelDefinition) -> pd.DataFrame:
        """Columns loss (as `judge` defines it) and cluster, indexed by partition and entity: one row a judged row."""
        return pd.concat([self._of(key, judge) for key in self.keys])

    def _of(self, key: PartitionKey, judge: ModelDefinition) -> pd.DataFrame:
        examples = self.history[key].examples
        index = pd.MultiIndex.from_arrays([examples.key, examples.entity])
        predicted = self.predictions[key]
        # Both sides pay what the definition says that mistakes cost, each for what it chooses by its own rule.
        choice = chosen(judge, self.rule, predicted, self.classes)
        losses = losses_of(judge, examples.target, predicted, self.classes, choice)
        return pd.DataFrame({"loss": losses, "cluster": examples.cluster}, index=index)

    def said(self, losses: Floats) -> Side:
        return Side(float(losses.mean()), self.train_rows, self.seconds, self.predict_ms)


def _side(history: History, as_of: PartitionKey, keys: list[PartitionKey], cache: Path | None) -> _Fitted:
    train_keys, _ = split(history, as_of)
    examples = concatenate([history[key].examples for key in train_keys])
    folder = cache / recipe_hash(history, train_keys) if cache else None
    timed: list[float] = []

    def make() -> bytes:
        begun = time.process_time()
        model = learn(history.definition, examples).model
        timed.append(time.process_time() - begun)
        return freeze(model)

    predictor = kept_model(history.definition, make, folder)
    seconds = _seconds(folder, timed[0] if timed else None)
    predictions = {key: predictor.predict(history[key].examples.features) for key in keys}
    took = _predict_ms(predictor, history, keys)
    return _Fitted(history, keys, len(examples), seconds, took, predictions, predictor.classes, predictor.rule)


def _seconds(folder: Path | None, measured: float | None) -> float | None:
    """Processor time of the fit: of this run, or of the one that kept the model."""
    file = folder / "seconds" if folder else None
    if file and measured is not None:
        scratch = file.with_name(f".{file.name}.{os.getpid()}")
        scratch.write_text(f"{measured:.3f}")
        scratch.replace(file)
    if measured is None and file and file.is_file():
        return float(file.read_text())
    return measured


def _predict_ms(predictor: Predictor, history: History, keys: list[PartitionKey]) -> float:
    rows = pd.concat([history[key].examples.features for key in keys], ignore_index=True).head(1_000)

    def times() -> Iterator[float]:
        for _ in range(TIMES):
            begun = time.perf_counter()
            predictor.predict(rows)
            yield time.perf_counter() - begun

    return 1_000 * min(times()) * 1_000 / len(rows)
