"""What is known about a partition at the time it is monitored: read from ledger and store, nothing decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected, decisions, partitions, snapshots, versions
from evergreen.core.ledger.queries import labels as coverages
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import Decision, Deployment, Performance, Prediction, Snapshot
from evergreen.core.names import PartitionKey
from evergreen.core.store.objects import sha256
from evergreen.errors import NotReadyError
from evergreen.loop.champion.evaluation.record import Pace, pace
from evergreen.loop.champion.past_challengers import past_challengers
from evergreen.loop.features.feature_code import changed_since, of_version
from evergreen.loop.features.feed import feed
from evergreen.loop.intake.labels.maturity import Maturity
from evergreen.loop.intake.labels.usable import coverage_of, standings
from evergreen.loop.monitoring.policy import PastCheck, code_cause
from evergreen.loop.monitoring.reference_window import Reference, choose_reference, wanted_keys
from evergreen.settings import Settings


@dataclass(frozen=True)
class Evidence:
    """Rows of the ledger that one check rests on."""

    key: PartitionKey
    labels_through: PartitionKey
    """Newest partition whose labels can have landed when `key` is due: a backfill decides as it would have then"""
    prediction: Prediction
    snapshot: Snapshot
    serving: Deployment
    from_key: PartitionKey
    """First partition the champion that predicted was meant to serve"""
    as_of: PartitionKey
    """Newest partition whose labels that champion was trained or judged on"""
    labels: Mapping[PartitionKey, Current]
    """Complete labels of the partitions after `as_of`, oldest first"""
    held: tuple[Maturity, ...]
    """Partitions after `as_of` whose labels have landed and are incomplete, oldest first: they count nowhere"""
    losses: Mapping[PartitionKey, Performance]
    """The measurement that counts of each partition through `labels_through`, of every champion"""
    labelled: Prediction | None
    """Predictions of the newest partition that this champion served and that has labels"""
    history: tuple[Decision, ...]
    compared: Reference
    """What inputs and predictions are compared with"""
    compared_snapshots: tuple[Snapshot, ...]
    """Features of its partitions by the champion's code, oldest first; none for `training`"""
    new_code: str | None = None
    """Hash of the feature code of today, if it is another than the champion's and no training from it was asked for"""
    pace: Pace | None = None
    """What newer challengers of the model have gained so far"""

    @property
    def version(self) -> int:
        """The champion that predicted the partition."""
        return self.prediction.version

    @property
    def own_losses(self) -> list[Performance]:
        """What this champion lost on the partitions it served, oldest first."""
        return [p for p in self.losses.values() if p.version == self.version and p.key >= self.from_key]

    @property
    def new_rows(self) -> int:
        """Labelled rows that have landed since the champion was made."""
        return sum(verdict.rows_accepted for _, verdict in self.labels.values())

    @property
    def input_hash(self) -> str:
        """Over what the check reads: the same check is never made twice."""
        measured = sorted((p.prediction_id, p.labels_version_id) for p in self.losses.values())
        labels = sorted(partition.id for partition, _ in self.labels.values())
        read: tuple[object, ...] = (self.prediction.id, self.version, measured, labels)
        if rows := sorted((p.key, p.labels_rows) for p in self.losses.values() if p.labels_rows):
            read += (rows,)
        if self.compared_snapshots:
            read += (tuple(snapshot.id for snapshot in self.compared_snapshots),)
        return sha256(repr(read).encode())


def gather(session: Session, definition: ModelDefinition, key: PartitionKey) -> Evidence:
    """Read the ledger.

    Raises:
        NotReadyError: the partition has no predictions, or there is no champion.
    """
    model, calendar = definition.name, definition.partitions
    through = calendar.shift(key, -definition.feed.label_delay)
    prediction = decisions.current_predictions(session, model, key).get(key)
    serving = versions.current_deployment(session, model)
    if prediction is None or serving is None:
        raise NotReadyError(f"{key} of {model} has no predictions to monitor; the DAG {model}.score writes them")
    own = decisions.deployment_of(session, model, prediction.version)
    run = versions.run_of_version(session, model, prediction.version)
    from_key = (own.from_key if own else None) or key
    as_of = run.as_of if run else calendar.shift(from_key, -1 - definition.feed.label_delay)
    stands = standings(session, definition, through)
    landed = partitions.current_map(session, model, "labels", calendar.keys(calendar.shift(as_of, 1), through))
    labels = {k: found for k, found in landed.items() if k not in stands or stands[k].mature}
    losses = _counting(session, definition, decisions.measured(session, model, through), stands)
    # Labels that landed again and could not be measured cannot be read here either.
    as_measured = {(key, partition.id, partitions.kept(verdict)) for key, (partition, verdict) in labels.items()}
    served = [
        p
        for p in losses.values()
        if p.version == prediction.version
        and p.key >= from_key
        and (p.key, p.labels_version_id, p.labels_rows) in as_measured
    ]
    snapshot = session.get_one(Snapshot, prediction.snapshot_id)
    compared, built = _compared(session, definition, key, snapshot.code_hash)
    return Evidence(
        key=key,
        labels_through=through,
        prediction=prediction,
        snapshot=snapshot,
        serving=serving,
        from_key=from_key,
        as_of=as_of,
        labels=labels,
        held=tuple(stands[k] for k in landed if k not in labels),
        losses=losses,
        labelled=session.get_one(Prediction, served[-1].prediction_id) if served else None,
        history=tuple(decisions.monitoring_before(session, model, key)),
        compared=compared,
        compared_snapshots=built,
        new_code=_new_code(session, definition, prediction.version),
        pace=pace(past_challengers(session, definition, up_to=through)) if definition.monitoring.learned_pace else None,
    )


