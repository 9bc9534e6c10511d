"""From an alert to the mail that a person reads. Pure: the same alert gives the same mail."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

from jinja2 import Environment, PackageLoader, StrictUndefined

from evergreen.core.ledger.incident_mails import LOG_COLUMN
from evergreen.core.ledger.outbox import AlertBody, Chart, Table
from evergreen.core.names import PartitionKey
from evergreen.core.store.page_links import openable
from evergreen.loop.alerts.chart import describe, draw

log = logging.getLogger("evergreen.alerts")

CHART_CID = "chart"
MAX_ROWS = 40
CELL = 36
"""Characters of a line of a cell in the text mail"""
TONES = {
    "quarantine": ("Quarantine", "#b45309"),
    "drift": ("Input drift", "#b45309"),
    "harm": ("Harm", "#b91c1c"),
    "age": ("Age", "#475569"),
    "code": ("Feature code", "#475569"),
    "approval": ("Approval", "#1d4ed8"),
    "promotion": ("Promotion", "#15803d"),
    "refusal": ("Refusal", "#475569"),
    "rollback": ("Rollback", "#b45309"),
    "late_feed": ("Late feed", "#b45309"),
    "stray_drop": ("Stray drop", "#475569"),
    "stuck": ("Stuck", "#b45309"),
    "task_failure": ("Task failure", "#b91c1c"),
    "labels": ("Labels", "#b45309"),
    "silence": ("Silence", "#475569"),
    "digest": ("Digest", "#1d4ed8"),
}
"""Word and colour of each kind: the word carries it, the colour only helps."""


FORMS = {"approval": "Form: promote or refuse", "quarantine": "Form: validate it again"}
"""What a person does in the form that a mail links to"""


@dataclass(frozen=True)
class Rendered:
    """A mail's parts."""

    html: str
    text: str
    chart: bytes | None
    """PNG, shown by the HTML as cid:chart"""


def render(
    *, kind: str, model: str, key: PartitionKey | None, subject: str, body: AlertBody, alert_id: str
) -> Rendered:
    """The mail for `body`, whose links are complete (`alerts.links.complete`)."""
    picture = _picture(body.chart) if body.chart else None
    word, colour = TONES.get(kind, (kind, "#475569"))
    values = {
        "word": word,
        "colour": colour,
        "model": model,
        "key": key,
        "subject": subject,
        "body": body,
        "table": _cut(body.table) if body.table else None,
        "LOG": LOG_COLUMN,
        "rows_left_out": len(body.table.rows) - MAX_ROWS if body.table and len(body.table.rows) > MAX_ROWS else 0,
        "links": _labelled(kind, body),
        "has_chart": picture is not None,
        "chart_words": describe(body.chart) if body.chart else None,
        "alert_id": alert_id,
    }
    html = _environment(html=True).get_template("mail.html.j2").render(values)
    text = _environment(html=False).get_template("mail.txt.j2").render(values)
    return Rendered(html, text, picture)


def _picture(chart: Chart) -> bytes | None:
    """The chart's image; None if it cannot be drawn: a mail without its picture is better than none."""
    try:
        return draw(chart)
    except Exception:
        log.exception("the chart %r could not be drawn; the mail goes without it", chart.title)
        return None


def _cut(table: Table) -> Table:
    """The first rows; of addresses in the column of logs, those that a browser may open."""
    rows = table.rows[:MAX_ROWS]
    if LOG_COLUMN in table.columns:
        at = table.columns.index(LOG_COLUMN)
        rows = [[openable(cell) or "" if n == at else cell for n, cell in enumerate(row)] for row in rows]
    return table.model_copy(update={"rows": rows})


def _labelled(kind: str, body: AlertBody) -> list[tuple[str, str]]:
    """Links in the order in which they help, with the words to show."""
    links = body.links
    named = [
        (FORMS.get(kind, "Form"), links.form),
        ("Runbook: what to do", links.runbook),
        ("Log of the task", links.log),
        ("Report", links.report),
        ("Model in the registry", links.model),
        ("Life of the model", links.page),
    ]
    return [(label, url) for label, url in named if url]


@cache
def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("evergreen.loop.alerts"),
        autoescape=html,  # nosec B701  # noqa: S701 -- the text mail is no HTML; the HTML one is escaped
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrapped"] = _wrapped
    environment.filters["columns"] = _columns
    return environment


def _wrapped(text: str, indent: str = "", hang: str | None = None) -> str:
    """`text` in lines of at most 76 characters."""
    hang = indent if hang is None else hang
    return textwrap.fill(" ".join(text.split()), 76, initial_indent=indent, subsequent_indent=hang)


def _columns(table: Table) -> str:
    """The table as aligned text; wide cells go on in the next line."""
    at = table.columns.index(LOG_COLUMN) if LOG_COLUMN in table.columns else None
    rows = [[[c] if n == at else _cell(c) for n, c in enumerate(row)] for row in (table.columns, *table.rows)]
    widths = [
        min(CELL, max(len(line) for row in rows if n < len(row) for line in row[n])) for n in range(len(table.columns))
    ]
    head, *rest = ["\n".join(_lines(row, widths)) for row in rows]
    return "\n".join([head, "  ".join("-" * width for width in widths), *rest])


def _cell(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), CELL) or [""]


def _lines(row: list[list[str]], widths: list[int]) -> Iterator[str]:
    for cells in zip_longest(*row, fillvalue=""):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()
