"""Fix the dataset of a training run: which snapshots and which labels, by id, and which partitions are held out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.training import FEWEST_TRAIN_PARTITIONS
from evergreen.core.feature_repository.snapshots import commit_holding
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected, partitions, snapshots, versions
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import Snapshot, TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.core.text import listed, said
from evergreen.errors import NotReadyError, PartitionKeyError, UnavailableError
from evergreen.loop.features.feature_code import FeatureCode, serving, today
from evergreen.loop.features.feed import feed
from evergreen.loop.intake.labels import coverage
from evergreen.loop.intake.labels.maturity import Maturity
from evergreen.loop.intake.labels.usable import standings
from evergreen.loop.training.provenance import code_hash, hash_json, lock_hash
from evergreen.settings import Settings

log = logging.getLogger("evergreen.training")

COMMIT_ATTEMPTS = 5
COMMIT_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Assembled:
    """A training run whose dataset is fixed."""

    training_run_id: int
    state: str
    train_keys: list[PartitionKey]
    holdout_keys: list[PartitionKey]
    rows: int
    """Labelled rows of both parts, at most: rows whose target is null are left out when they are read"""
    dataset_hash: str
    git_commit: str


@dataclass(frozen=True)
class Labelled:
    """One partition that has features and labels."""

    key: PartitionKey
    snapshot: Snapshot
    labels: Current

    @property
    def rows(self) -> int:
        """Rows that can be joined, at most."""
        return min(self.snapshot.rows, self.labels[1].rows_accepted)

    @property
    def names(self) -> set[str | None]:
        """The objects that its features and labels are read from, as the ledger names them."""
        return {self.snapshot.dvc_hash, self.labels[1].clean_uri}


def assemble(
    definition: ModelDefinition,
    *,
    cause: str,
    cause_key: str,
    reason: str,
    as_of: PartitionKey | None = None,
    settings: Settings,
    run_url: str | None = None,
    code: FeatureCode | None = None,
) -> Assembled:
    """The training run of this cause: made now, or by an earlier call with the same `cause_key`.

    Args:
        definition: the model.
        cause: first, drift, harm, age, code, adopt or operator.
        cause_key: names the cause; one cause makes one training run.
        reason: why, in a sentence; kept in the ledger.
        as_of: newest partition whose labels may be used; the newest that has landed if None. The run keeps the
            newest that it does use.
        settings: where ledger and feature repository are.
        run_url: address of the task's log.
        code: builds the features; that of today if None.

    Raises:
        NotReadyError: too few labelled partitions or rows.
        QuarantinedError, BadInputError, DefinitionError: changed feature code fails on a partition of the dataset.
        PartitionKeyError: `as_of` is no partition of the model's calendar.
        UnavailableError: ledger or feature repository do not answer.
    """
    _check_calendar(definition, as_of)
    coverage.review(definition, settings=settings)
    code = code or today(definition)
    _feed(code, definition, cause_key, as_of, settings, run_url)
    asked = {"cause": cause, "cause_key": cause_key, "reason": said(reason), "run_url": run_url}
    for _ in range(COMMIT_ATTEMPTS):
        with Ledger.from_settings(settings).lock("assemble", definition.name) as session:
            run = versions.run_of_cause(session, definition.name, cause_key)
            if run is not None:
                log.info("%s: %s is training run %d already (%s)", definition.name, cause_key, run.id, run.state)
                return _describe(run)
            run = _record(session, definition, as_of, code.hash, asked, settings)
            if run is not None:
                return _describe(run)
        time.sleep(COMMIT_PAUSE_SECONDS)
    raise UnavailableError(
        f"{definition.name}: the feature repository is ahead of the ledger: a feature build has pushed its file and "
        f"not recorded it yet. Try again; if it stays so, clear the last failed run of {definition.name}.features"
    )


def _check_calendar(definition: ModelDefinition, as_of: PartitionKey | None) -> None:
    if as_of is not None and not definition.partitions.contains(as_of):
        calendar = definition.calendar
        raise PartitionKeyError(
            f"as_of {as_of} lies outside the calendar of {definition.name} ({calendar.start} to "
            f"{calendar.end or 'no end'}); name the newest partition whose labels may be used, or none"
        )


def _feed(
    code: FeatureCode,
    definition: ModelDefinition,
    cause_key: str,
    as_of: PartitionKey | None,
    settings: Settings,
    run_url: str | None,
) -> None:
    """One code for all rows: what other code has fed so far is built by the code of today first."""
    with Ledger.from_settings(settings).transaction() as session:
        done = versions.run_of_cause(session, definition.name, cause_key) is not None
        wanted = [] if done else _newest_labelled(session, definition, as_of)
        outdated = code.hash != serving(session, definition).hash
    if wanted:
        feed(code, wanted, settings=settings, outdated=outdated, run_url=run_url)


def _record(
    session: Session,
    definition: ModelDefinition,
    as_of: PartitionKey | None,
    code_hash: str,
    asked: Mapping[str, str | None],
    settings: Settings,
) -> TrainingRun | None:
    """The new run of what was `asked`; None while no commit of the feature repository holds all of its files."""
    stands = standings(session, definition, as_of)
    chosen, held = read_labelled(session, definition, as_of, stands, code_hash)
    train, holdout = choose(definition, chosen, as_of, held)
    commit = _commit(settings, train + holdout)
    if commit is None:
        return None
    run = _row(definition, train, holdout, commit, stands, code_hash)
    for name, value in asked.items():
        setattr(run, name, value)
    run.code_version = settings.code_version
    session.add(run)
    session.flush()
    _report(run, definition, train, holdout, held)
    return run


def _newest_labelled(session: Session, definition: ModelDefinition, as_of: PartitionKey | None) -> list[PartitionKey]:
    """Keys of the partitions that the dataset is made of once one code has built them all."""
    found, _ = read_labelled(session, definition, as_of, standings(session, definition, as_of), None)
    return [partition.key for partition in found[-(definition.gate.holdout + definition.training.window) :]]


def read_labelled(
    session: Session,
    definition: ModelDefinition,
    as_of: PartitionKey | None,
    stands: Mapping[PartitionKey, Maturity],
    code_hash: str | None,
) -> tuple[list[Labelled], list[PartitionKey]]:
    """Partitions that have both a snapshot and labels, with rows, through `as_of`; oldest first.

    Snapshots by one code, or by any if `code_hash` is None. Those that retention has removed are left out. Those whose
    labels are incomplete are named apart: by `stands`, how each partition stands.
    """
    keys = [
        key for key in partitions.accepted_keys(session, definition.name, "labels") if as_of is None or key <= as_of
    ]
    labels = partitions.current_map(session, definition.name, "labels", keys)
    built = snapshots.current_map(session, definition.name, keys, code_hash)
    found = [Labelled(key, built[key], labels[key]) for key in sorted(keys) if key in built and key in labels]
    gone = collected.gone(session, definition.name)
    there = [partition for partition in found if partition.rows and not partition.names & gone]
    held = [partition.key for partition in there if partition.key in stands and not stands[partition.key].mature]
    return [partition for partition in there if partition.key not in held], held


def choose(
    definition: ModelDefinition, labelled: list[Labelled], as_of: PartitionKey | None, held: Sequence[str] = ()
) -> tuple[list[Labelled], list[Labelled]]:
    """The training partitions and the held-out ones, each oldest first: the newest are held out. Pure.

    `held` names the partitions whose labels are incomplete: they are not among `labelled`.

    Raises:
        NotReadyError: too few partitions or training rows; the message says what is there and what is needed.
    """
    holdout, window = definition.gate.holdout, definition.training.window
    train, held_out = labelled[:-holdout][-window:], labelled[-holdout:]
    rows = sum(partition.rows for partition in train)
    if len(train) >= FEWEST_TRAIN_PARTITIONS and rows >= definition.training.min_rows:
        return train, held_out
    span = f"{labelled[0].key} to {labelled[-1].key}" if labelled else "none"
    until = f" through {as_of}" if as_of else ""
    more = "Wait for more labels."
    if held:
        more = (
            f"The labels of {len(held)} more ({held[0]} to {held[-1]}) are incomplete and train nothing: have them "
            f"landed again with all labels, or see feed.labels.complete of {definition.name}."
        )
    raise NotReadyError(
        f"{definition.name}: not enough labelled partitions to train{until}: {len(labelled)} have features and labels "
        f"({span}), {rows:,} rows of them to train on; {FEWEST_TRAIN_PARTITIONS + holdout} partitions ("
        f"{holdout} of them held out) and {definition.training.min_rows:,} rows are needed. {more}"
    )


def _commit(settings: Settings, chosen: list[Labelled]) -> str | None:
    return commit_holding(settings, {p.snapshot.dvc_path: p.snapshot.dvc_hash for p in chosen})


def _row(
    definition: ModelDefinition,
    train: list[Labelled],
    holdout: list[Labelled],
    commit: str,
    stands: Mapping[PartitionKey, Maturity],
    features_hash: str,
) -> TrainingRun:
    chosen = train + holdout
    dataset: dict[str, Any] = {
        "train_keys": [p.key for p in train],
        "holdout_keys": [p.key for p in holdout],
        "snapshots": {p.key: p.snapshot.id for p in chosen},
        "labels": {p.key: p.labels[0].id for p in chosen},
        "label_verdicts": {p.key: p.labels[1].id for p in chosen},
        "rows": sum(p.rows for p in chosen),
        "label_coverage": {p.key: _coverage(stands[p.key]) for p in chosen if p.key in stands},
    }
    return TrainingRun(
        model=definition.name,
        state="assembled",
        # Not what was asked for: labels that had not landed yet have not been seen, and are news to the version.
        as_of=chosen[-1].key,
        dataset=dataset,
        dataset_hash=dataset_hash(train, holdout),
        git_commit=commit,
        code_hash=code_hash(definition, features_hash),
        features_hash=features_hash,
        lock_hash=lock_hash(),
        seed=definition.training.seed,
    )


def _coverage(stands: Maturity) -> dict[str, float | int | None]:
    """What the labels of a partition came to when the dataset was fixed, and what was needed."""
    return {"inputs": stands.coverage.inputs, "labelled": stands.coverage.labelled, "needed": stands.needed}


def dataset_hash(train: list[Labelled], holdout: list[Labelled]) -> str:
    """SHA-256, hex, over the rows of every file of the dataset and the part each plays. Pure."""

    def part(chosen: list[Labelled]) -> list[list[str]]:
        return [[p.key, p.snapshot.content_hash, partitions.rows_hash(p.labels)] for p in chosen]

    return hash_json({"train": part(train), "holdout": part(holdout)})


def _report(
    run: TrainingRun,
    definition: ModelDefinition,
    train: list[Labelled],
    holdout: list[Labelled],
    held: list[PartitionKey],
) -> None:
    log.info("%s: training run %d, because %s: %s", definition.name, run.id, run.cause, run.reason)
    log.info(
        "train on %d partitions, %s to %s (%s rows); hold out %s (%s rows); labels through %s; dataset %s at features "
        "commit %s, all built by feature code %s",
        len(train), train[0].key, train[-1].key, f"{sum(p.rows for p in train):,}",
        ", ".join(p.key for p in holdout), f"{sum(p.rows for p in holdout):,}",
        run.as_of, run.dataset_hash[:12], run.git_commit[:12], (run.features_hash or "")[:12],
    )  # fmt: skip
    if len(train) < definition.training.window:
        log.info("the window of %d partitions is not full yet", definition.training.window)
    if held:
        log.warning("left out, because their labels are incomplete: %s", listed(held, 8))


def _describe(run: TrainingRun) -> Assembled:
    return Assembled(
        training_run_id=run.id,
        state=run.state,
        train_keys=list(run.dataset["train_keys"]),
        holdout_keys=list(run.dataset["holdout_keys"]),
        rows=int(run.dataset["rows"]),
        dataset_hash=run.dataset_hash,
        git_commit=run.git_commit,
    )
