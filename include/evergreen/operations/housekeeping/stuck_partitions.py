"""Partitions that did not go on: what the ledger says should have followed long ago, and did not.

A run died with its host, an event came while a DAG was paused, a server was down for longer than the retries last. What
is found is started again, once: every stage finds what it has done already, so a restart too many changes nothing. What
does not move after that is reported.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger, incidents
from evergreen.core.ledger.outbox import AlertBody, Table, owe
from evergreen.core.ledger.queries import collected, partitions, references, sightings, snapshots, versions
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import Deployment, DriftCheck, Prediction, ReferenceVersion, Snapshot
from evergreen.core.names import PartitionKey
from evergreen.loop.features import feature_code
from evergreen.loop.features.build_plan import BuildPlan, make_plan
from evergreen.loop.intake.labels import coverage
from evergreen.loop.intake.labels.usable import held_back
from evergreen.loop.monitoring.readiness import STUCK_AFTER
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")

AGAIN_AFTER = dt.timedelta(hours=1)
"""A restart that came to nothing is asked for again until then; a run that exists is left alone."""
LIMIT = 500
"""Steps of one model that are started again, or reported, at one look; a later look finds the rest."""

Step = Literal["features", "score", "monitor"]
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True)
class Stuck:
    """A step of a partition that should have been done at `since`; `cause` names what it should have been done for."""

    step: Step
    """The DAG's name after the model's"""
    key: PartitionKey
    cause: str
    since: dt.datetime
    what: str
    """What there is, and what is missing"""

    @property
    def name(self) -> str:
        """Names this step for this cause."""
        return f"{self.step} {self.key} {self.cause}"

    @property
    def run_id(self) -> str:
        """Id of the run that does it again: the same step for the same cause gives the same id."""
        return f"stuck__{self.key}__{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"

    @property
    def reason(self) -> str:
        """One sentence for a log."""
        return f"{self.what} since {self.since:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class State:
    """What the ledger says of a model's partitions, by key."""

    inputs: Mapping[PartitionKey, Current]
    labels: Mapping[PartitionKey, Current]
    built: Mapping[PartitionKey, Snapshot]
    """The snapshot of each that has to follow what is accepted: the serving code's, else the newest"""
    predicted: Mapping[PartitionKey, Prediction]
    """The newest predictions of each"""
    checked: frozenset[str]
    first: Deployment | None
    """The model's first champion"""
    gone: frozenset[str] = frozenset()
    """What retention has removed: nothing can be built from it, nor scored"""
    scored: Mapping[PartitionKey, Snapshot] = field(default_factory=dict)
    """What the newest predictions of each were made from, if other code than that of `built` built it"""
    by_code: Mapping[str, ModelDefinition] = field(default_factory=dict)
    """The definition as other code than today's has it, by the code's hash"""
    serving: ModelDefinition | None = None
    """The definition as the code has it that feeds the champion; None: that of today"""
    held: frozenset[str] = frozenset()
    """Partitions whose labels are incomplete: no features look back on them"""
    references: Mapping[str, list[ReferenceVersion]] = field(default_factory=dict)
    """Accepted versions of the reference tables, by name"""


