"""Evidently metrics of Evergreen's own: one column's drift with the test, threshold and words it was judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go  # type: ignore[import-untyped]
from evidently import Dataset
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context
from evidently.legacy.renderers.html_widgets import CounterData, counter, plotly_figure

from evergreen.loop.monitoring.drift.detect import numbers

BINS = 24
MOST_CATEGORIES = 20
MISSING = "(missing)"
OTHER = "(other)"
COLOURS = {"reference": "#8c9aa8", "current": "#c2410c"}


class ColumnDriftMetric(SingleValueMetric):  # type: ignore[misc]  # Evidently ships no types
    """P-value of one column, adjusted for all tests of the check, with the sentence that was made of it."""

    column: str
    kind: str
    p_value: float
    sentence: str
    nulls: bool
    """Whether missing values are drawn"""


class ColumnDriftCalculation(SingleValueCalculation[ColumnDriftMetric]):  # type: ignore[misc]
    """Draws both distributions; the p-value and the words come from the check that decided."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> SingleValue:
        """The metric's value, with a widget of its sentence and one of both samples' shares."""
        metric: ColumnDriftMetric = self.metric
        if reference_data is None:
            raise ValueError("drift is measured against a reference")
        samples = {
            "reference": reference_data.as_dataframe()[metric.column],
            "current": current_data.as_dataframe()[metric.column],
        }
        if not metric.nulls:
            samples = {name: column.dropna() for name, column in samples.items()}
        result = self.result(metric.p_value)
        result.widget = [
            counter(counters=[CounterData(metric.sentence, metric.column)]),
            plotly_figure(title="", figure=figure(samples, numeric=metric.kind == "numeric")),
        ]
        return result

    def display_name(self) -> str:
        """Name of the metric on the report."""
        return f"Drift of {self.metric.column}"


def figure(samples: dict[str, pd.Series[Any]], *, numeric: bool) -> go.Figure:
    """Bars of the share of rows in each bin or category, one colour a sample; nulls have a bar of their own."""
    labels, shares = (_binned if numeric else _categories)(samples)
    if not any(share[-1] for share in shares.values()):
        labels, shares = labels[:-1], {name: share[:-1] for name, share in shares.items()}
    drawn = go.Figure(
        [
            go.Bar(name=name, x=labels, y=[round(100 * s, 3) for s in shares[name]], marker_color=COLOURS[name])
            for name in samples
        ]
    )
    drawn.update_layout(barmode="group", yaxis_title="% of rows", margin={"t": 20})
    drawn.update_xaxes(type="category", title="from" if numeric else None)
    return drawn


def _binned(samples: dict[str, pd.Series[Any]]) -> tuple[list[str], dict[str, list[float]]]:
    """Equal bins over the middle 99 % of both samples; what lies beyond is in the outer ones."""
    values = {name: numbers(column).to_numpy() for name, column in samples.items()}
    known = np.concatenate([v[~np.isnan(v)] for v in values.values()])
    low, high = np.quantile(known, [0.005, 0.995]) if len(known) else (0.0, 1.0)
    distinct = np.unique(known) if len(known) else np.zeros(1)
    if len(distinct) <= BINS:
        edges = np.append(distinct, np.inf)
        labels = [f"{edge:.4g}" for edge in distinct]
    else:
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        labels = [f"{edge:.5g}" for edge in edges[:-1]]
    found = {}
    for name, value in values.items():
        gone = np.isnan(value)
        place = np.clip(np.searchsorted(edges, value[~gone], side="right") - 1, 0, len(labels) - 1)
        counts = np.append(np.bincount(place, minlength=len(labels)), gone.sum())
        found[name] = (counts / max(len(value), 1)).tolist()
    return [*labels, MISSING], found


def _categories(samples: dict[str, pd.Series[Any]]) -> tuple[list[str], dict[str, list[float]]]:
    """The most frequent categories of both samples; the rest together."""
    texts = {name: column.astype(object).map(str, na_action="ignore") for name, column in samples.items()}
    shares = {name: text.fillna(MISSING).value_counts(normalize=True) for name, text in texts.items()}
    largest = pd.concat(list(shares.values()), axis=1).fillna(0.0).max(axis=1).sort_values(ascending=False)
    kept = [str(c) for c in largest.index[:MOST_CATEGORIES]]
    found = {}
    for name, share in shares.items():
        shown = share.reindex(kept).fillna(0.0)
        found[name] = [*shown.tolist(), max(0.0, 1.0 - float(shown.sum())) if len(share) else 0.0]
    return [*(k if len(k) <= 40 else f"{k[:39]}…" for k in kept), OTHER], found
