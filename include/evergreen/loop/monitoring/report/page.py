"""The page of one check: Evidently's report under a summary that says what was decided, tested and assumed.

Evidently puts 4 MB of scripts into each page. Here they are compressed, and unpacked by the browser: the page stays in
one file, needs no network, and its summary needs no script at all.
"""

from __future__ import annotations

import base64
import gzip
import html
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.model.dashboard import DashboardInfo
from evidently.legacy.renderers.html_widgets import group_widget
from evidently.legacy.utils.dashboard import STATIC_PATH, dashboard_info_to_json

from evergreen.core.text import number, p_value
from evergreen.loop.monitoring.drift import wording
from evergreen.loop.monitoring.drift.detect import MAX_ROWS, PREDICTION, ColumnDrift, DriftResult, bounded
from evergreen.loop.monitoring.report.evidently_metrics import ColumnDriftMetric
from evergreen.loop.monitoring.telling.impact import Impact
from evergreen.loop.monitoring.telling.weigh import Weighed


@dataclass(frozen=True)
class Heading:
    """What the page says before the columns. Plain text; it is escaped."""

    title: str
    headline: str
    """What matters first"""
    decision: str
    sentences: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def render(
    heading: Heading, drift: DriftResult, weighed: Weighed, reference: pd.DataFrame, current: pd.DataFrame
) -> bytes:
    """The page as UTF-8 HTML; `reference` and `current` are the frames that `drift` was made of."""
    ranked = weighed.ranked(drift.inputs)
    shown = [c for c in (drift.prediction, *ranked) if c is not None and c.kind != "joint"]
    widgets = _evidently(shown, bounded(reference), bounded(current))
    parts = {
        "title": html.escape(heading.title),
        "summary": _summary(heading, drift, weighed),
        "font": _packed("material-ui-icons.woff2", compress=False),
        "library": _packed("index.js", compress=True),
        "data": widgets,
    }
    # In one pass: a value of the data may be called "{library}".
    return re.sub(r"\{(title|summary|font|library|data)\}", lambda place: parts[place[1]], _PAGE).encode()


def methods(drift: DriftResult) -> str:
    """What was tested, how, and what counts as drift, in plain sentences."""
    return (
        f"{drift.tests} tests: numbers by Kolmogorov-Smirnov (Evidently's ks), categories by exact tests of each "
        "share, chi-square of all shares and the share of unseen categories (evergreen_categories), nulls by "
        "Fisher's exact test of where values are missing (evergreen_missing), the dependence between columns by the "
        "correlations of their ranks and categories within each sample. Rows of one day resemble each other: "
        "each p-value is made for the rows the samples are worth (design effect), then adjusted for all tests "
        "together (Holm). "
        f"Drift is an adjusted p of at most {drift.alpha:g} and an effect of at least {drift.min_effect:g} standard "
        f"deviations; it is major from {wording.MAJOR:g} on (Cohen's medium effect), else minor. "
        f"{drift.reference_rows:,} reference rows, {drift.current_rows:,} current rows; at most {MAX_ROWS:,} of each "
        "are looked at."
    )


def _evidently(shown: list[ColumnDrift], reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """JSON of the widgets that Evidently makes of the columns, fit to stand in a script element."""
    names = [c.name for c in shown]
    definition = DataDefinition(
        numerical_columns=[c.name for c in shown if c.kind == "numeric"],
        categorical_columns=[c.name for c in shown if c.kind == "categorical"],
    )
    report = Report(
        [
            ColumnDriftMetric(
                column=c.name,
                kind=c.kind,
                p_value=c.p_value,
                sentence=c.sentence,
                nulls=c.missing_reference + c.missing_current > 0,
            )
            for c in shown
        ]
    )
    if PREDICTION in names and "part" in reference:
        reference = reference.assign(**{PREDICTION: reference[PREDICTION].where(reference["part"] == "holdout")})
    snapshot = report.run(
        Dataset.from_pandas(current[names], data_definition=definition),
        Dataset.from_pandas(reference[names], data_definition=definition),
    )
    widgets = [widget for result in snapshot.metric_results.values() for widget in result.widget]
    page = DashboardInfo(name="Drift", widgets=[group_widget(title="", widgets=widgets)])
    return str(dashboard_info_to_json(page)).replace("<", "\\u003c")


def _summary(heading: Heading, drift: DriftResult, weighed: Weighed) -> str:
    shown = (*([drift.prediction] if drift.prediction else []), *weighed.ranked(drift.inputs))
    does = {one.name: one for one in weighed.impacts}
    rows = "".join(_row(c, drift, does.get(c.name)) for c in shown)
    facts = "".join(f"<tr><th>{html.escape(k)}<td>{html.escape(v)}" for k, v in heading.facts)
    said = "".join(f"<p>{html.escape(s)}</p>" for s in heading.sentences)
    names = (
        "Column", "What was found", "Moves a prediction by", "Estimated loss", "Severity", "Effect (sd)",
        "p, adjusted", "Judged by", "Design effect",
    )  # fmt: skip
    head = "".join(f"<th>{name}" for name in names)
    return (
        f"<p class=headline>{html.escape(_capital(heading.headline))}</p>"
        f"<p class=decision>{html.escape(heading.decision)}</p>{said}<table class=facts>{facts}</table>"
        f"<table><tr>{head}{rows}</table><p class=methods>{html.escape(methods(drift))}</p>"
    )


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _row(column: ColumnDrift, drift: DriftResult, does: Impact | None) -> str:
    cells = (
        column.name,
        column.sentence,
        f"{number(does.change)} ({does.mean})" if does else "",
        f"{does.loss:+.2g}" if does and does.loss is not None else "",
        column.severity,
        f"{column.effect:.2f}",
        p_value(column.p_value)[2:],
        _judged_by(column, drift),
        f"{column.design_effect:.1f}",
    )
    return f"<tr class={column.severity}>" + "".join(f"<td>{html.escape(cell)}" for cell in cells)


def _judged_by(column: ColumnDrift, drift: DriftResult) -> str:
    """The test, its threshold and its correction."""
    return f"{column.method}; p ≤ {drift.alpha:g} (Holm, {drift.tests} tests) and effect ≥ {drift.min_effect:g}"


@cache
def _packed(name: str, *, compress: bool) -> str:
    data = (Path(STATIC_PATH) / name).read_bytes()
    return base64.b64encode(gzip.compress(data, 9, mtime=0) if compress else data).decode()


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
@font-face{font-family:'Material Icons';src:url(data:font/woff2;base64,{font}) format('woff2')}
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}.headline{font-size:1.2rem;font-weight:600}.methods{color:#52606d;font-size:.85rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #d5dbe1;vertical-align:top}.facts{width:auto}tr.minor td:first-child{font-weight:600}
tr.major td:first-child{font-weight:600;color:#c2410c}tr.none{color:#52606d}
td:nth-child(8){font-size:.8rem}</style></head><body>
<h1>{title}</h1>{summary}<div id="root"></div>
<script type="application/octet-stream" id="library">{library}</script>
<script>var data={data};
(async()=>{const packed=Uint8Array.from(atob(document.getElementById('library').textContent),c=>c.charCodeAt(0));
const stream=new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
const script=document.createElement('script');window.global=globalThis;
script.textContent=await new Response(stream).text();document.body.append(script);
window.drawDashboard(data,new Map(),'root')})();</script></body></html>
"""