def mend(
    definition: ModelDefinition, *, settings: Settings, now: dt.datetime, dry_run: bool = False, limit: int = LIMIT
) -> list[Stuck]:
    """The steps to start again, oldest first, each named once; writes a mail about those that did not go on after that.

    Args:
        definition: the model.
        settings: where the ledger is.
        now: aware.
        dry_run: say what is stuck, and record nothing.
        limit: how many to start again at most; a later look finds the rest.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    model = definition.name
    if not dry_run:
        coverage.review(definition, settings=settings)
    with Ledger.from_settings(settings).transaction() as session:
        found = find(definition, read_state(session, definition), now=now)
        if dry_run:
            restart = found
        else:
            seen = sightings.first_seen(session, model, "stuck")
            old = {stuck.name for stuck in found if now - seen.get(stuck.name, now) >= STUCK_AFTER}
            young = [stuck.name for stuck in found if stuck.name not in old]
            new = sightings.act_on(session, model, "stuck", young, again_after=AGAIN_AFTER, limit=limit)
            restart = [stuck for stuck in found if stuck.name in new]
            _report(session, definition, [stuck for stuck in found if stuck.name in old], now)
            _end(session, definition, found, now)
    for stuck in restart:
        log.warning("%s: %s; run %s of %s.%s does it", model, stuck.reason, stuck.run_id, model, stuck.step)
    return restart


def read_state(session: Session, definition: ModelDefinition) -> State:
    """What the ledger says of the model now."""
    model, code = definition.name, feature_code.serving(session, definition)
    built = snapshots.live_map(session, model, code.hash)
    keys = {table: partitions.accepted_keys(session, model, table) for table in ("inputs", "labels")}
    predictions = session.scalars(select(Prediction).where(Prediction.model == model).order_by(Prediction.id))
    predicted = {prediction.key: prediction for prediction in predictions}
    others = [p.snapshot_id for key, p in predicted.items() if key in built and built[key].id != p.snapshot_id]
    scored = session.scalars(select(Snapshot).where(Snapshot.id.in_(others)))
    return State(
        inputs=partitions.current_map(session, model, "inputs", keys["inputs"]),
        labels=partitions.current_map(session, model, "labels", keys["labels"]),
        built=built,
        predicted=predicted,
        checked=frozenset(session.scalars(select(DriftCheck.key).where(DriftCheck.model == model).distinct())),
        first=versions.first_deployment(session, model),
        gone=collected.gone(session, model),
        scored={snapshot.key: snapshot for snapshot in scored},
        by_code=feature_code.definitions_of(session, definition, built.values()),
        serving=code.definition,
        held=held_back(session, definition),
        references=references.accepted(session, model, [row.name for row in references.all_of(session, model)]),
    )


def find(definition: ModelDefinition, state: State, *, now: dt.datetime) -> list[Stuck]:
    """What has been stuck for `STUCK_AFTER`, oldest partition first: of each partition, the first step. Pure."""
    first: dict[str, Stuck] = {}
    for stuck in (*_features(definition, state), *_predictions(state), *_checks(definition, state)):
        first.setdefault(stuck.key, stuck)
    return sorted((s for s in first.values() if now - s.since >= STUCK_AFTER), key=lambda s: s.key)


def _features(definition: ModelDefinition, state: State) -> Iterator[Stuck]:
    for key, (version, verdict) in state.inputs.items():
        snapshot = state.built.get(key)
        code = state.serving if snapshot is None else state.by_code.get(snapshot.code_hash)
        plan = make_plan(code or definition, key, state.inputs, state.labels, state.held, state.references)
        if plan.names & state.gone:
            continue
        if snapshot is None:
            since = max(verdict.decided_at, definition.partitions.due(key))
            if plan.describe_missing():  # they are waited for
                since += definition.feed.grace
            what = f"inputs of {key}, version {version.version}, are accepted and have no features"
            yield Stuck("features", key, f"verdict {verdict.id}", since, what)
        elif (wanted := plan.build_hash(definition.name, snapshot.code_hash)) != snapshot.build_hash:
            what = f"features of {key}, version {snapshot.version}, were built from rows that are no longer current"
            yield Stuck("features", key, f"build {wanted[:12]}", _newest_verdict(plan), what)


def _newest_verdict(plan: BuildPlan) -> dt.datetime:
    read: list[Current] = [plan.inputs]
    for past in plan.history:
        read += [past.inputs, past.labels]
    read += [found for _, found in plan.beside.recent]
    tables = [found.received_at for found in plan.beside.references.values() if found is not None]
    return max([*(verdict.decided_at for _, verdict in read), *tables])


def _predictions(state: State) -> Iterator[Stuck]:
    """Features without predictions, from the first partition on that a champion served."""
    if state.first is None:
        return
    for key, snapshot in state.built.items():
        prediction = state.predicted.get(key)
        done = prediction is not None and prediction.snapshot_id == snapshot.id
        if not done and prediction is not None and (old := state.scored.get(key)) is not None:
            done = not snapshots.outdated(old, snapshot)
        if done or key < (state.first.from_key or "") or snapshot.dvc_hash in state.gone:
            continue
        what = f"features of {key}, version {snapshot.version}, have no predictions"
        since = max(snapshot.created_at, state.first.served_from)
        yield Stuck("score", key, f"snapshot {snapshot.id}", since, what)


def _checks(definition: ModelDefinition, state: State) -> Iterator[Stuck]:
    for key, prediction in state.predicted.items():
        if key not in state.checked and prediction.uri not in state.gone:
            # The check waits for the labels that fall due with it.
            since = max(prediction.created_at, definition.partitions.due(key)) + definition.feed.grace
            what = f"predictions of {key} by version {prediction.version} have not been checked"
            yield Stuck("monitor", key, f"prediction {prediction.id}", since, what)


def _report(session: Session, definition: ModelDefinition, unmended: Sequence[Stuck], now: dt.datetime) -> None:
    """Record what did not move after its restart and has not been recorded: one incident for each step."""
    names = sightings.act_on(session, definition.name, "unmended", [stuck.name for stuck in unmended], limit=LIMIT)
    new = [stuck for stuck in unmended if stuck.name in names]
    if new:
        said = "; ".join(stuck.reason for stuck in new[:20])
        log.error("%s: started again and still stuck: %s", definition.name, said)
    for step in STEPS:
        told = [stuck for stuck in new if stuck.step == step]
        if told:
            incidents.occur(
                session, definition.name, incidents.Cause("stuck", step, (), f"partitions stuck before {step}"),
                [incidents.Met(f"stuck:{one.name}", one.key, one.reason) for one in told],
                subject=_subject(told), body=_body(definition, told), owe=partial(owe, session, definition), now=now,
            )  # fmt: skip


def _end(session: Session, definition: ModelDefinition, found: Sequence[Stuck], now: dt.datetime) -> None:
    """Record which of what was reported has moved since."""
    for step in STEPS:
        incidents.resolve_others(
            session, definition.name, "stuck", step, {one.key for one in found if one.step == step},
            how="has moved on", owe=partial(owe, session, definition), now=now,
        )  # fmt: skip


def _subject(told: Sequence[Stuck]) -> str:
    return "stuck, and a restart did not help" if len(told) == 1 else f"{len(told)} partitions are stuck"


def _body(definition: ModelDefinition, told: Sequence[Stuck]) -> AlertBody:
    model = definition.name
    return AlertBody(
        headline=f"{len(told)} partition{'s' * (len(told) > 1)} of {model} did not go on after a restart",
        summary=f"{told[0].reason[:1].upper()}{told[0].reason[1:]}. It was started again and has not moved for "
        f"{STUCK_AFTER.total_seconds() / 3600:g} hours; it is not tried again by itself.",
        table=Table(
            columns=["DAG", "Partition", "Since (UTC)", "What is missing", "Run"],
            rows=[[f"{model}.{s.step}", s.key, f"{s.since:%Y-%m-%d %H:%M}", s.what, s.run_id] for s in told],
        ),
        next_steps=[
            "Open the run in Airflow: if it failed, its log says why; if it is queued, its DAG is paused or full.",
            "Remove the cause and clear the run. It finds what is done already and goes on from there.",
        ],
    )
