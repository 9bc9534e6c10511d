"""Tests of `features.py` on one partition that has landed: what a row's features may depend on, and what not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evergreen.core.text import quoted_name
from evergreen.errors import BadInputError
from evergreen.loop.features.beside import copied, frames_of, mapped
from evergreen.loop.features.compute import compute
from evergreen.loop.features.features_file import load_build
from evergreen.loop.intake.comparisons.rules import ordinary
from evergreen.loop.intake.failures import critical
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.loop.intake.validation.suite import run_suite
from evergreen.tools.model_test.perturb import changed_after, free_columns, variants
from evergreen.tools.model_test.result import BrokenError, SkipError
from evergreen.tools.model_test.same import difference

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

ALONE = 12
"""Rows that are built alone: each is a call of build() with the whole look-back."""
FEW = 200
"""Rows of a table that is changed column by column."""
SEED = 20130107


@dataclass(frozen=True)
class Subject:
    """What `features.py` is tested on.

    Attributes:
        definition: the model.
        key: of the partition.
        inputs: its accepted rows, typed as intake types them.
        history: rows that it looks back on, with their labels.
        beside: what else `build` gets, by name: `recent` and `references`, if the definition asks for them.
    """

    definition: ModelDefinition
    key: str
    inputs: pd.DataFrame
    history: pd.DataFrame
    beside: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def features(self) -> pd.DataFrame:
        """Features of `inputs`, built once."""
        return self.build(self.inputs)

    def build(
        self, inputs: pd.DataFrame, history: pd.DataFrame | None = None, beside: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Features of other rows, from copies that `build` may spoil."""
        past, more = self.history if history is None else history, self.beside if beside is None else beside
        return compute(self.definition, inputs.copy(), past.copy(), self._build, copied(more))

    @cached_property
    def _build(self) -> Callable[..., pd.DataFrame]:
        return load_build(self.definition)

    def must_equal(self, expected: pd.DataFrame, found: pd.DataFrame, means: str) -> None:
        """Raise BrokenError with the first difference and what it means."""
        entity = self.definition.feed.entity
        said = difference(expected, found, self.definition.features.columns, entity)
        if said:
            raise BrokenError(f"{self.key}: {said}: {means}")


def built_again(subject: Subject) -> str:
    """The same rows give the same features."""
    subject.must_equal(
        subject.features,
        subject.build(subject.inputs),
        "build() called twice with the same rows gives different features, so nothing can be rebuilt. Look for random "
        "numbers without a seed, for the clock, and for what one call leaves behind for the next",
    )
    return f"{len(subject.inputs):,} rows of {subject.key}, {len(subject.features.columns) - 2} features, twice"


def leaves_its_rows_alone(subject: Subject) -> str:
    """`build` does not write into what it is given."""
    inputs, history, beside = subject.inputs.copy(), subject.history.copy(), copied(subject.beside)
    compute(subject.definition, inputs, history, subject._build, beside)
    given = [("inputs", subject.inputs, inputs), ("history", subject.history, history)]
    befores, afters = frames_of(subject.beside), frames_of(beside)
    given += [(name, frame, afters[name]) for name, frame in befores.items()]
    for name, before, after in given:
        if not before.equals(after):
            columns = [c for c in before.columns if c in after.columns and not before[c].equals(after[c])]
            raise BrokenError(
                f"build() changes its argument {name} ({', '.join(map(quoted_name, columns)) or 'columns added'}): "
                f"work on a copy ({name} = {name}.copy()), because the same rows are used again"
            )
    return " and ".join(["inputs", "history", *befores]) + " are as they were"


def one_row_alone(subject: Subject) -> str:
    """A row alone gets the features that it gets beside the others of its partition."""
    rows = np.unique(np.linspace(0, len(subject.inputs) - 1, ALONE).astype(int))
    parts = [subject.build(subject.inputs.iloc[[row]].reset_index(drop=True)) for row in rows]
    alone = pd.concat(parts, ignore_index=True).astype(subject.features.dtypes.to_dict())
    subject.must_equal(
        subject.features.iloc[rows].reset_index(drop=True),
        alone,
        "in its partition, and alone. A prediction on request sees the request's rows only, so it would differ from "
        "the batch's. Compute it from the row itself and from history",
    )
    return f"{len(rows)} rows built alone as in their partition"


