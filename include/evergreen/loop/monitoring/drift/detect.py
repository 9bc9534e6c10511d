"""Has the data moved away from what the champion was made of? One family of tests, one false-alarm rate.

A column is tested twice: its values, and where they are missing (a null is a signal, not a gap). All tests of a check,
the prediction's among them, share `monitoring.share_alpha` (Holm), whatever the sizes of the two samples. A column is
reported as drifted if its test holds *and* the difference is at least `monitoring.min_effect`: with enough rows
everything differs, and nobody should be woken by it. How the columns depend on each other is tested twice as well
(`joint`) and reported like one more column, `JOINT`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.frames import on_the_clock
from evergreen.core.spelling import spelled
from evergreen.core.text import listed, p_value
from evergreen.errors import BadInputError
from evergreen.loop.monitoring.drift import dependence, rounding, two_sample, wording
from evergreen.loop.monitoring.drift.dependence import JOINT, Found
from evergreen.loop.monitoring.drift.rank_scores import Column
from evergreen.loop.monitoring.drift.two_sample import Clusters, Outcome

_WHOLE = re.compile(r"-?[0-9]+\.0")
MAX_ROWS = 20_000
"""Rows of each sample that are looked at: more would only find smaller differences than anyone acts on."""
PREDICTION = "prediction"
TARGET = "target"
Kind = Literal["numeric", "categorical", "joint"]
Severity = Literal["none", "minor", "major"]


@dataclass(frozen=True)
class ColumnDrift:
    """What the check found in one column; of its two tests, the one with the smaller p-value."""

    name: str
    kind: Kind
    method: str
    statistic: float
    p_value: float
    """Adjusted for all tests of the check: at most `alpha` is significant."""
    effect: float
    """In standard deviations of an equally visible shift (shares: Cohen's h, the same scale)"""
    design_effect: float
    """How many times fewer rows the samples are worth because rows of one day resemble each other"""
    missing_reference: float
    missing_current: float
    drifted: bool
    change: str
    """What moved, in words"""
    sentence: str

    @property
    def severity(self) -> Severity:
        """By the size of the effect, not by its certainty: none if it has not drifted, major from `MAJOR` on."""
        return "none" if not self.drifted else "major" if self.effect >= wording.MAJOR else "minor"


@dataclass(frozen=True)
class DriftResult:
    """A check of one batch against the champion's reference."""

    columns: tuple[ColumnDrift, ...]
    prediction: ColumnDrift | None
    alpha: float
    min_effect: float
    tests: int
    reference_rows: int
    current_rows: int
    sentence: str
    joint: ColumnDrift | None = None
    """How the columns depend on each other; None if that cannot be compared"""

    @property
    def inputs(self) -> tuple[ColumnDrift, ...]:
        """The columns, and how they depend on each other."""
        return self.columns if self.joint is None else (*self.columns, self.joint)

    @property
    def drifted(self) -> bool:
        """Whether the inputs have drifted: any feature column, or how they depend on each other."""
        return bool(self.drifted_columns)

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        """Names of the drifted feature columns, largest effect first; `JOINT` is how they depend on each other."""
        return tuple(self.drifted_effects)

    @property
    def drifted_effects(self) -> dict[str, float]:
        """The effect of each drifted input, the largest first."""
        found = sorted((c for c in self.inputs if c.drifted), key=lambda c: -c.effect)
        return {c.name: c.effect for c in found}

    @property
    def severity(self) -> Severity:
        """The worst of the inputs."""
        found = {c.severity for c in self.inputs}
        return "major" if "major" in found else "minor" if "minor" in found else "none"


@dataclass(frozen=True)
class _Pair:
    """One column of both samples, and the clusters of their rows."""

    name: str
    kind: Kind
    reference: pd.Series[Any]
    current: pd.Series[Any]
    clusters: Clusters | None


def check(
    reference: pd.DataFrame, current: pd.DataFrame, definition: ModelDefinition, *, current_rows: int | None = None
) -> DriftResult:
    """Compare `current` with `reference`, column by column.

    Both frames hold the definition's feature columns; a column `prediction` in both is compared as well: as numbers, or
    for several classes as the shares of rows for which each is the most probable (with the
    reference's holdout part, if it says which part a row is of: predictions of rows a model was trained on are not
    its usual ones). Rows are taken to resemble each other within a day of the event time, or within a column
    `cluster`, if both frames have it. At most `MAX_ROWS` rows of each are looked at, chosen by a fixed seed;
    `current_rows` says how many there were if `current` is a sample already.

    Raises:
        BadInputError: a frame is empty or lacks a feature column.
    """
    _require(reference, current, definition.features.columns)
    settings = definition.monitoring
    kinds: list[tuple[str, Kind]] = [(c, "numeric") for c in definition.features.numeric]
    kinds += [(c, "categorical") for c in definition.features.categorical]
    now = bounded(current)
    pairs = _pairs(kinds, bounded(reference), now, definition)
    families = [(pair, _run(pair)) for pair in pairs]
    families += _joint(pairs, settings.share_alpha, settings.min_effect)
    if PREDICTION in reference and PREDICTION in current:
        scores: Kind = "categorical" if definition.task == "multiclass" else "numeric"
        scored = _pairs([(PREDICTION, scores)], bounded(_holdout(reference)), now, definition)
        families += [(pair, _run(pair)) for pair in scored]
    found = _compare(families, settings.share_alpha, settings.min_effect)
    prediction = next((c for c in found[len(pairs) :] if c.name == PREDICTION), None)
    joint = next((c for c in found[len(pairs) :] if c.kind == "joint"), None)
    return DriftResult(
        columns=tuple(found[: len(pairs)]),
        prediction=prediction,
        alpha=settings.share_alpha,
        min_effect=settings.min_effect,
        tests=sum(len(tests) for _, tests in families),
        reference_rows=len(reference),
        current_rows=len(current) if current_rows is None else current_rows,
        sentence=_overall(found[: len(pairs)], joint, prediction),
        joint=joint,
    )


def check_target(reference: pd.DataFrame, current: pd.DataFrame, definition: ModelDefinition) -> ColumnDrift:
    """Compare the column `target` of two labelled frames (float64, or text; they need no features): label drift.

    A check of its own, at `share_alpha`: labels are of earlier partitions than the inputs that are checked with them.
    """
    _require(reference, current, (TARGET,))
    kind: Kind = "numeric" if definition.task == "regression" else "categorical"
    pairs = _pairs([(TARGET, kind)], bounded(reference), bounded(current), definition)
    families = [(pair, _run(pair)) for pair in pairs]
    found = _compare(families, definition.monitoring.share_alpha, definition.monitoring.min_effect)[0]
    if definition.task != "binary":
        return found
    before, now = (float(numbers(f[TARGET]).mean()) for f in (reference, current))
    return replace(found, change=f"the share of positives {wording.change_of_share(before, now)}")


def bounded(frame: pd.DataFrame) -> pd.DataFrame:
    """At most `MAX_ROWS` rows of `frame`, the same ones each time, in their order."""
    if len(frame) <= MAX_ROWS:
        return frame
    return frame.iloc[np.sort(np.random.default_rng(0).choice(len(frame), MAX_ROWS, replace=False, shuffle=False))]


def numbers(column: pd.Series[Any]) -> pd.Series[float]:
    """`column` as float64; what is not finite counts as missing."""
    values = pd.to_numeric(column).to_numpy("float64", na_value=np.nan)
    return pd.Series(np.where(np.isfinite(values), values, np.nan), index=column.index)


def _joint(pairs: list[_Pair], alpha: float, min_effect: float) -> list[tuple[_Pair, list[Found]]]:
    """The tests of dependence, under a pair that has no values of its own; nothing if they cannot be made."""
    columns = [Column(p.name, p.kind == "categorical", p.reference, p.current) for p in pairs]
    tests = dependence.tests(columns, pairs[0].clusters, alpha, min_effect)
    nothing: pd.Series[Any] = pd.Series([0.0])
    return [(_Pair(JOINT, "joint", nothing, nothing, None), tests)] if tests else []


def _compare(families: list[tuple[_Pair, list[Found]]], alpha: float, min_effect: float) -> list[ColumnDrift]:
    adjusted = two_sample.holm([t.outcome.p_value for _, tests in families for t in tests])
    found, first = [], 0
    for pair, tests in families:
        own = list(zip(adjusted[first : first + len(tests)], tests, strict=True))
        first += len(tests)
        own.sort(key=lambda pt: (not _holds(pt[0], pt[1], alpha, min_effect), pt[0], -pt[1].outcome.effect))
        found.append(_column(pair, own, alpha, min_effect))
    return found


def _column(pair: _Pair, tests: list[tuple[float, Found]], alpha: float, min_effect: float) -> ColumnDrift:
    outcome = tests[0][1].outcome if tests else Outcome("none (no values)", 0.0, 1.0, 0.0, 1.0)
    p = tests[0][0] if tests else 1.0
    holding = [t for adjusted, t in tests if _holds(adjusted, t, alpha, min_effect)]
    change = "; ".join(t.change for t in holding) or (tests[0][1].change if tests else "no values in either sample")
    return ColumnDrift(
        name=pair.name,
        kind=pair.kind,
        method=outcome.method,
        statistic=outcome.statistic,
        p_value=p,
        effect=outcome.effect,
        design_effect=outcome.design_effect,
        missing_reference=float(pair.reference.isna().mean()),
        missing_current=float(pair.current.isna().mean()),
        drifted=bool(holding),
        change=change,
        sentence=_sentence(pair.name, bool(holding), change, outcome.effect, p, alpha, min_effect),
    )


def _holds(adjusted: float, test: Found, alpha: float, min_effect: float) -> bool:
    return adjusted <= alpha and test.outcome.effect >= min_effect


def _run(pair: _Pair) -> list[Found]:
    """The tests of one column: of its values if both samples have some, of the nulls if there are any."""
    gone_before, gone_now = pair.reference.isna().to_numpy(), pair.current.isna().to_numpy()
    tests = []
    if not gone_before.all() and not gone_now.all():
        before, now = pair.reference[~gone_before], pair.current[~gone_now]
        clusters = pair.clusters and (pair.clusters[0][~gone_before], pair.clusters[1][~gone_now])
        tests.append(_test_values(pair, before, now, clusters))
    if _has_some_nulls(pair):
        nulls = np.concatenate([gone_before, gone_now]).astype(float)
        design = two_sample.design_effect(nulls, pair.clusters, categorical=False) if pair.clusters else 1.0
        outcome = two_sample.compare_missing(gone_before, gone_now, design)
        change = wording.change_of_missing(float(gone_before.mean()), float(gone_now.mean()))
        tests.append(Found(outcome, change))
    return tests


def _test_values(pair: _Pair, before: pd.Series[Any], now: pd.Series[Any], clusters: Clusters | None) -> Found:
    categorical = pair.kind == "categorical"
    values = pd.concat([before, now], ignore_index=True)
    codes = pd.factorize(values)[0] if categorical else values.to_numpy()
    design = two_sample.design_effect(codes.astype(float), clusters, categorical=categorical) if clusters else 1.0
    if categorical:
        outcome = two_sample.compare_categories(before, now, design)
        return Found(outcome, wording.change_of_categories(before, now))
    outcome = two_sample.compare_numbers(before, now, design)
    return Found(outcome, wording.change_of_numbers(before.to_numpy(), now.to_numpy()))


def _has_some_nulls(pair: _Pair) -> bool:
    """Some, but not all, over both samples together (which keeps the test exact)."""
    nulls = int(pair.reference.isna().sum() + pair.current.isna().sum())
    return 0 < nulls < len(pair.reference) + len(pair.current)


def _pairs(
    columns: list[tuple[str, Kind]], reference: pd.DataFrame, current: pd.DataFrame, definition: ModelDefinition
) -> list[_Pair]:
    clusters, pairs = _clusters(reference, current, definition), []
    for name, kind in columns:
        if kind == "numeric":
            before, now = _as_one(numbers(reference[name]), numbers(current[name]))
        else:
            before, now = _labels(reference[name], current[name])
        pairs.append(_Pair(name, kind, before, now, clusters))
    return pairs


def _as_one(reference: pd.Series[float], current: pd.Series[float]) -> tuple[pd.Series[float], pd.Series[float]]:
    before, now = rounding.as_one(reference.to_numpy(), current.to_numpy())
    return pd.Series(before, index=reference.index), pd.Series(now, index=current.index)


def _labels(reference: pd.Series[Any], current: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Categories as text, nulls kept. If both are numbers, 1, 1.0 and True are one category."""
    if pd.api.types.is_numeric_dtype(reference) and pd.api.types.is_numeric_dtype(current):
        reference, current = numbers(reference), numbers(current)
    return _as_text(reference), _as_text(current)


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """As `spelled`; a whole number that an earlier release has spelled as a float is that number."""
    text = spelled(column)
    floats = {name: name[:-2] for name in text.dropna().unique() if _WHOLE.fullmatch(name)}
    return text.replace(floats) if floats else text


def _clusters(reference: pd.DataFrame, current: pd.DataFrame, definition: ModelDefinition) -> Clusters | None:
    frames, event_time = (reference, current), definition.feed.event_time
    if all("cluster" in f for f in frames):
        labels = np.concatenate([f["cluster"].astype(str).to_numpy(object) for f in frames])
    elif all(event_time in f for f in frames):
        times = [on_the_clock(f[event_time], definition.calendar.timezone) for f in frames]
        labels = np.concatenate([t.dt.floor("D").to_numpy() for t in times])
    else:
        return None
    codes = pd.factorize(labels, sort=True)[0]  # in order of time, if they are days
    return codes[: len(reference)], codes[len(reference) :]


def _holdout(reference: pd.DataFrame) -> pd.DataFrame:
    held_out = reference[reference["part"] == "holdout"] if "part" in reference else reference
    return held_out if len(held_out) else reference


def _require(reference: pd.DataFrame, current: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for name, frame in (("reference", reference), ("current batch", current)):
        lacking = [c for c in columns if c not in frame]
        if lacking:
            raise BadInputError(
                f"the {name} lacks {listed(lacking)}; it has {listed([str(c) for c in frame.columns], 8)}. "
                "Was the definition's features section changed without a new champion?"
            )
        if frame.empty:
            raise BadInputError(f"the {name} has no rows, so there is nothing to compare")


def _sentence(name: str, drifted: bool, change: str, effect: float, p: float, alpha: float, min_effect: float) -> str:
    if drifted:
        how = f"{'major' if effect >= wording.MAJOR else 'minor'}, a {wording.size(effect)} difference"
        return f"{name}: {change} ({how}: {effect:.2f} sd; {p_value(p)})."
    if p <= alpha:
        return f"{name}: {change}; certain, but too small to matter ({effect:.2f} sd, limit {min_effect:g})."
    if name == JOINT:
        return f"{name}: no change is proven ({p_value(p)})."
    return f"{name}: no drift ({effect:.2f} sd, {p_value(p)})."


def _overall(columns: list[ColumnDrift], joint: ColumnDrift | None, prediction: ColumnDrift | None) -> str:
    moved = sorted((c for c in columns if c.drifted), key=lambda c: -c.effect)
    if not moved:
        said = f"None of the {len(columns)} inputs has drifted"
    else:
        names = listed([c.name for c in moved])
        said = f"{len(moved)} of {len(columns)} inputs {'has' if len(moved) == 1 else 'have'} drifted: {names}"
    if joint is not None and joint.drifted:
        said += f"{', but' if not moved else '; and'} how they depend on each other has changed: {joint.change}"
    if prediction is None:
        return f"{said}."
    return f"{said}; the predictions {prediction.change if prediction.drifted else 'have not moved'}."
