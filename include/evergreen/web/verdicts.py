"""The verdicts on a model's partitions, each with Great Expectations' page of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.views import history
from evergreen.core.ledger.views.lines import VerdictLine
from evergreen.core.store.page_links import report
from evergreen.settings import Settings

PAGE = 100


@dataclass(frozen=True)
class Verdicts:
    """One page of them, newest first."""

    definition: ModelDefinition
    lines: list[tuple[VerdictLine, str | None]]
    """With the address of each one's validation page; None if no expectation was tried"""
    newest: bool
    """Whether the page begins with the newest one"""
    before: int | None
    """Where the next page begins; None on the last one"""


def gather(session: Session, definition: ModelDefinition, settings: Settings, *, before: int | None) -> Verdicts:
    """The verdicts given before the one with the id `before`, or the newest ones."""
    found = history.verdicts(session, definition.name, before=before, limit=PAGE + 1)
    shown = found[:PAGE]
    return Verdicts(
        definition=definition,
        lines=[(line, report(line.docs_uri, settings)) for line in shown],
        newest=before is None,
        before=shown[-1].id if len(found) > PAGE else None,
    )