def _new_code(session: Session, definition: ModelDefinition, version: int) -> str | None:
    found = changed_since(session, definition, version)
    asked = found is not None and decisions.asked_for(session, definition.name, code_cause(version, found))
    return None if asked else found


def feed_reference(definition: ModelDefinition, key: PartitionKey, *, settings: Settings) -> None:
    """See that the partitions which `key` is compared with are built by the code of the champion that predicted it."""
    kind, window = definition.monitoring.reference, definition.monitoring.reference_window
    if kind == "training":
        return
    with Ledger.from_settings(settings).transaction() as session:
        prediction = decisions.current_predictions(session, definition.name, key).get(key)
        code = of_version(session, definition, prediction.version) if prediction else None
    if code is not None:
        feed(code, wanted_keys(kind, definition.partitions, key, window=window), settings=settings)


def _counting(
    session: Session,
    definition: ModelDefinition,
    losses: Mapping[PartitionKey, Performance],
    stands: Mapping[PartitionKey, Maturity],
) -> dict[PartitionKey, Performance]:
    """The losses that were measured on labels which are complete enough.

    One on labels that are no longer current is judged by what these came to; of the time before that was recorded,
    none counts beside labels that are held back.
    """
    model = definition.name
    current = {key: (p.id, partitions.kept(v)) for key, (_, (p, v)) in coverages.pairs(session, model).items()}
    known = coverages.measured(session, model, definition.target).values()
    then = {(row.labels_version_id, row.labels_rows): row for row in known}

    def counts(loss: Performance) -> bool:
        found, measured_on = stands.get(loss.key), (loss.labels_version_id, loss.labels_rows)
        if found is None or current.get(loss.key) == measured_on or measured_on not in then:
            return found is None or found.mature
        share = coverage_of(then[measured_on]).share
        return share is None or share >= found.needed

    return {key: loss for key, loss in losses.items() if counts(loss)}


def _compared(
    session: Session, definition: ModelDefinition, key: PartitionKey, code_hash: str
) -> tuple[Reference, tuple[Snapshot, ...]]:
    """What `key` is compared with, by the definition and by what has been built."""
    kind, calendar, window = (
        definition.monitoring.reference,
        definition.partitions,
        definition.monitoring.reference_window,
    )
    wanted = wanted_keys(kind, calendar, key, window=window)
    found = snapshots.current_map(session, definition.name, wanted, code_hash)
    gone = collected.gone(session, definition.name) if found else frozenset()
    built = {k: snapshot for k, snapshot in found.items() if snapshot.dvc_hash not in gone}
    chosen = choose_reference(kind, calendar, key, built, window=window)
    return chosen, tuple(built[k] for k in chosen.keys)


def age(definition: ModelDefinition, evidence: Evidence) -> int:
    """Partitions since the newest one whose labels the champion was trained or judged on.

    Those whose labels are held back at the end do not count yet: no challenger could learn from them.
    """
    held = {stands.coverage.key for stands in evidence.held}
    keys = definition.partitions.keys(evidence.as_of, evidence.labels_through)
    return max((place for place, key in enumerate(keys) if key not in held), default=0)


def past_checks(definition: ModelDefinition, evidence: Evidence) -> list[PastCheck]:
    """The earlier decisions of the monitor, as the policy reads them."""
    if not evidence.history:
        return []
    keys = definition.partitions.keys(str(evidence.history[0].key), evidence.key)
    ago_of = {key: len(keys) - 1 - place for place, key in enumerate(keys)}
    checks = []
    for row in evidence.history:
        seen, ago = row.evidence, ago_of.get(PartitionKey(str(row.key)), len(keys))
        checks.append(
            PastCheck(
                ago,
                seen["version"],
                row.kind,
                seen["cause"],
                tuple(seen["drifted"]),
                bool(seen["harmed"]),
                # not in what was recorded before there were any
                seen.get("effects", {}),
                tuple(seen["told"]) if "told" in seen else None,
                seen.get("bad"),
                float(seen.get("rise", 0.0)),
                float(seen.get("costly", 0.0)),
            )
        )
    return checks
