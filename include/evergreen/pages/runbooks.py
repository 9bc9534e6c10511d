"""The runbook pages: docs/runbooks/<kind>.md as HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from evergreen.ledger.outbox import KINDS

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
_SIBLING = re.compile(r"\]\((\w+)\.md\)")
"""A link to another runbook: its file in the repository, its page here."""


@dataclass(frozen=True)
class Runbook:
    """One page."""

    title: str
    html: Markup


def titles() -> dict[str, str]:
    """Title of each runbook that is there, by kind of alert."""
    found = {kind: read(kind) for kind in KINDS}
    return {kind: runbook.title for kind, runbook in found.items() if runbook}


def read(kind: str) -> Runbook | None:
    """The runbook for alerts of `kind`; None where there is none of that name."""
    path = FOLDER / f"{kind}.md"
    if kind not in KINDS or not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    title = text.partition("\n")[0].lstrip("# ").strip()
    text = _SIBLING.sub(r"](\1)", text)
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Runbook(title, Markup(parser.render(text)))  # nosec B704  # noqa: S704 -- it escapes HTML; ours
