"""What the mail about a check says."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.outbox import AlertBody, Chart, Links, Mark, Series, Table
from evergreen.core.ledger.tables import Deployment, Performance
from evergreen.core.text import p_value
from evergreen.loop.monitoring.drift import wording
from evergreen.loop.monitoring.drift.detect import ColumnDrift
from evergreen.loop.monitoring.findings import Findings
from evergreen.loop.monitoring.report.page import by_weight
from evergreen.loop.training.losses import TITLES

SUBJECTS = {
    ("harm", "retrain"): "the champion is proven worse, a challenger is trained",
    ("harm", "alert"): "the champion is proven worse",
    ("drift", "retrain"): "inputs have drifted, a challenger is trained",
    ("drift", "alert"): "inputs have drifted",
    ("age", "retrain"): "a challenger is due and is trained",
    ("code", "retrain"): "the feature code has changed, a challenger is trained from it",
    ("promotion", "alert"): "a challenger that was refused is proven better",
    ("rollback", "alert"): "a version that served earlier is proven better",
}
MOST_ROWS = 12


def subject(found: Findings) -> str:
    """What happened, for the mail's subject line."""
    return SUBJECTS[(found.decision.cause or "drift", found.decision.kind)]


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
        summary=" ".join((*found.sentences, found.reason)),
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
                f"Realised {TITLES[definition.loss]}",
                f"{found.loss.loss:.4f} in {found.loss.key}; {found.loss.metrics['expected_loss']:.4f} was expected",
            )
        )
    if found.estimate is not None:
        told.append(
            (
                f"Estimated {TITLES[definition.loss]}",
                f"{found.estimate.loss:.4f} in {found.key} ({found.estimate.low:.4f} to {found.estimate.high:.4f}), "
                "before its labels",
            )
        )
    return told


def _table(found: Findings) -> Table | None:
    moved = _moved(found)[:MOST_ROWS]
    if not moved:
        return None
    rows = [[c.name, c.change, f"{wording.size(c.effect)} ({c.effect:.2f} sd)", p_value(c.p_value)] for c in moved]
    return Table(columns=["Column", "What moved", "How much", "Certainty"], rows=rows)


def _moved(found: Findings) -> list[ColumnDrift]:
    columns = [*by_weight(found.drift), found.drift.prediction, found.label]
    return [c for c in columns if c is not None and c.drifted]


def _tells_of_loss(found: Findings, losses: Sequence[Performance]) -> bool:
    """The course of the loss is what a mail about harm or age is about; one about drift shows what moved."""
    return len(losses) > 1 and (found.decision.cause != "drift" or not _moved(found))


def _effect_chart(found: Findings) -> Chart | None:
    columns = by_weight(found.drift)[:MOST_ROWS]
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
        title=f"{TITLES[definition.loss].capitalize()} by {definition.calendar.period}",
        kind="line",
        x=keys,
        series=series,
        y_label=TITLES[definition.loss],
        marks=marks,
    )


def _running_mean(losses: Sequence[Performance]) -> list[float | None]:
    total, means = 0.0, []
    for count, performance in enumerate(losses, 1):
        total += performance.loss
        means.append(total / count)
    return list(means)


def _next_steps(definition: ModelDefinition, found: Findings) -> list[str]:
    steps = ["Open the report: each column has both distributions side by side."]
    if any("missing" in c.change or "new" in c.change for c in _moved(found)):
        steps.append("Ask the producer of the feed whether a source or a code list has changed.")
    if found.decision.kind == "retrain":
        steps.append(
            f"Nothing else need be done: {definition.name}.train makes a challenger, and a mail says how it ended."
        )
    elif found.decision.cause == "promotion":
        steps.append(
            f"If it should serve: `evergreen promote {definition.name} {found.signals.challenger} --why REASON`."
        )
    elif found.decision.cause == "rollback":
        steps.append(
            f"If it should serve: `evergreen rollback {definition.name} --to {found.signals.comeback} --why REASON`."
        )
    elif found.decision.cause == "harm":
        steps.append(f"If it cannot wait: trigger {definition.name}.train by hand, with the reason.")
    else:
        steps.append(f"If the change is meant to last, trigger {definition.name}.train with your reason.")
    return steps
