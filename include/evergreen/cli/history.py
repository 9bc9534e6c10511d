"""`evergreen history MODEL`: a model's life, and who served on a day."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text
from sqlalchemy.orm import Session

from evergreen.cli.shared import HomeOption, JsonOption, console, join_stack, print_json
from evergreen.cli.silence import as_dict
from evergreen.cli.tables import WHY, minute, print_facts, print_table
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.definition.calendar import HOUR_FORMAT
from evergreen.core.ledger import silences
from evergreen.core.ledger.queries import collected, definitions
from evergreen.core.ledger.session import Ledger
from evergreen.core.ledger.views import history as life
from evergreen.core.ledger.views import labels as label_views
from evergreen.core.ledger.views import monitoring as monitoring_views
from evergreen.core.ledger.views import references, served_on
from evergreen.core.ledger.views.incidents import incidents
from evergreen.core.ledger.views.lines import ComparisonLine, DeploymentLine, LateLine, TableLine, TrainingLine
from evergreen.core.text import percent, span
from evergreen.settings import Settings

DayOption = Annotated[
    dt.datetime | None,
    typer.Option(
        "--on",
        metavar="DATE",
        formats=["%Y-%m-%d", HOUR_FORMAT],
        help="Who served on this day (hour), and why.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("history")(history)


def history(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    on: DayOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a model's life from the ledger: partitions, training runs, decisions with reasons, champions, losses.

    With `--on DATE` it answers one question: which version served on that day, trained on what, promoted on which
    evidence, by whom.
    """
    join_stack(home)
    definition = load_definition(model)
    with Ledger.from_settings(Settings.from_env()).transaction() as session:
        if on is not None:
            _answer_day(session, definition, on, as_json)
        elif as_json:
            print_json(_whole_life(session, model))
        else:
            _print_life(session, definition)


def _whole_life(session: Session, model: str) -> dict[str, Any]:
    lines: dict[str, Iterable[Any]] = {
        "tables": life.tables(session, model),
        "quarantines": life.quarantines(session, model),
        "late_feeds": life.late_feeds(session, model),
        "label_coverage": label_views.coverages(session, model),
        "references": references.lines(session, model),
        "snapshots": life.snapshots(session, model),
        "definitions": definitions.lines(session, model),
        "trainings": life.trainings(session, model),
        "decisions": life.decisions(session, model),
        "deployments": life.deployments(session, model),
        "losses": monitoring_views.losses(session, model),
        "online": life.online(session, model),
        "checks": monitoring_views.checks(session, model),
        "incidents": incidents(session, model),
        "alerts": life.alerts(session, model),
        "collected": collected.lines(session, model),
    }
    now = dt.datetime.now(dt.UTC)
    told = {"silences": [as_dict(line, now) for line in silences.lines(session, model)]}
    return {
        "model": model,
        **told,
        **{name: [dataclasses.asdict(line) for line in rows] for name, rows in lines.items()},
    }


def _print_life(session: Session, definition: ModelDefinition) -> None:
    name = definition.name
    console().print(Text(f"{definition.title} ({name})", "bold"))
    tables = life.tables(session, name)
    if not tables:
        _print_late(life.late_feeds(session, name))
        _print_incidents(session, name)
        console().print(f"Nothing has landed yet. `evergreen feed land {name} --from K --through K` lands partitions.")
        return
    _print_landed(session, name, tables)
    _print_late(life.late_feeds(session, name))
    _print_coverage(session, name)
    _print_references(session, name)
    _print_incidents(session, name)
    _print_built(session, name)
    _print_models(session, name)
    _print_losses(session, name, definition.loss_label)
    _print_online(session, name, definition.loss_label)
    print_table(
        "Collected by retention",
        ["when (UTC)", "what", "objects", "bytes", "from", "through", "by", "rule"],
        [
            (minute(c.planned_at), c.kind, c.objects, c.bytes, c.first_key, c.last_key, c.asked_by, c.rule)
            for c in collected.lines(session, name)
        ],
    )


def _print_landed(session: Session, name: str, tables: Sequence[TableLine]) -> None:
    print_table(
        "Landed",
        ["table", "partitions", "accepted", "quarantined", "versions", "rows", "rows kept out", "from", "through"],
        [
            (
                *(t.table, t.partitions, t.accepted, t.quarantined, t.versions),
                *(t.rows, t.rows_rejected, t.first_key, t.last_key),
            )
            for t in tables
        ],
    )
    print_table(
        "Quarantined (newest first)",
        ["table", "partition", "version", "rows", WHY],
        [
            (v.table, v.key, v.version, "all" if v.outcome == "quarantined" else v.rows_rejected, v.reason)
            for v in life.quarantines(session, name)
        ],
    )


