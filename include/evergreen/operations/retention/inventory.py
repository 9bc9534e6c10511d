"""What the ledger says of a model's objects and of what leads to them: all that a retention plan rests on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import FeaturesSection
from evergreen.core.ledger.queries import codes, collected
from evergreen.core.ledger.queries.partitions import QUARANTINED
from evergreen.core.ledger.tables import (
    Comparison,
    Deployment,
    DriftCheck,
    PartitionVersion,
    Prediction,
    Snapshot,
    TrainingRun,
    Verdict,
)
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import Store, layout
from evergreen.core.values import TableName
from evergreen.loop.intake.labels.usable import held_back
from evergreen.settings import Settings

FOLDERS = ("raw", "clean", "quarantine", "validation", "predictions", "reports")
"""Those of the store in which a model's objects can be collected."""

Own = Callable[[Uri | None], Uri | None]
Place = tuple[str, str, str, str]
_HASH = 16
"""Digits of a content's hash in names of objects"""


@dataclass(frozen=True)
class Judged:
    """One verdict on a partition version, and the objects that it names (URIs)."""

    id: int
    accepted: bool
    clean: str | None = None
    rejected: str | None = None
    results: Uri | None = None


@dataclass(frozen=True)
class Landed:
    """One version of a landed partition."""

    id: int
    table: TableName
    key: PartitionKey
    version: int
    raw: str | None
    verdicts: tuple[Judged, ...]
    """Oldest first; the last one counts"""
    born: dt.datetime
    """When something was last recorded about it"""
    samples: tuple[str, ...] = ()
    """What is kept of its bad rows if it was quarantined"""
    profiles: tuple[str, ...] = ()
    """What its accepted rows held, in numbers"""

    @property
    def accepted(self) -> bool:
        """Whether its latest verdict accepts it."""
        return bool(self.verdicts) and self.verdicts[-1].accepted


@dataclass(frozen=True)
class Built:
    """One feature snapshot."""

    id: int
    key: PartitionKey
    md5: str
    results: Uri | None
    inputs_version: int
    inputs_verdict: int | None
    born: dt.datetime


@dataclass(frozen=True)
class Written:
    """One object that was written about a partition: predictions, or a report."""

    key: PartitionKey
    name: str
    born: dt.datetime


@dataclass(frozen=True)
class Trained:
    """One training run, whether or not it has made a version."""

    id: int
    version: int | None
    as_of: PartitionKey
    state: str
    snapshots: frozenset[int]
    labels: frozenset[int]
    """Ids of the verdicts whose accepted rows it reads"""
    born: dt.datetime


@dataclass(frozen=True)
class Facts:
    """One model."""

    landed: tuple[Landed, ...] = ()
    built: tuple[Built, ...] = ()
    predicted: tuple[Written, ...] = ()
    reported: tuple[Written, ...] = ()
    trained: tuple[Trained, ...] = ()
    """In order of their ids"""
    served: tuple[int, ...] = ()
    """Versions in the order in which they served; the last one is the champion"""
    compared: frozenset[tuple[int, int | None]] = frozenset()
    """(challenger, champion) of each comparison; None: the base rate stood in"""
    gone: frozenset[str] = frozenset()
    """Names of what is collected already"""
    foreign: frozenset[str] = frozenset()
    """DVC hashes that other models' snapshots name"""
    look_backs: Mapping[int, int] = field(default_factory=dict)
    """Partitions that the feature code of each version looks back on, by version, as far as it is kept"""
    held: frozenset[str] = frozenset()
    """Partitions whose labels are incomplete: a training passes them over, and reads older ones instead"""


def read(session: Session, definition: ModelDefinition, settings: Settings, listed: Collection[str]) -> Facts:
    """The facts about `definition` in the ledger now, and of the objects `listed` (see `list_beside`)."""
    beside = set(listed) - collected.unfinished(session, definition.name)
    model, own = definition.name, _own(Store.from_settings(settings), settings.landing_url, definition.name)
    compared = select(Comparison.challenger_version, Comparison.champion_version).where(Comparison.model == model)
    served = select(Deployment.version).where(Deployment.model == model).order_by(Deployment.id)
    foreign = select(Snapshot.dvc_hash).where(Snapshot.model != model).distinct()
    return Facts(
        landed=_landed(session, model, own, _by_version(beside)),
        built=tuple(
            Built(row.id, row.key, row.dvc_hash, own(row.results_uri), row.inputs_version_id, row.inputs_verdict_id,
                  row.created_at)
            for row in session.scalars(select(Snapshot).where(Snapshot.model == model).order_by(Snapshot.id))
        ),
        predicted=_written(session, model, own, Prediction, "uri"),
        reported=_written(session, model, own, DriftCheck, "report_uri"),
        trained=tuple(
            _trained(row)
            for row in session.scalars(select(TrainingRun).where(TrainingRun.model == model).order_by(TrainingRun.id))
        ),
        served=tuple(session.scalars(served)),
        compared=frozenset(session.execute(compared).tuples()),
        gone=collected.gone(session, model) - beside,
        foreign=frozenset(session.scalars(foreign)),
        look_backs={
            version: reach(definition, FeaturesSection.model_validate(said))
            for version, said in codes.features_of_versions(session, model).items()
        },
        held=held_back(session, definition),
    )  # fmt: skip


