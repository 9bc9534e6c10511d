"""Adopt the model that serves today as the first champion: registered, compared with the base rate, deployed.

It is not asked whether it may serve, because it does. What the gate would have said of it stands in the decision.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline
from sqlalchemy import func

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import RefusedError
from evergreen.loop.champion.adoption import incumbent, registered
from evergreen.loop.champion.evaluate import INCUMBENT as KIND
from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.evaluation.guards import unfit
from evergreen.loop.champion.promotion import promote
from evergreen.loop.features.feature_code import FeatureCode, keep, of_hash, today
from evergreen.loop.features.features_file import code_hash
from evergreen.loop.training import diagnostics, publish
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.classes import names_of, numbered
from evergreen.loop.training.dataset import read_examples
from evergreen.loop.training.estimators.trusted import trusted_types
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.fit import keep_first, point_challenger, recover
from evergreen.loop.training.learn import Learned
from evergreen.loop.training.losses import mean_loss
from evergreen.loop.training.mlflow_report import Picture
from evergreen.loop.training.model_files import Predictor, content_hash, freeze, thaw
from evergreen.loop.training.search import Trial
from evergreen.loop.training.tracking import Registry, answering, experiment_id
from evergreen.settings import Settings

log = logging.getLogger("evergreen.champion")

Make = Callable[[ModelDefinition, Examples], Pipeline]


@dataclass(frozen=True)
class Adopted:
    """The first champion."""

    version: int
    source: str
    """The column, or the address in the registry"""
    as_of: PartitionKey
    reason: str
    loss: float | None
    """Mean loss on the held-out partitions"""
    base_rate_loss: float | None
    rows: int
    """Held-out rows"""
    notes: tuple[str, ...]
    """What somebody should know, a sentence each"""


def adopt(
    definition: ModelDefinition,
    *,
    column: str | None = None,
    address: str | None = None,
    as_of: PartitionKey | None = None,
    why: str,
    decided_by: str,
    settings: Settings,
) -> Adopted:
    """Make an incumbent the first champion; said again, find what was done.

    Args:
        definition: the model.
        column: of the inputs, which holds its predictions; or
        address: of its version in the registry, `models:/NAME/3`.
        as_of: newest partition whose labels it is compared on; the newest that has landed if None.
        why: a person's reason; kept in the ledger.
        decided_by: who that is.
        settings: where ledger, store, feature remotes and MLflow are.

    Raises:
        BadInputError: there is no such column, version or skops file; or it holds no numbers.
        QuarantinedError: values of the column are missing or no probabilities.
        RefusedError: another version serves already; the version's types are not trusted, or it cannot predict from
            this model's features; or its predictions are unusable.
        NotReadyError: too few labelled partitions.
        UnavailableError: a server does not answer.
    """
    if column is not None:
        incumbent.check_column(definition, column)
        definition = incumbent.grouped_by_inputs(definition)
    source = f"column {column}" if column is not None else str(address)
    cause_key = f"adopt:{source}"
    _check_free(definition, cause_key, settings)
    code, make = _prepare(definition, column, address, settings)
    reason = f"The model that served before, by {source}."
    run = assemble(
        definition, cause="adopt", cause_key=cause_key, reason=reason, as_of=as_of, settings=settings, code=code
    ).training_run_id
    _register(definition, run, source, make, settings)
    evaluate(definition, run, settings=settings)
    decided = promote(definition, run, settings=settings, decided_by=decided_by, why=why, first=True)
    return _describe(definition, run, source, column, decided.reason, settings)


def _check_free(definition: ModelDefinition, cause_key: str, settings: Settings) -> None:
    with Ledger.from_settings(settings).transaction() as session:
        serving = versions.current_deployment(session, definition.name)
        run = versions.run_of_cause(session, definition.name, cause_key)
    if serving is not None and (run is None or run.version != serving.version):
        raise RefusedError(
            f"version {serving.version} of {definition.name} serves already; an incumbent is adopted before there is a "
            "champion. Have its predictions land all the same and compare them in a notebook (docs/notebook.md)"
        )


def _prepare(
    definition: ModelDefinition, column: str | None, address: str | None, settings: Settings
) -> tuple[FeatureCode, Make]:
    """The code that feeds it, and what makes the pipeline that is registered."""
    if column is None:
        model = registered.fetch(definition, str(address), settings)
        return today(definition), lambda there, rows: registered.as_version(
            there, str(address), model, rows.features, rows.target
        )
    with scratch_folder("incumbent") as folder:
        written = incumbent.write_code(definition, column, folder)
        kept = keep(FeatureCode(code_hash(written), written), settings)
    with Ledger.from_settings(settings).transaction() as session:
        code = of_hash(session, definition, kept.code_hash)
    return code, lambda there, rows: incumbent.reads(column, rows.features)


def _register(definition: ModelDefinition, run_id: int, source: str, make: Make, settings: Settings) -> None:
    """Register the version of the run, once. The caller's attempt before may have done so."""
    ledger = Ledger.from_settings(settings)
    with ledger.lock("fit", definition.name, str(run_id)) as session:
        run = versions.training_run(session, definition.name, run_id)
        if run.version is not None:
            return
        definition = of_hash(session, definition, run.features_hash).definition
        with answering(settings, "take the incumbent"):
            registry = Registry(settings, definition.name)
            there = registry.version_of_run(run)
        if there is not None:
            recover(definition, run, there, settings)
        else:
            _publish(definition, run, source, make, settings)
        with answering(settings, "keep one version of this adoption"):
            keep_first(run, registry)
            point_challenger(definition, run, registry)
        run.state, run.finished_at = "trained", func.now()