def _print_built(session: Session, name: str) -> None:
    built = life.snapshots(session, name)
    print_table(
        "Feature snapshots",
        ["partitions", "builds", "rows", "built without some labels", "newest"],
        [
            (
                len(built),
                sum(s.version for s in built),
                sum(s.rows for s in built),
                sum(bool(s.labels_missing) for s in built),
                f"{built[-1].key} = {built[-1].snapshot_id[:20]}",
            )
        ]
        if built
        else [],
    )
    print_table(
        "Definitions at work",
        ["part", "hash", "partitions", "from", "through", "first used (UTC)"],
        [
            (d.part, d.hash[:12], d.partitions, d.first_key, d.last_key, minute(d.first_used))
            for d in definitions.lines(session, name)
        ],
    )


def _print_models(session: Session, name: str) -> None:
    print_table(
        "Training runs",
        ["run", "cause", "state", "labels through", "version", "candidate", "against the champion", WHY],
        [
            (t.id, t.cause, t.state, t.as_of, t.version, t.candidate, _compared(t.comparison), t.reason)
            for t in life.trainings(session, name)
        ],
    )
    print_table(
        "Decisions (those to do nothing left out)",
        ["when (UTC)", "partition", "decision", "version", "by", WHY],
        [
            (minute(d.decided_at), d.key, d.kind, d.version, d.decided_by, d.reason)
            for d in life.decisions(session, name, quiet=False)
        ],
    )
    print_table(
        "Champions",
        ["version", "for partitions from", "served from (UTC)", "until", "feature code", "by", WHY],
        [_champion(d) for d in life.deployments(session, name)],
    )


def _print_late(lines: list[LateLine]) -> None:
    print_table(
        "Late feeds (newest first)",
        ["table", "partition", "due (UTC)", "told (UTC)", "came (UTC)", "after", "verdict", "what was missing"],
        [
            (
                *(line.table, line.key, minute(line.due_at), minute(line.told_at)),
                minute(line.landed_at) if line.landed_at else "not yet",
                *(span(line.waited) if line.waited else None, line.outcome, line.missing),
            )
            for line in lines
        ],
    )


def _print_coverage(session: Session, name: str) -> None:
    """Partitions whose labels are held back or one-sided; of the others the newest and how many there are."""
    lines = label_views.coverages(session, name)
    told = [line for line in lines if line.held_since or line.one_sided or line is lines[-1]]
    print_table(
        f"Labels ({len(lines)} partitions; shown are the newest, and those held back or one-sided)",
        ["partition", "inputs", "labelled", "coverage", "needed", "held back since (UTC)", "labelled rows"],
        [
            (
                *(line.key, line.inputs, line.labelled, percent(line.coverage) if line.coverage is not None else None),
                *(percent(line.needed) if line.needed is not None else None,),
                *(minute(line.held_since) if line.held_since else None, line.one_sided),
            )
            for line in told
        ],
    )


def _print_references(session: Session, name: str) -> None:
    lines = references.lines(session, name)
    if lines:
        print_table(
            "Reference tables",
            ["table", "stamp", "known from (UTC)", "rows", "verdict", "partitions built from it", WHY],
            [(n.name, n.stamp, minute(n.known_from), n.rows, n.outcome, n.partitions, n.reason) for n in lines],
        )


def _print_incidents(session: Session, name: str) -> None:
    print_table(
        "Incidents (open ones first)",
        ["number", "cause", "since (UTC)", "over (UTC)", "partitions", "not resolved", "mails", "what"],
        [
            (
                *(line.id, line.cause, minute(line.opened_at)),
                minute(line.closed_at) if line.closed_at else "open",
                *(line.partitions, line.unresolved, line.mails, line.what),
            )
            for line in incidents(session, name)
        ],
    )
    print_table(
        "Silences (newest first)",
        ["number", "kind", "cause", "until (UTC)", "ended by", "by", WHY],
        [
            (line.id, line.kind, line.cause, minute(line.until), line.ended_by, line.asked_by, line.why)
            for line in silences.lines(session, name)
        ],
    )


def _print_losses(session: Session, name: str, loss: str) -> None:
    checked = {check.key: check for check in monitoring_views.checks(session, name)}
    measured = {line.key: line for line in monitoring_views.losses(session, name)}
    rows: list[tuple[Any, ...]] = []
    for key in sorted({*checked, *measured}):
        check, line = checked.get(key), measured.get(key)
        seen = ", ".join(check.columns) or ("yes" if check.drifted else "no") if check else None
        version = line.version if line else check.version if check else None
        estimated = check.estimated_loss if check else None
        losses = (f"{value:.4f}" if value is not None else None for value in (estimated, line.loss if line else None))
        rows.append((key, version, *losses, line.rows if line else None, seen))
    columns = ["partition", "version", "estimated", f"realised loss ({loss})", "rows", "drift"]
    print_table("Performance", columns, rows)


