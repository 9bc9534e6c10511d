"""What the mail about a check says."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.outbox import AlertBody, Chart, Links, Mark, Series, Table
from evergreen.core.ledger.tables import Deployment, Performance
from evergreen.core.text import listed, number, p_value
from evergreen.loop.monitoring.drift import wording
from evergreen.loop.monitoring.drift.detect import ColumnDrift
from evergreen.loop.monitoring.findings import Findings
from evergreen.loop.monitoring.telling import matter
from evergreen.loop.training import outcomes
from evergreen.loop.training.losses import title

MOST_ROWS = 12


def subject(found: Findings) -> str:
    """What matters first, for the mail's subject line."""
    return matter.subject(found.seen)


def body(
    definition: ModelDefinition,
    found: Findings,
    *,
    losses: Sequence[Performance],
    deployments: Sequence[Deployment],
    links: Links,
) -> AlertBody:
    """The mail: what moved and by how much, a chart, what was decided, where to look.

    Args:
        definition: of the model.
        found: what the check found and decided.
        losses: realised losses to draw, oldest first.
        deployments: changes of the champion to mark.
        links: to the report, the log and the model.
    """
    return AlertBody(
        headline=f"{definition.title}: {subject(found)}",
        summary=" ".join((found.reason, *found.sentences)),
        facts=facts(definition, found),
        table=_table(found),
        chart=_loss_chart(definition, found, losses, deployments)
        if _tells_of_loss(found, losses)
        else _effect_chart(found),
        next_steps=_next_steps(definition, found),
        links=links,
    )


def facts(definition: ModelDefinition, found: Findings) -> list[tuple[str, str]]:
    """Label and value of what one wants to know first; also on the report."""
    told = [
        ("Partition", f"{found.key}, {found.drift.current_rows:,} rows"),
        ("Champion", f"version {found.version}, labels through {found.as_of}, {found.signals.age} partitions ago"),
        ("Reference", found.reference),
        ("Labels", f"landed through {found.labels_through}, {found.signals.new_rows:,} rows new to the champion"),
    ]
    if found.signals.new_code is not None:
        told.append(("Feature code", f"{found.signals.new_code[:12]} is new; the champion goes on with its own"))
    if found.loss is not None:
        told.append(
            (
                f"Realised {title(definition)}",
                f"{found.loss.loss:.4f} in {found.loss.key}{_expected(definition, found, found.loss)}",
            )
        )
    if found.choices is not None and found.loss is not None:
        told.append((f"Choices in {found.loss.key}", outcomes.sentence(found.choices)))
    if found.estimate is not None:
        told.append(
            (
                f"Estimated {title(definition)}",
                f"{found.estimate.loss:.4f} in {found.key} ({found.estimate.low:.4f} to {found.estimate.high:.4f}), "
                "before its labels",
            )
        )
    return told


def _expected(definition: ModelDefinition, found: Findings, loss: Performance) -> str:
    """What was expected of the loss, as all else in the mail says it; values expect no loss of themselves."""
    weighed = found.weighed.expectation
    if weighed is not None and weighed.key == loss.key:
        return f"; {weighed.expected:.4f} was expected"
    return "" if definition.task == "regression" else f"; {loss.metrics['expected_loss']:.4f} was expected"


def _table(found: Findings) -> Table | None:
    moved = _moved(found)[:MOST_ROWS]
    if not moved:
        return None
    does = {one.name: f"{number(one.change)} ({one.mean})" for one in found.weighed.impacts}
    rows = [
        [c.name, does.get(c.name, ""), c.change, f"{wording.size(c.effect)} ({c.effect:.2f} sd)", p_value(c.p_value)]
        for c in moved
    ]
    return Table(columns=["Column", "Moves a prediction by", "What moved", "How much", "Certainty"], rows=rows)


def _moved(found: Findings) -> list[ColumnDrift]:
    columns = [*found.ranked, found.drift.prediction, found.label]
    return [c for c in columns if c is not None and c.drifted]


