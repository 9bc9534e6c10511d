"""Are the rows that have a label a fair sample of their partition? Tested, put on record, and told.

Labelled and unlabelled rows of one partition are compared as a batch is with its reference (`drift.detect`): what the
champion predicts for them and each input, rows of one day together, all columns at one level (Holm). If the labels
that land first are drawn at random the two do not differ. A test that is made again each week would still cry wolf in
the end, so the levels of all of a model's tests add up to `monitoring.share_alpha`: the n-th gets 1 / (n (n + 1)) of it
(an alpha-spending sequence, Foster and Stine 2008). That the target itself decides who is labelled cannot be tested on
the target; it shows in the predictions, as far as these are any good.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.feature_repository.snapshots import pull
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected, decisions
from evergreen.core.ledger.queries import labels as coverages
from evergreen.core.ledger.tables import LabelBias, LabelCoverage, Prediction, Snapshot, Verdict
from evergreen.core.names import PartitionKey
from evergreen.core.text import listed
from evergreen.errors import UnavailableError
from evergreen.loop.features.feature_code import of_hash
from evergreen.loop.intake.accepted_rows import read_known
from evergreen.loop.intake.labels import holds
from evergreen.loop.monitoring.drift import detect
from evergreen.loop.monitoring.loss.realised import UNREADABLE
from evergreen.loop.monitoring.parquet_sample import column_names, read_sample
from evergreen.loop.scoring.score import read_bytes
from evergreen.settings import Settings

log = logging.getLogger("evergreen.monitoring")

FEWEST_ROWS = 30
"""Rows of each kind, labelled and not, below which nothing is tested"""


@dataclass(frozen=True)
class Bias:
    """How the labelled rows of a partition differ from the others."""

    one_sided: bool
    columns: list[dict[str, Any]]
    sentence: str


TOO_FEW = Bias(False, [], f"nothing was tested: fewer than {FEWEST_ROWS} rows have a label, or have none")
"""On record as no look at all, so that it is not read again with each check"""
UNTESTABLE = (*UNREADABLE, OSError, ValueError, TypeError, KeyError, ArithmeticError)
"""What reading and comparing one partition may raise: a damaged file, ids that repeat, values of another type"""


@dataclass(frozen=True)
class _Waiting:
    """A partition to test."""

    definition: ModelDefinition
    """As the code has it that built the features which were predicted"""
    coverage: LabelCoverage
    prediction: Prediction
    snapshot: Snapshot
    labels: Verdict


def review_biases(definition: ModelDefinition, *, settings: Settings, up_to_key: PartitionKey) -> dict[str, str]:
    """Test the predicted partitions through `up_to_key` that are labelled in part and were not tested yet.

    Then bring on record what is one-sided, and write the mails about labels. Returns what is said of each partition
    whose labels, as they are accepted now, are one-sided, by key.

    Raises:
        UnavailableError: the ledger, the store or the feature remotes do not answer.
    """
    ledger, name = Ledger.from_settings(settings), definition.name
    with ledger.transaction() as session:
        waiting = _untested(session, definition, up_to_key)
        look = coverages.tested(session, name)
    for one in waiting:
        alpha = definition.monitoring.share_alpha / ((look + 1) * (look + 2))
        found = _test(one, alpha, settings)
        if found is None:
            continue
        look += found is not TOO_FEW
        log.log(logging.WARNING if found.one_sided else logging.INFO, "%s: %s", one.coverage.key, found.sentence)
        with ledger.transaction() as session:
            row = _row(name, one, 0, 0.0, found) if found is TOO_FEW else _row(name, one, look, alpha, found)
            session.execute(insert(LabelBias).values(row).on_conflict_do_nothing())
    with ledger.lock(holds.LOCK, name) as session:
        holds.settle(session, definition)
        holds.tell(session, definition, by_monitor=True)
        return _said(session, definition, up_to_key)


def compare(definition: ModelDefinition, labelled: pd.DataFrame, others: pd.DataFrame, *, alpha: float) -> Bias:
    """Compare the labelled rows of a partition with the others. Pure.

    Args:
        definition: names the features, the event time and the least effect that matters.
        labelled: features, `prediction` and the event time of the rows that have a label.
        others: the same of those that have none.
        alpha: chance of calling them one-sided though chance alone decided who has a label.
    """
    monitoring = definition.monitoring.model_copy(update={"share_alpha": alpha})
    asked = definition.features
    known = {part: [c for c in getattr(asked, part) if c in labelled] for part in ("numeric", "categorical")}
    rules = definition.model_copy(update={"monitoring": monitoring, "features": asked.model_copy(update=known)})
    found = detect.check(others, labelled, rules)
    moved = [c for c in (found.prediction, *found.inputs) if c is not None and c.drifted]
    moved.sort(key=lambda c: (c.name != detect.PREDICTION, -c.effect))
    columns = [{"name": c.name, "effect": c.effect, "p_value": c.p_value, "sentence": c.sentence} for c in moved]
    if not moved:
        return Bias(False, [], "the rows that have a label are like those that have none")
    return Bias(True, columns, f"the rows that have a label differ from those that have none in {_words(moved)}")


def _words(moved: list[detect.ColumnDrift]) -> str:
    return listed([f"{c.name} ({c.change}; {c.effect:.2f} sd)" for c in moved], 3)


def _untested(session: Session, definition: ModelDefinition, up_to_key: PartitionKey) -> list[_Waiting]:
    """Oldest first; none that are labelled whole, that are collected, or that were tested with these predictions.

    Nor those of before the ledger knew coverage: after an upgrade each of them would be a look, and leave nothing of
    `monitoring.share_alpha` to the partitions that come.
    """
    model = definition.name
    predictions = decisions.current_predictions(session, model, up_to_key)
    rows, biases = _current(session, definition), coverages.biases(session, model)
    pairs, gone = coverages.pairs(session, model), collected.gone(session, model)
    since, frontier = coverages.first_measured(session, model), _frontier(rows, biases)
    found = []
    for key, prediction in predictions.items():
        row = rows.get(key)
        if row is None or row.labelled is None or min(row.labelled, row.inputs - row.labelled) < FEWEST_ROWS:
            continue
        labels = pairs[key][1][1]
        is_past = key < frontier and since is not None and labels.decided_at < since
        if is_past or (row.id in biases and biases[row.id].prediction_id == prediction.id):
            continue
        snapshot = session.get_one(Snapshot, prediction.snapshot_id)
        if not {snapshot.dvc_hash, prediction.uri, labels.clean_uri} & gone:
            fed = of_hash(session, definition, snapshot.code_hash).definition
            found.append(_Waiting(fed, row, prediction, snapshot, labels))
    return found


def _frontier(rows: Mapping[PartitionKey, LabelCoverage], biases: Mapping[int, LabelBias]) -> str:
    """The newest partition that was tested; where none was, the newest there is: with it testing begins."""
    return max((bias.key for bias in biases.values()), default=max(rows, default=""))


def _current(session: Session, definition: ModelDefinition) -> dict[PartitionKey, LabelCoverage]:
    return coverages.current_coverages(session, definition.name, definition.target)


def _test(one: _Waiting, alpha: float, settings: Settings) -> Bias | None:
    """What comes of one partition, `TOO_FEW` if that is so; None if it cannot be read or compared now."""
    try:
        frames = _read(one, settings)
        return TOO_FEW if frames is None else compare(one.definition, *frames, alpha=alpha)
    except UnavailableError:
        raise
    except UNTESTABLE as error:
        log.warning("%s: whether its labels are one-sided cannot be tested: %s", one.coverage.key, error)
        return None


def _read(one: _Waiting, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Labelled rows and the others, of a sample of the partition; None if they are too few."""
    definition, path, most = one.definition, one.snapshot.dvc_path, 2 * detect.MAX_ROWS
    feed = definition.feed
    with pull(settings, one.snapshot.git_commit, [path], expected={path: one.snapshot.dvc_hash}) as files:
        built = set(column_names(files[path]))
        columns = [feed.entity, feed.event_time, *(c for c in definition.features.columns if c in built)]
        features = read_sample(files[path], list(dict.fromkeys(columns)), most)
    # Predictions stand in the order of their features, so the same seed draws the same rows of both.
    predictions = read_sample(io.BytesIO(read_bytes(one.prediction, settings)), [feed.entity, detect.PREDICTION], most)
    truth = read_known(one.labels, settings, definition, "labels")[[feed.entity, definition.target]].dropna()
    rows = features.merge(predictions, on=feed.entity, how="left", validate="one_to_one")
    chosen = np.asarray(rows[feed.entity].isin(truth[feed.entity]))
    labelled, others = rows[chosen], rows[~chosen]
    return None if min(len(labelled), len(others)) < FEWEST_ROWS else (labelled, others)


def _row(model: str, one: _Waiting, look: int, alpha: float, found: Bias) -> dict[str, Any]:
    return {
        "model": model,
        "key": one.coverage.key,
        "coverage_id": one.coverage.id,
        "prediction_id": one.prediction.id,
        "version": one.prediction.version,
        "look": look,
        "alpha": alpha,
        "one_sided": found.one_sided,
        "columns": found.columns,
        "sentence": found.sentence,
    }


def _said(session: Session, definition: ModelDefinition, up_to_key: PartitionKey) -> dict[str, str]:
    rows, biases = _current(session, definition), coverages.biases(session, definition.name)
    one_sided = {key: biases[row.id] for key, row in rows.items() if row.id in biases and biases[row.id].one_sided}
    return {key: f"Labels of {key}: {bias.sentence}." for key, bias in one_sided.items() if key <= up_to_key}