def _print_online(session: Session, name: str, loss: str) -> None:
    print_table(
        "Predictions on request",
        ["partition", "versions", "rows", "other than the batch's", "labelled", f"realised loss ({loss})"],
        [
            (
                *(line.key, ", ".join(map(str, line.versions)), line.rows),
                f"{line.differing:,} of {line.compared:,}" if line.compared else None,
                *(line.labelled, f"{line.loss:.4f}" if line.loss is not None else None),
            )
            for line in life.online(session, name)
        ],
    )


def _answer_day(session: Session, definition: ModelDefinition, on: dt.datetime, as_json: bool) -> None:
    calendar, day = definition.partitions, on.date()
    hour = calendar.key_of(on) if calendar.unit == "hour" else None
    served = served_on.served_on(session, definition, day, hour)
    if as_json:
        print_json(dataclasses.asdict(served) if served else {"day": day.isoformat(), "version": None})
        return
    if served is None:
        console().print(f"No version of {definition.name} served on {day}: nothing was deployed for its partition.")
        return
    console().print(Text(f"On {day}, {definition.name} was served by version {served.version}.", "bold"))
    facts: list[tuple[str, Any]] = [("Partition", served.key)]
    if served.predictions:
        made = served.predictions[0]
        said = f"{made.rows:,} predictions, made {minute(made.created_at)} UTC from snapshot {made.snapshot_id}"
        facts += [("Predictions", said), ("", _kept(session, made.uri))]
    else:
        facts.append(("Predictions", "none; this version was meant to serve the partition"))
    facts += _training_facts(session, definition.name, served.training)
    if served.deployment:
        decision = served.deployment.decision
        facts += [
            ("Promoted by", f"{decision.decided_by}, {minute(decision.decided_at)} UTC ({decision.kind})"),
            ("Because", decision.reason),
            ("Evidence", _scalars(decision.evidence)),
            ("Run", decision.run_url),
        ]
    if served.champion_at_day is None or served.champion_at_day.version != served.version:
        by_clock = served.champion_at_day
        said = f"version {by_clock.version}" if by_clock else "nobody: the partition was scored later"
        facts.append(("Champion that day", f"by the clock, {said}"))
    print_facts(facts)


def _kept(session: Session, uri: str) -> str:
    """An object's address, and that it is no longer there where that is so."""
    found = collected.newest(session, [uri])
    return f"{uri} ({collected.sentence(found)})" if found else uri


def _training_facts(session: Session, model: str, training: TrainingLine | None) -> list[tuple[str, Any]]:
    if training is None:
        return [("Trained on", "the ledger has no training run for this version")]
    gone = collected.newest(session, [collected.model_name(model, training.version)]) if training.version else None
    keys, holdout = training.train_keys, training.holdout_keys
    facts: list[tuple[str, Any]] = [
        ("Trained on", f"{len(keys)} partitions, {keys[0]} to {keys[-1]}" if keys else "no partitions"),
        ("Judged on", ", ".join(holdout)),
        ("Dataset", f"{training.dataset_hash} at commit {training.git_commit} of the feature repository"),
        ("Made by", f"run {training.id} ({training.cause}): {training.reason}"),
        ("Code", f"{training.code_version}, {training.code_hash}; lock {training.lock_hash}; seed {training.seed}"),
        ("Feature code", training.features_hash),
        ("MLflow run", training.mlflow_run_id),
        ("Model", collected.sentence(gone) if gone else None),
    ]
    return [*facts, ("Against the champion", _compared(training.comparison, numbers=True))]


def _compared(comparison: ComparisonLine | None, *, numbers: bool = False) -> str:
    if comparison is None:
        return ""
    rival = f"version {comparison.champion_version}" if comparison.champion_version else "the base rate"
    said = f"{comparison.verdict} to {rival}" if comparison.verdict != "inconclusive" else f"inconclusive, {rival}"
    return f"{said}; {_scalars(comparison.result)}" if numbers else said


def _champion(line: DeploymentLine) -> tuple[Any, ...]:
    until = minute(line.served_until) if line.served_until else "serves"
    return (
        line.version,
        line.from_key,
        minute(line.served_from),
        until,
        line.features_hash[:12] if line.features_hash else None,
        line.decision.decided_by,
        line.decision.reason,
    )


def _scalars(values: dict[str, Any]) -> str:
    """The numbers and words of a JSON object, in one line."""
    plain = {name: value for name, value in values.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{name} {v:.5g}" if isinstance(v, float) else f"{name} {v}" for name, v in plain.items())
