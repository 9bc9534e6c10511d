"""What predictions on request came to: the same as the batch's, and how far from the labels.

A row that is asked for online and comes again in its partition has to get the same prediction from the same version;
if it does not, the caller sends other values than the feed lands, or `features.py` reads what stands beside a row
(training-serving skew: D. Sculley et al., 2015, "Hidden Technical Debt in Machine Learning Systems").
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.frames import renamed
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import decisions, partitions
from evergreen.core.ledger.queries import online as records
from evergreen.core.ledger.queries.partitions import Current
from evergreen.core.ledger.tables import Prediction
from evergreen.core.ledger.tables.online import OnlinePerformance
from evergreen.core.names import PartitionKey
from evergreen.errors import UnavailableError
from evergreen.loop.intake.accepted_rows import read_known
from evergreen.loop.intake.labels.usable import usable_labels
from evergreen.loop.monitoring.loss.realised import UNREADABLE
from evergreen.loop.scoring.score import read_predictions
from evergreen.loop.training import classes
from evergreen.loop.training.decide import Choice, chosen, losses_of
from evergreen.loop.training.losses import Floats, title
from evergreen.loop.training.model_matrix import target_values
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")

SAME = 1e-6
"""Predictions that differ by no more are the same, as probabilities or in parts of what is usually predicted: a feed
may land as float32 (24 bits, some 6e-8 of a number) what a client sends as a decimal."""


class Asked(NamedTuple):
    """The newest prediction on request for one entity."""

    entity: str
    """As text"""
    prediction: float
    """Of several classes, the probability of the most probable one"""
    version: int
    probabilities: Sequence[tuple[str, float]] | None = None
    """Class and its probability, if the task is multiclass"""
    choice: bool | str | None = None
    """The chosen class that was answered, if there was one"""

    @property
    def classes(self) -> tuple[str, ...]:
        """That the version knew; none if the task is not multiclass."""
        return tuple(name for name, _ in self.probabilities or ())

    def values(self, names: Sequence[str]) -> Floats:
        """The prediction as numbers: of each class of `names`, or of one number if there are none."""
        known = dict(self.probabilities or ())
        return np.array([known.get(name, 0.0) for name in names] if names else [self.prediction], dtype=np.float64)


def measure_online(definition: ModelDefinition, *, settings: Settings) -> int:
    """Measure what was asked for in each partition that has its batch or its labels; how many were measured now.

    Nothing is decided by it, so what is accepted now counts, whichever partition's check asks: the same again finds
    nothing to do.

    Raises:
        UnavailableError: the ledger or the store do not answer.
    """
    ledger, done = Ledger.from_settings(settings), 0
    with ledger.transaction() as session:
        asked = records.asked_for(session, definition.name)
        if not asked:
            return 0
        batches = decisions.current_predictions(session, definition.name, max(asked))
        labels = usable_labels(session, definition, asked)
        known = records.measured_hashes(session, definition.name)
    for key, newest in asked.items():
        batch, truth = batches.get(key), labels.get(key)
        name = _hash(newest, batch, truth)
        if (batch is None and truth is None) or (key, name) in known:
            continue
        with ledger.transaction() as session:
            found = _measured(session, definition, key, batch, truth, settings)
            if found is not None:
                row = found | {"model": definition.name, "key": key, "measured_hash": name}
                session.execute(insert(OnlinePerformance).values(row).on_conflict_do_nothing())
                _tell(definition, key, found)
                done += 1
    return done


def _hash(newest: int, batch: Prediction | None, truth: Current | None) -> str:
    parts = [newest, batch.id if batch else None, partitions.rows_hash(truth) if truth else None]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _measured(
    session: Session,
    definition: ModelDefinition,
    key: PartitionKey,
    batch: Prediction | None,
    truth: Current | None,
    settings: Settings,
) -> dict[str, Any] | None:
    """What the ledger's row says; None if what it needs can no longer be read, or a label is no value of the task."""
    asked = [Asked(*row) for row in records.newest_by_entity(session, definition.name, key)]
    try:
        predicted = read_predictions(batch, settings) if batch else None
        landed = read_known(truth[1], settings, definition, "labels") if truth else None
        return compare(definition, asked, predicted, batch.version if batch else None, landed)
    except UNREADABLE as error:
        if isinstance(error, UnavailableError):
            raise
        log.warning("%s: what was predicted on request there cannot be measured: %s", key, error)
        return None