def any_order(subject: Subject) -> str:
    """The order of the rows, of the partition and of the look-back, does not matter."""
    rng = np.random.default_rng(SEED)
    turn = rng.permutation(len(subject.inputs))
    past = subject.history.iloc[rng.permutation(len(subject.history))].reset_index(drop=True)
    beside = mapped(subject.beside, lambda frame: frame.iloc[rng.permutation(len(frame))].reset_index(drop=True))
    found = subject.build(subject.inputs.iloc[turn].reset_index(drop=True), past, beside)
    back = found.iloc[np.argsort(turn)].reset_index(drop=True)
    subject.must_equal(
        subject.features, back, "in the order that has landed, and in another. Sort by event time inside build()"
    )
    return "rows in another order give the same features"


def nothing_later(subject: Subject) -> str:
    """The features of earlier rows do not change with what later rows hold."""
    event_time = subject.definition.feed.event_time
    changed = changed_after(subject.inputs, free_columns(subject.definition), event_time)
    if changed is None:
        raise SkipError(f"all rows of {subject.key} have one {event_time}")
    other, earlier = changed
    before = subject.features[earlier].reset_index(drop=True)
    subject.must_equal(
        before,
        subject.build(other)[earlier].reset_index(drop=True),
        f"before and after rows with a later {event_time} were changed. It reads the future, which is not known when "
        "the prediction is needed",
    )
    return f"{int(earlier.sum()):,} earlier rows do not see the {int((~earlier).sum()):,} later ones"


def odd_values(subject: Subject) -> str:
    """Gaps, extremes and unseen categories do not break `build`, if the expectations let them pass."""
    rows = subject.inputs.head(FEW).reset_index(drop=True)
    suite = _Suite(subject.definition, rows)
    tried, stopped = 0, 0
    for column, words, table in variants(rows, free_columns(subject.definition)):
        tried += 1
        fault = _fault(subject, table)
        if fault and not suite.stops(table):
            raise BrokenError(
                f"{quoted_name(column)} {words}: {fault}. The expectations accept such a table, so it would reach the "
                "loop: make build() bear it, or add an expectation"
            )
        stopped += bool(fault)
    if not tried:
        raise SkipError("there is no column to change")
    return f"{tried} odd tables: {tried - stopped} built, {stopped} stopped by the expectations before"


def _fault(subject: Subject, table: pd.DataFrame) -> str | None:
    """What is wrong with the features of odd rows."""
    try:
        found = subject.build(table)
    except BadInputError as error:
        return str(error)
    endless = [c for c in subject.definition.features.numeric if np.isinf(found[c].to_numpy()).any()]
    return (
        f"feature {quoted_name(endless[0])} is infinite, which models refuse: return NaN instead" if endless else None
    )


class _Suite:
    """The expectations on inputs, asked what they find in odd rows that they do not find in these rows as landed."""

    def __init__(self, definition: ModelDefinition, rows: pd.DataFrame) -> None:
        self._name = f"{definition.name}.inputs"
        self._rules = ordinary(load_expectations(definition, "inputs"))
        self._usual = self._critical(rows)  # a few rows break rules on the number of rows

    def stops(self, table: pd.DataFrame) -> bool:
        """Whether such a table would be quarantined."""
        return bool(self._critical(table) - self._usual)

    def _critical(self, table: pd.DataFrame) -> set[tuple[str, str | None]]:
        return {(found.name, found.column) for found in critical(run_suite(table, self._rules, self._name).found)}


TESTS: tuple[tuple[str, Callable[[Subject], str]], ...] = (
    ("the same rows give the same features", built_again),
    ("build() does not change its arguments", leaves_its_rows_alone),
    ("a row alone gets the features of its batch", one_row_alone),
    ("the order of rows does not matter", any_order),
    ("nothing later leaks into a row", nothing_later),
    ("gaps, extremes and unseen categories are borne", odd_values),
)