def _tells_of_loss(found: Findings, losses: Sequence[Performance]) -> bool:
    """The course of the loss is what harm, a bad week and age are about; a mail about drift shows what has moved."""
    first = matter.matters(found.seen)[0].name
    about_drift = first in ("cost", "fault", "drifted") or found.decision.cause == "drift"
    return len(losses) > 1 and (first in ("harm", "loss") or not about_drift)


def _effect_chart(found: Findings) -> Chart | None:
    """What each drifted input does to the predictions; how far each has moved, if that is not known."""
    if found.weighed.impacts:
        most = found.weighed.impacts[:MOST_ROWS]
        return Chart(
            title="What the move of each drifted input does to the predictions",
            kind="bars",
            x=[one.name for one in most],
            series=[Series(name="mean change of a prediction", values=[one.change for one in most])],
            y_label="change of a prediction",
        )
    columns = found.ranked[:MOST_ROWS]
    if not columns:
        return None
    return Chart(
        title="How far each input has moved",
        kind="bars",
        x=[c.name for c in columns],
        series=[
            Series(name="drifted", values=[c.effect if c.drifted else None for c in columns]),
            Series(name="not drifted", values=[None if c.drifted else c.effect for c in columns]),
        ],
        y_label="standard deviations",
    )


def _loss_chart(
    definition: ModelDefinition, found: Findings, losses: Sequence[Performance], deployments: Sequence[Deployment]
) -> Chart:
    """Realised losses beside what was expected; at the end, what is estimated of the partition that was checked."""
    keys = [p.key for p in losses]
    series = [
        Series(name="realised", values=[p.loss for p in losses]),
        Series(name="expected by the model", values=[p.metrics["expected_loss"] for p in losses])
        if definition.task != "regression"
        else Series(name="mean so far", values=_running_mean(losses)),
    ]
    if found.estimate is not None and found.key not in keys:
        series = [Series(name=line.name, values=[*line.values, None]) for line in series]
        series.append(Series(name="estimated, no labels yet", values=[*(None for _ in keys), found.estimate.loss]))
        keys.append(found.key)
    marks = []
    for deployment in deployments:
        at = next((key for key in keys if key >= str(deployment.from_key)), None)
        if at is not None:
            marks.append(Mark(x=at, label=f"v{deployment.version}"))
    return Chart(
        title=f"{_capital(title(definition))} by {definition.calendar.period}",
        kind="line",
        x=keys,
        series=series,
        y_label=title(definition),
        marks=marks,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _running_mean(losses: Sequence[Performance]) -> list[float | None]:
    total, means = 0.0, []
    for count, performance in enumerate(losses, 1):
        total += performance.loss
        means.append(total / count)
    return list(means)


def _next_steps(definition: ModelDefinition, found: Findings) -> list[str]:
    steps = []
    if found.weighed.steps:
        names = listed([step.name for step in found.weighed.steps])
        steps.append(
            f"Ask the producer of the feed what has happened to {names} since the partition before {found.key}."
        )
    if found.weighed.bad is not None and matter.is_news(found.decision, "loss"):
        key = found.weighed.bad.key
        steps.append(f"Tell those who used the predictions of {key}; look at its labels and its report for the reason.")
    steps.append("Open the report: each column has both distributions side by side.")
    return [*steps, *_after_decision(definition, found)]


def _after_decision(definition: ModelDefinition, found: Findings) -> list[str]:
    name, cause = definition.name, found.decision.cause
    if found.decision.kind == "retrain":
        return [f"Nothing else need be done: {name}.train makes a challenger, and a mail says how it ended."]
    if found.decision.kind in ("promote", "rollback"):
        return [f"Nothing else need be done: version {found.decision.version} takes over, and a mail says from when."]
    if cause == "promotion":
        return [f"If it should serve: `evergreen promote {name} {found.signals.challenger} --why REASON`."]
    if cause == "rollback":
        return [f"If it should serve: `evergreen rollback {name} --to {found.signals.comeback} --why REASON`."]
    if cause == "harm":
        return [f"If it cannot wait: trigger {name}.train by hand, with the reason."]
    if cause == "loss":
        return [f"If the next one is as bad: trigger {name}.train with your reason. Proven harm does so by itself."]
    return [f"If the change is meant to last, trigger {name}.train with your reason."]