def compare(
    definition: ModelDefinition,
    asked: Sequence[Asked | tuple[str, float, int]],
    batch: pd.DataFrame | None,
    batch_version: int | None,
    labels: pd.DataFrame | None,
) -> dict[str, Any]:
    """Compare predictions on request with the batch's and with labels. Pure.

    Args:
        definition: names the loss, the entity and the target.
        asked: each entity once, as text, with its prediction and version; at least one. Answers by versions of another
            task are counted in `rows` and `versions`, and compared with nothing: the definition has changed since.
        batch: the partition's predictions (columns entity, and those of a prediction), or None.
        batch_version: that made them.
        labels: the partition's labels, or None.
    """
    told, several = [Asked(*one) for one in asked], definition.task == "multiclass"
    given = {one.entity: one for one in told if (one.probabilities is not None) == several}
    entity, target = definition.feed.entity, definition.target
    differences = np.empty(0)
    if batch is not None:
        batch = renamed(batch, (entity,), definition.feed.tables["inputs"].aliases)
        values, names = classes.read(definition.task, batch)
        pairs = zip(batch[entity].astype(str), values, strict=True)
        both = [(given[n], other) for n, other in pairs if n in given and given[n].version == batch_version]
        # Of several classes the one whose probabilities differ most: one version knows one list of them.
        differences = np.array([np.abs(online.values(names) - other).max() for online, other in both])
    loss, labelled = None, 0
    if labels is not None:
        truth = labels[[entity, target]].dropna()
        truth = truth[truth[entity].astype(str).isin(list(given))]
        labelled = len(truth)
        if labelled:
            loss = _loss(definition, [given[name] for name in truth[entity].astype(str)], truth[target])
    return {
        "versions": sorted({one.version for one in told}),
        "rows": len(told),
        "compared": len(differences),
        "differing": int((differences > _allowed(definition, batch)).sum()),
        "difference": float(differences.mean()) if len(differences) else None,
        "labelled": labelled,
        "loss": loss,
    }


def _loss(definition: ModelDefinition, asked: Sequence[Asked], truth: pd.Series) -> float:
    """Mean loss of the predictions on request, of which some may be of versions that know other classes."""
    names = classes.union(*(one.classes for one in asked))
    values = np.array([one.values(names) for one in asked], dtype=np.float64)
    values = values if names else values.ravel()
    choice = _choices(definition, asked, values, names)
    return float(losses_of(definition, target_values(definition, truth), values, names, choice).mean())


def _choices(
    definition: ModelDefinition, asked: Sequence[Asked], values: Floats, names: Sequence[str]
) -> Choice | None:
    """What was answered; by the usual rule if some were answered before there was a `decision`."""
    if definition.decision is None:
        return None
    told = [one.choice for one in asked]
    if any(choice is None for choice in told):
        return chosen(definition, None, values, names)
    return np.array(told, dtype=object if names else bool)


def _allowed(definition: ModelDefinition, batch: pd.DataFrame | None) -> float:
    """By how much two predictions may differ that are the same."""
    if batch is None or definition.task != "regression":
        return SAME
    return SAME * max(float(batch["prediction"].abs().mean()), float(batch["prediction"].std(ddof=0)))


def _tell(definition: ModelDefinition, key: PartitionKey, found: dict[str, Any]) -> None:
    lost = differ = ""
    if found["loss"] is not None:
        lost = f"; on {found['labelled']:,} labels they lost {found['loss']:.4f} ({title(definition)})"
    if found["compared"]:
        differ = f"; {found['differing']:,} of {found['compared']:,} differ from the batch's by the same version"
    level = logging.WARNING if found["differing"] else logging.INFO
    log.log(level, "%s: %s entities were predicted on request%s%s", key, f"{found['rows']:,}", differ, lost)
