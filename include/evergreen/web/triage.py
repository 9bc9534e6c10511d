"""What needs a person now, the most urgent first. Pure: from how a model stands to a list of needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.views.standings import Standing

Urgency = Literal["bad", "warn", "ask"]
ORDER: dict[Urgency, int] = {"bad": 0, "ask": 1, "warn": 2}
"""What is broken, what waits for an answer, what to look at"""
OWED = dt.timedelta(minutes=15)
"""A mail that is owed for longer has not merely been written"""


@dataclass(frozen=True)
class Need:
    """One thing to look at or to answer."""

    urgency: Urgency
    model: str
    title: str
    """The model's title"""
    said: str
    runbook: str | None = None
    """Name of the page that says what to do"""
    anchor: str = ""
    """Part of the model's page that shows it"""
    since: dt.datetime | None = None
    form: str | None = None
    """Where to answer"""


def needs(definition: ModelDefinition, standing: Standing, *, now: dt.datetime) -> list[Need]:
    """What one model needs a person for."""
    age, max_age = champion_age(definition, standing), definition.monitoring.max_age
    need = partial(Need, model=definition.name, title=definition.title)
    found = [*_answers(need, standing), *_troubles(need, standing), *_of_the_check(need, standing)]
    if standing.champion is None and any(table.table == "labels" for table in standing.tables):
        found.append(need("warn", said="No champion yet, and labels have landed", anchor="training"))
    if age is not None and age > max_age:
        said = f"The champion is {age} {definition.partitions.unit}s old; the definition allows {max_age}"
        found.append(need("warn", said=said, runbook="age", anchor="champions"))
    if standing.unsent and now - standing.unsent[1] > OWED:
        said = f"{standing.unsent[0]} message{'' if standing.unsent[0] == 1 else 's'} owed and not sent"
        found.append(need("bad", said=said, runbook="mails_unsent", anchor="mails", since=standing.unsent[1]))
    return found


def _answers(need: Callable[..., Need], standing: Standing) -> list[Need]:
    return [
        need(
            "ask", said=f"Version {one.version} waits for your answer: promote or refuse", runbook="approval",
            anchor="training", since=one.since, form=one.form,
        )
        for one in standing.waiting
    ]  # fmt: skip


def _troubles(need: Callable[..., Need], standing: Standing) -> list[Need]:
    """Open incidents; what is well again closes by itself after a calm and needs nobody."""
    found = []
    for trouble in standing.troubles:
        if trouble.well is None:
            more = f" ({trouble.partitions} partitions)" if trouble.partitions > 1 else ""
            anchor = f"incident-{trouble.id}"
            said = f"{trouble.what}{more}"
            found.append(need("bad", said=said, runbook=trouble.kind, anchor=anchor, since=trouble.since))
    return found


def _of_the_check(need: Callable[..., Need], standing: Standing) -> list[Need]:
    """Proven harm of who serves; or a bad partition, as long as it is the newest one whose loss is known."""
    check, serving = standing.check, standing.champion
    if check is None:
        return []
    if check.harmed and serving is not None and check.version == serving.version:
        said = f"The champion is proven worse than at its promotion ({check.key})"
        return [need("bad", said=said, runbook="harm", anchor="loss")]
    newest = standing.losses[-1] if standing.losses else None
    if newest is None or check.bad != newest.key:
        return []
    beside = f" where {check.expected:.4g} was expected" if check.expected is not None else ""
    said = f"A bad partition, {check.bad}: loss {newest.loss:.4g}{beside}"
    return [need("warn", said=said, runbook="harm", anchor="loss")]


def champion_age(definition: ModelDefinition, standing: Standing) -> int | None:
    """Partitions that have landed since the champion's newest labels; None if that is not known."""
    newest = max((table.key for table in standing.tables), default=None)
    as_of = standing.champion.as_of if standing.champion else None
    if newest is None or as_of is None:
        return None
    return max(0, definition.partitions.distance(as_of, newest))


def ranked(found: Iterable[Need]) -> list[Need]:
    """The most urgent first, and of equal ones the oldest."""
    latest = dt.datetime.max.replace(tzinfo=dt.UTC)
    return sorted(found, key=lambda one: (ORDER[one.urgency], one.since or latest, one.model))