def _publish(definition: ModelDefinition, run: TrainingRun, source: str, make: Make, settings: Settings) -> None:
    examples = read_examples(definition, run, list(run.dataset["train_keys"]), settings=settings)
    pipeline = make(definition, examples)
    data = freeze(pipeline)
    newest = examples.of_keys(list(run.dataset["train_keys"])[-definition.training.validation :])
    prediction = _same(definition, pipeline, data, newest, source)
    loss = mean_loss(definition.loss, numbered(newest.target, names_of(pipeline)), prediction)
    trial = Trial(KIND, 0, {"source": source}, loss, [loss])
    learned = Learned(pipeline, trial, [trial], newest, pipeline, prediction)
    picture = _picture(definition, learned)
    with answering(settings, "take the incumbent"), scratch_folder("adopt") as folder:
        experiment = experiment_id(settings, definition.name)
        record = publish.Record(definition, run, learned, picture, content_hash(data), len(examples), None)
        run.mlflow_run_id, run.version = publish.publish(record, data, experiment, folder, settings)
    run.candidate, run.params, run.metrics = KIND, dict(trial.params), dict(picture.metrics)
    log.info("the incumbent, %s, is version %d of %s", source, run.version, definition.name)


def _same(
    definition: ModelDefinition, pipeline: Pipeline, data: bytes, rows: Examples, source: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """What the saved file predicts, which must be what the model does, and usable."""
    loaded = Predictor(thaw(data, trusted_types(definition), what=source), 0)
    before, after = (one.predict(rows.features) for one in (Predictor(pipeline, 0), loaded))
    if not np.array_equal(before, after, equal_nan=True):
        raise RefusedError(f"{source} predicts something else once it is saved and loaded: it cannot be adopted")
    faults = unfit(definition.task, after, len(rows), len(loaded.classes))
    if faults:
        raise RefusedError(f"{source} cannot serve: {'; '.join(faults)}")
    return after


def _picture(definition: ModelDefinition, learned: Learned) -> Picture:
    """Metrics on the newest partitions that it is described by; what its inputs are worth, nobody here knows."""
    target, prediction = learned.validation_target, learned.validation_prediction
    figures = diagnostics.metrics(definition.task, target, prediction, learned.classes)
    bins = diagnostics.calibration_curve(target, prediction) if definition.task == "binary" else []
    curves = diagnostics.discrimination(target, prediction) if definition.task == "binary" else {}
    return Picture({f"validation.{name}": value for name, value in figures.items()}, curves, {}, bins)


def _describe(
    definition: ModelDefinition, run_id: int, source: str, column: str | None, reason: str, settings: Settings
) -> Adopted:
    with Ledger.from_settings(settings).transaction() as session:
        run = versions.training_run(session, definition.name, run_id)
        compared = versions.comparison_of(session, run_id)
        result = compared.result if compared else {}
        version, as_of = int(run.version or 0), run.as_of
    return Adopted(
        version, source, as_of, reason, result.get("challenger_loss"), result.get("champion_loss"),
        int(result.get("rows", 0)), tuple(_notes(definition, column)),
    )  # fmt: skip


def _notes(definition: ModelDefinition, column: str | None) -> list[str]:
    if column is None:
        return [
            "Nobody here knows what it was trained on: if these partitions were among it, its losses on them are too "
            "good. Those of the partitions from now on are not."
        ]
    notes = [
        "Only its predictions are known: its latency and size say nothing about it, and it cannot be made again.",
        f"A partition whose {column} is missing in any row gets no prediction; a mail says how many rows lack it.",
    ]
    if column in definition.features.columns:
        notes.append(
            f"{column} is also a feature: a challenger that reads it needs the incumbent for as long as it serves. "
            "Take it out of features in model.yaml if the incumbent is to end."
        )
    return notes
