"""Tests of what a definition trains: each candidate on a few rows, and the comparison that a challenger would meet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from evergreen.core.text import number
from evergreen.errors import NotReadyError
from evergreen.loop.champion.evaluation.paired_test import compare
from evergreen.loop.champion.evaluation.scores import Predicted, base_rate
from evergreen.loop.training.classes import learned, numbered
from evergreen.loop.training.estimators import kinds
from evergreen.loop.training.estimators.check import check_candidate
from evergreen.loop.training.learn import refit
from evergreen.loop.training.losses import row_losses
from evergreen.loop.training.model_files import Predictor
from evergreen.tools.model_test.result import BrokenError, SkipError

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.loop.training.examples import Examples
    from evergreen.loop.training.losses import Floats

ROWS_TIMED = 1_000
TRIES = 5


@dataclass(frozen=True)
class Trained:
    """What candidates are tested on.

    Attributes:
        definition: the model.
        older: labelled rows to fit on.
        newer: labelled rows of the newest partition, to predict.
    """

    definition: ModelDefinition
    older: Examples
    newer: Examples

    @cached_property
    def _fitted(self) -> dict[str, Predictor]:
        return {}

    def fitted(self, kind: str) -> Predictor:
        """The candidate with the settings of its first trial, fitted once on `older`."""
        if kind not in self._fitted:
            params = kinds.space_of(self.definition, kind)[1]
            self._fitted[kind] = Predictor(refit(self.definition, kind, params, self.older), 0)
        return self._fitted[kind]

    def losses(self, predicted: Predicted) -> Floats:
        """Loss of each row of `newer`."""
        target = numbered(self.newer.target, predicted.classes)
        return row_losses(self.definition.training_loss, target, predicted.values)


def sound_candidate(trained: Trained, kind: str) -> str:
    """A candidate is deterministic, predicts numbers, leaves its input alone, and is the same after saving."""
    check_candidate(trained.definition, kind, trained.older, trained.newer)
    return "the same twice, the same after saving, the same for a row alone, and numbers for unseen values"


def quick_enough(trained: Trained, kind: str) -> str:
    """It predicts 1,000 rows in the time that the gate allows."""
    rows = trained.newer.features.iloc[np.arange(ROWS_TIMED) % len(trained.newer)]
    predictor, allowed = trained.fitted(kind), trained.definition.gate.max_latency_ms
    taken = []
    for _ in range(TRIES):
        begun = time.perf_counter()
        predictor.predict(rows)
        taken.append(1_000 * (time.perf_counter() - begun))
    if min(taken) > allowed:
        raise BrokenError(
            f"1,000 rows are predicted in {min(taken):.1f} ms, and the gate allows {allowed:,.4g} ms "
            "(gate.max_latency_ms): take a smaller model, or allow more"
        )
    return f"1,000 rows in {min(taken):.1f} ms, {allowed:,.4g} ms allowed"


def beats_a_constant(trained: Trained, kind: str) -> str:
    """The gate's own comparison, with the best constant in the champion's place: does it come to a number at all?"""
    definition = trained.definition
    constant, model = base_rate(definition, trained.older, len(trained.newer)), trained.fitted(kind)
    usual = trained.losses(constant)
    own = trained.losses(Predicted(model.predict(trained.newer.features), model.classes))
    found = compare(usual, own, trained.newer.cluster, alpha=definition.gate.alpha)
    words = f"loss {number(own.mean())}, a constant {number(usual.mean())}, {len(set(trained.newer.cluster))} clusters"
    if found.verdict == "worse":
        raise BrokenError(
            f"{words}: proven worse than a constant on {len(trained.newer):,} rows of the newest partition. Look at "
            "the features, or wait for more labels: this is a fit with the first settings, not a tuned one"
        )
    return f"{words}: {found.verdict}"


def tests_of(trained: Trained | None, why_not: str) -> list[tuple[str, Callable[[], str]]]:
    """(name, test) of every candidate; tests that are skipped if there is nothing to train on."""
    if trained is None:
        return [("candidates", lambda: _skip(why_not))]
    found: list[tuple[str, Callable[[], str]]] = []
    for kind in trained.definition.training.candidates:
        for words, test in (
            ("is sound and can be saved", sound_candidate),
            ("is quick enough", quick_enough),
            ("can be compared", beats_a_constant),
        ):
            found.append((f"candidate {kind} {words}", partial(test, trained, kind)))
    return found


def trained_on(definition: ModelDefinition, examples: list[Examples]) -> Trained:
    """The newest partition to predict, the others to fit on.

    Args:
        definition: the model.
        examples: labelled rows of each partition, oldest first.

    Raises:
        NotReadyError: fewer than two partitions with labels, or one class only.
    """
    from evergreen.loop.training.examples import concatenate

    filled = [rows for rows in examples if len(rows)]
    if len(filled) < 2:
        raise NotReadyError("fewer than two partitions with labels have landed; land more, then test again")
    older = concatenate(filled[:-1])
    if definition.task == "binary" and np.unique(older.target).size < 2:
        raise NotReadyError(f"all labels of the older partitions say the same ({definition.target}); land more")
    if definition.task == "multiclass" and len(learned(definition, older.target)) < 2:
        raise NotReadyError(f"the older partitions do not hold two classes of {definition.target} to learn; land more")
    return Trained(definition, older, filled[-1])


def _skip(why: str) -> str:
    raise SkipError(why)
