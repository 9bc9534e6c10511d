"""Read what has landed, and run every test of a model on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from evergreen.core.names import PartitionKey
from evergreen.errors import EvergreenError
from evergreen.tools.backtest.landed_beside import beside_of
from evergreen.tools.backtest.landed_data import Tables, build_history, look_back, read_newest
from evergreen.tools.model_test import beside_tests, feature_tests, model_tests
from evergreen.tools.model_test.feature_tests import Subject
from evergreen.tools.model_test.result import BrokenError, Outcome, SkipError, attempt

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition
    from evergreen.tools.backtest.landed_data import Progress

LAST = 6
"""Newest partitions that are read by default, beside those that they look back on."""


def run(
    definition: ModelDefinition, landing_url: str, *, last: int = LAST, progress: Progress | None = None
) -> Iterator[Outcome]:
    """Every test of `definition` on the `last` newest partitions in the landing zone, one outcome at a time.

    Raises:
        BadInputError: nothing has landed.
        UnavailableError: the landing zone does not answer.
    """
    tables, keys = read_newest(definition, landing_url, last, progress=progress)
    yield attempt("data", "the expectations accept what has landed", lambda: _accepted(tables))
    subject = _subject(definition, tables, keys)
    for name, test in (*feature_tests.TESTS, *beside_tests.tests_of(subject)):
        yield attempt("features", name, _of(test, subject))
    trained, why_not = _trained(definition, tables, keys)
    for name, model_test in model_tests.tests_of(trained, why_not):
        yield attempt("model", name, model_test)


def _accepted(tables: Tables) -> str:
    refused = {name: reason for name, reason in tables.left_out.items() if name not in tables.held_back}
    if refused:
        first, reason = next(iter(refused.items()))
        raise BrokenError(
            f"{len(refused)} of the tables that have landed would be quarantined, "
            f"such as {first}: {reason}. Correct the data, or the expectations that refuse it"
        )
    told = f"{len(tables.inputs)} inputs and {len(tables.labels)} labels"
    if tables.held_back:
        first, reason = next(iter(tables.held_back.items()))
        told += f"; {len(tables.held_back)} more are held back until they are complete, such as {first}: {reason}"
    return told


def _subject(definition: ModelDefinition, tables: Tables, keys: list[PartitionKey]) -> Subject | None:
    """The newest accepted partition with its look-back."""
    accepted = [key for key in keys if key in tables.inputs]
    if not accepted:
        return None
    key = accepted[-1]
    beside = beside_of(definition, tables.inputs, tables.references, key)
    return Subject(definition, key, tables.inputs[key], look_back(definition, tables, key), beside)


def _of(test: Callable[[Subject], str], subject: Subject | None) -> Callable[[], str]:
    def run_it() -> str:
        if subject is None:
            raise SkipError("no inputs were accepted")
        return test(subject)

    return run_it


def _trained(
    definition: ModelDefinition, tables: Tables, keys: list[PartitionKey]
) -> tuple[model_tests.Trained | None, str]:
    """What candidates are tested on, or None and why not."""
    try:
        history = build_history(definition, tables, [key for key in keys if key in tables.inputs])
        return model_tests.trained_on(definition, [partition.examples for partition in history]), ""
    except EvergreenError as error:
        return None, str(error)