def reach(definition: ModelDefinition, features: FeaturesSection) -> int:
    """Partitions that features look back on, from the newest one that may have labels: at most, if it is said as time.

    Inputs that need no labels lie nearer by the delay of the labels. Pure.
    """
    calendar, delay = definition.partitions, definition.feed.label_delay
    recent = calendar.most_partitions(features.recent_inputs) - delay
    return max(calendar.most_partitions(features.look_back), recent)


def list_beside(definition: ModelDefinition, settings: Settings) -> list[str]:
    """URIs of the objects that no row names, since they are written beside others: profiles, samples of bad rows."""
    store = Store.from_settings(settings)
    names = (name for folder in ("profile", "quarantine") for name in store.sizes(f"{folder}/{definition.name}"))
    return [uri for uri in map(store.uri, names) if layout.named_with(uri) != uri]


def _by_version(beside: Collection[str]) -> dict[Place, list[str]]:
    """The same by folder, table, key, and by the hash that names a version's content."""
    found: dict[Place, list[str]] = {}
    for uri in sorted(beside):
        folder, _, table, key, content = layout.named_with(uri).split("/")[-5:]
        found.setdefault((folder, table, key, content[:_HASH]), []).append(uri)
    return found


def _own(store: Store, landing_url: str, model: str) -> Own:
    """What tells the model's own objects from all else that a row may name: a drop in the landing zone, for one."""
    prefixes = tuple(f"{store.url}/{folder}/{model}/" for folder in FOLDERS)
    landing = landing_url.rstrip("/") + "/"

    def own(uri: Uri | None) -> Uri | None:
        return uri if uri and uri.startswith(prefixes) and not uri.startswith(landing) else None

    return own


def _landed(session: Session, model: str, own: Own, beside: Mapping[Place, list[str]]) -> tuple[Landed, ...]:
    versions = session.scalars(
        select(PartitionVersion).where(PartitionVersion.model == model).order_by(PartitionVersion.id)
    ).all()
    verdicts: dict[int, list[Verdict]] = {}
    query = select(Verdict).join(PartitionVersion, PartitionVersion.id == Verdict.partition_version_id)
    for verdict in session.scalars(query.where(PartitionVersion.model == model).order_by(Verdict.id)):
        verdicts.setdefault(verdict.partition_version_id, []).append(verdict)
    return tuple(_version(row, verdicts.get(row.id, []), own, beside) for row in versions)


def _version(row: PartitionVersion, verdicts: list[Verdict], own: Own, beside: Mapping[Place, list[str]]) -> Landed:
    judged = tuple(
        Judged(
            id=v.id,
            accepted=v.outcome != QUARANTINED,
            clean=own(v.clean_uri),
            rejected=own(v.rejected_uri),
            results=own(v.results_uri),
        )
        for v in verdicts
    )
    instants = [row.received_at, row.landed_again_at, *(v.decided_at for v in verdicts)]
    born = max(instant for instant in instants if instant is not None)
    named = (row.table, row.key, row.content_hash[:_HASH])
    samples, profiles = (tuple(beside.get((owner, *named), ())) for owner in ("validation", "clean"))
    return Landed(row.id, row.table, row.key, row.version, own(row.raw_uri), judged, born, samples, profiles)


def _written(session: Session, model: str, own: Own, table: Any, column: str) -> tuple[Written, ...]:
    rows = session.scalars(select(table).where(table.model == model).order_by(table.id))
    named = ((row, own(getattr(row, column))) for row in rows)
    return tuple(Written(row.key, name, row.created_at) for row, name in named if name)


def _trained(row: TrainingRun) -> Trained:
    dataset: Mapping[str, Any] = row.dataset
    return Trained(
        id=row.id,
        version=row.version,
        as_of=row.as_of,
        state=row.state,
        snapshots=frozenset(dataset.get("snapshots", {}).values()),
        labels=frozenset(dataset.get("label_verdicts", {}).values()),
        born=row.finished_at or row.started_at,
    )
