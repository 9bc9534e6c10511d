"""The runbook pages: docs/runbooks/<kind>.md as HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
_SIBLING = re.compile(r"\]\((\w+)\.md\)")
"""A link to another runbook: its file in the repository, its page here."""


@dataclass(frozen=True)
class Runbook:
    """One page."""

    title: str
    html: Markup


def titles() -> dict[str, str]:
    """Title of each runbook that is there, by kind of alert (a mail's, or a rule's of Prometheus)."""
    found = {path.stem: read(path.stem) for path in sorted(FOLDER.glob("*.md"))}
    return {kind: runbook.title for kind, runbook in found.items() if runbook}


def read(kind: str) -> Runbook | None:
    """The runbook for alerts of `kind`; None if there is none of that name."""
    # Looked for among the files: a name from outside never becomes a path.
    path = next((path for path in FOLDER.glob("*.md") if path.stem == kind), None)
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    title = text.partition("\n")[0].lstrip("# ").strip()
    text = _SIBLING.sub(r"](\1)", text)
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Runbook(title, Markup(parser.render(text)))  # nosec B704  # noqa: S704 -- it escapes HTML; ours
