"""All models at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.ledger.outbox import count_pending
from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.views import history
from evergreen.core.ledger.views.lines import CheckLine, DeploymentLine, VerdictLine
from evergreen.core.store.page_links import report
from evergreen.errors import DefinitionError
from evergreen.settings import Settings


@dataclass(frozen=True)
class Row:
    """One model. `fault` says why its definition cannot be read; the rest is empty then."""

    name: str
    title: str
    owner: str = ""
    champion: DeploymentLine | None = None
    age: int | None = None
    """Partitions that have landed since the newest label the champion was made from"""
    max_age: int = 0
    period: str = ""
    verdicts: tuple[VerdictLine, ...] = ()
    check: CheckLine | None = None
    report: str | None = None
    pending: int = 0
    fault: str | None = None


def rows(ledger: Ledger, names: Iterable[str], settings: Settings) -> list[Row]:
    """A row for each model."""
    found = []
    with ledger.transaction() as session:
        for name in names:
            try:
                definition = load_definition(name, settings.models_dir)
            except DefinitionError as error:
                found.append(Row(name, name, fault=str(error)))
            else:
                found.append(_row(session, definition, settings))
    return found


def _row(session: Session, definition: ModelDefinition, settings: Settings) -> Row:
    name = definition.name
    deployed = history.deployments(session, name)
    champion = deployed[-1] if deployed else None
    verdicts = tuple(history.last_verdicts(session, name))
    check = history.last_check(session, name)
    return Row(
        name=name,
        title=definition.title,
        owner=definition.owner,
        champion=champion,
        age=_age(session, definition, champion, verdicts),
        max_age=definition.monitoring.max_age,
        period=definition.calendar.period,
        verdicts=verdicts,
        check=check,
        report=report(check.report_uri, settings) if check else None,
        pending=count_pending(session, name),
    )


def _age(
    session: Session, definition: ModelDefinition, champion: DeploymentLine | None, verdicts: tuple[VerdictLine, ...]
) -> int | None:
    newest = max((verdict.key for verdict in verdicts), default=None)
    training = history.training_of(session, definition.name, champion.version) if champion else None
    if newest is None or training is None:
        return None
    return max(0, len(definition.partitions.keys(training.as_of, newest)) - 1)
