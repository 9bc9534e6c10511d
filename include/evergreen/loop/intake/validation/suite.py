"""Run Great Expectations on a data frame, and say in words what does not hold."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd

from evergreen.core.sandbox import note
from evergreen.errors import DefinitionError
from evergreen.loop.intake.comparisons.rules import COMPARED, Comparison
from evergreen.loop.intake.failures import SAMPLE, Failure, Severity, critical, reason
from evergreen.loop.intake.validation import configurations, sentences

# BASIC costs a third less than SUMMARY, which adds the positions of bad rows: asked only of what failed.
_COUNTS = {"result_format": "BASIC", "partial_unexpected_count": SAMPLE}
_POSITIONS = {"result_format": "SUMMARY", "partial_unexpected_count": SAMPLE}
_ALL_POSITIONS = {**_POSITIONS, "result_format": "COMPLETE"}
_LISTED = 10_000
"""Items of a list that the kept result holds: Great Expectations lists every value of a column of text it compares."""


@dataclass(frozen=True)
class SuiteResult:
    """What a suite said of one frame."""

    success: bool
    """No critical expectation failed; warnings may have"""
    found: tuple[Failure, ...]
    """Expectations that do not hold, critical ones first"""
    checked: int
    """Expectations evaluated"""
    json: str
    """Great Expectations' full result as JSON text, without tracebacks; empty if nobody asked for it"""
    suite_hash: str
    """SHA-256 over the expectations, hex"""

    @property
    def failures(self) -> list[dict[str, Any]]:
        """`found` as plain types."""
        return [failure.to_json() for failure in self.found]

    @property
    def reason(self) -> str:
        """One sentence: what does not hold, or that everything does."""
        return reason(self.found) or f"all {self.checked} expectations hold"


def prepare() -> None:
    """Make what evaluating takes once in a process, so that what it forks finds it."""
    _batch_definition()


def run_suite(
    frame: pd.DataFrame,
    expectations: Sequence[Any],
    name: str,
    *,
    name_rows: int = 0,
    one_by_one: bool = False,
    in_full: bool = True,
) -> SuiteResult:
    """Evaluate `expectations` on `frame`; `name` (such as "nyc_flights.inputs") appears in results and errors.

    Failures name all rows that break them (`Failure.bad`) if these are no more than `name_rows`.

    With `one_by_one` each is evaluated by itself first, and noted: to find out which one does not end. Without
    `in_full` the result's `json` is empty: writing it takes a tenth of the time.

    Raises:
        DefinitionError: an expectation names a column that the frame does not have.
    """
    _check_columns(frame, expectations, name)
    digest = suite_hash(expectations)
    batch = _batch_definition().get_batch({"dataframe": frame})
    for expectation in expectations if one_by_one else ():
        note(*sentences.named(expectation.configuration))
        _validate(batch, [expectation], name, _COUNTS)
    note("evaluating the expectations")
    outcome = _validate(batch, expectations, name, _COUNTS)
    found: list[Failure] = []
    failed = _failed(expectations, outcome.results)
    few = _few(outcome.results, name_rows)
    for chosen, result_format in (
        ([e for e in failed if _identity(e) not in few], _POSITIONS),
        ([e for e in failed if _identity(e) in few], _ALL_POSITIONS),
    ):
        if chosen:
            found += _failures(_validate(batch, chosen, name, result_format).results)
    found.sort(key=lambda f: (f.severity != "critical", -(f.count or 0)))
    text = json.dumps(_jsonable(outcome.to_json_dict()), default=str, sort_keys=True) if in_full else ""
    return SuiteResult(not critical(found), tuple(found), len(outcome.results), text, digest)


def suite_hash(expectations: Iterable[Any]) -> str:
    """SHA-256 over what the expectations ask for and how severe they are; their notes do not count.

    Of a comparison, what it asks for counts and not the numbers that it comes to.
    """
    parts = [e.identity if isinstance(e, Comparison) else (_identity(e), _severity(e.severity)) for e in expectations]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _identity(expectation: Any) -> str:
    """What an expectation, or the configuration in a result, asks for."""
    config = getattr(expectation, "configuration", expectation)
    kwargs = {k: v for k, v in config.to_json_dict()["kwargs"].items() if k != "batch_id"}
    return json.dumps([config.type, kwargs], sort_keys=True, default=str)


def _failed(expectations: Iterable[Any], results: Iterable[Any]) -> list[Any]:
    """The expectations that do not hold; results come in another order than they were asked."""
    failed = {_identity(r.expectation_config) for r in results if not r.success}
    return [e for e in expectations if _identity(e) in failed]


def _few(results: Iterable[Any], most: int) -> set[str]:
    """What is asked for by the expectations that are broken by some rows, and by no more than `most`."""
    counts = {_identity(r.expectation_config): (r.result or {}).get("unexpected_count") or 0 for r in results}
    return {identity for identity, count in counts.items() if 0 < count <= most}


def _validate(batch: Any, expectations: Sequence[Any], name: str, result_format: dict[str, Any]) -> Any:
    import great_expectations as gx

    with warnings.catch_warnings(), configurations.kept():
        warnings.simplefilter("ignore")  # about how Great Expectations itself calls pandas
        return batch.validate(gx.ExpectationSuite(name, expectations=list(expectations)), result_format=result_format)


@cache
def _batch_definition() -> Any:
    """One ephemeral context serves the process and what it forks; frames pass through it and are not kept."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    # Great Expectations sets one of its loggers to INFO itself: let it follow the others.
    logging.getLogger(ProgressBarsConfig.__module__).setLevel(logging.NOTSET)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    return asset.add_batch_definition_whole_dataframe("whole")


def _check_columns(frame: pd.DataFrame, expectations: Iterable[Any], name: str) -> None:
    named = {c for e in expectations for c in (sentences.subject(e.configuration.kwargs) or "").split(", ") if c}
    strangers = sorted(named.difference(map(str, frame.columns)))
    if strangers:
        raise DefinitionError(
            f"expectations {name}: there is no column {', '.join(strangers)}; "
            "make the names in expectations.py those of model.yaml"
        )


def _failures(results: Iterable[Any]) -> list[Failure]:
    failures = []
    for item in results:
        if item.success:
            continue
        config = {"type": item.expectation_config.type, "kwargs": item.expectation_config.kwargs}
        severity = _severity(item.expectation_config.severity)
        message = _exception(item.exception_info or {})
        if message is None:
            found = sentences.failure(config, severity, item.result)
        else:
            found = sentences.impossible(config, severity, message)
        if compared := (item.expectation_config.meta or {}).get(COMPARED):
            # Which rows are taken out of a table may not depend on what landed before it.
            found = replace(found, sentence=f"{found.sentence} (from {compared})", rule="", bad=None)
        failures.append(found)
    return failures


def _severity(value: Any) -> Severity:
    """Only `critical` quarantines; Great Expectations' third level, `info`, is reported like a warning."""
    return "critical" if getattr(value, "value", value) == "critical" else "warning"


def _exception(info: dict[str, Any]) -> str | None:
    """The message of an exception while computing: the info is about one exception, or holds one for each metric."""
    for part in (info, *info.values()):
        if isinstance(part, dict) and part.get("raised_exception"):
            return str(part.get("exception_message") or "no message")
    return None


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items() if k != "exception_traceback"}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value[:_LISTED]]
    return None if isinstance(value, float) and not math.isfinite(value) else value
