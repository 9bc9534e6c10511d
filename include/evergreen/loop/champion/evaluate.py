"""Score challenger and champion on the same held-out partitions, compare, and ask the gate."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import GateSection
from evergreen.core.ledger import Ledger, tables
from evergreen.core.ledger.queries import decisions, versions
from evergreen.core.ledger.tables import TrainingRun
from evergreen.core.names import PartitionKey
from evergreen.core.values import ComparisonOutcome, GateAnswer
from evergreen.errors import BadInputError, NotReadyError, RefusedError
from evergreen.loop.champion.approval import form, owe_mail
from evergreen.loop.champion.evaluation import guards
from evergreen.loop.champion.evaluation.gate import GateVerdict, decide, level, mode_for, too_few
from evergreen.loop.champion.evaluation.paired_test import Comparison, Mode, compare, nothing
from evergreen.loop.champion.evaluation.scores import (
    Predicted,
    Scores,
    base_rate,
    by_cluster,
    decided,
    judge_guards,
    rarer,
    score,
)
from evergreen.loop.champion.fed import Fed
from evergreen.loop.champion.reference_sample import write_reference
from evergreen.loop.features.feature_code import of_hash, of_version, with_gate_columns
from evergreen.loop.training.classes import nothing as nothing_predicted
from evergreen.loop.training.dataset import read_examples
from evergreen.loop.training.diagnostics import metrics
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.model_files import Predictor, load
from evergreen.loop.training.outcomes import flat
from evergreen.loop.training.tracking import answering, client
from evergreen.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger("evergreen.champion")

LATENCY_ROWS, LATENCY_REPEATS = 1_000, 7
INCUMBENT = "incumbent"
"""Candidate of a version that was adopted"""
SEEN = "the champion was trained on every held-out partition"


@dataclass(frozen=True)
class Evaluated:
    """What the gate said of a challenger."""

    outcome: GateAnswer
    reason: str
    verdict: ComparisonOutcome
    challenger: int
    champion: int | None
    comparison_id: int
    reused: bool
    """Whether an earlier attempt had compared them"""
    form: str
    """What a person is shown who is asked: Markdown"""
    decided: bool = False
    """Whether an earlier attempt was concluded: nobody is asked again"""


def evaluate(
    definition: ModelDefinition,
    training_run_id: int,
    *,
    settings: Settings,
    run_url: str | None = None,
    form_url: str | None = None,
) -> Evaluated:
    """Compare the challenger of a training run with the champion: now, or as an earlier attempt found.

    Without a champion that can serve, the base rate of the challenger's training labels stands in for it. If a person
    has to decide, the mail that asks them is written in the same transaction.

    Args:
        definition: the model.
        training_run_id: whose challenger it is.
        settings: where ledger, store, feature remotes and MLflow are.
        run_url: address of the task's log.
        form_url: address at which a person answers.

    Raises:
        NotReadyError: the training run has no challenger yet.
        RefusedError: the challenger is the champion, or nobody knows what the champion was trained on.
        BadInputError: no held-out row has a label.
        UnavailableError: ledger, store, feature remotes or MLflow do not answer.
    """
    name = definition.name
    with Ledger.from_settings(settings).lock("evaluate", name, str(training_run_id)) as session:
        run = versions.training_run(session, name, training_run_id)
        if run.version is None:
            raise NotReadyError(f"training run {run.id} of {name} has no challenger yet; run its task `fit` first")
        found = versions.comparison_of(session, run.id)
        if found is not None:
            log.info("version %d was compared already: %s", run.version, found.result["reason"])
            if run.state == "failed":
                run.state = "compared"
            decided = decisions.of_gate(session, name, run.id) is not None
            return replace(_describe(definition, run, found, reused=True), decided=decided)
        champion = _champion_run(session, definition, run)
        definition = with_gate_columns(of_hash(session, definition, run.features_hash).definition, definition)
        theirs = of_version(session, definition, champion.version) if champion and champion.version else None
        looks = versions.looks_at(session, name, champion.version) if champion else 0
        rule = _Rule(level(definition.gate.alpha, looks), _mode(session, run, champion))
        row = _compare(definition, run, champion, rule, Fed(run, theirs, settings))
        session.add(row)
        if run.state in ("trained", "failed"):
            run.state = "compared"
        session.flush()
        log.info("gate: %s", row.result["reason"])
        if row.result["outcome"] == "ask":
            owe_mail(session, definition, run, row, settings=settings, form_url=form_url, run_url=run_url)
        return _describe(definition, run, row, reused=False)


def _champion_run(session: Session, definition: ModelDefinition, run: TrainingRun) -> TrainingRun | None:
    """The training run that made the champion; None if there is no champion."""
    deployment = versions.current_deployment(session, definition.name)
    if deployment is None:
        return None
    if deployment.version == run.version:
        raise RefusedError(
            f"version {run.version} of {definition.name} is the champion: a model is never compared with itself. "
            "Train a new challenger"
        )
    champion = versions.run_of_version(session, definition.name, deployment.version)
    if champion is None:
        raise RefusedError(
            f"the ledger does not know what champion version {deployment.version} of {definition.name} was trained on, "
            "so no partition can be said to be new to it"
        )
    return champion


@dataclass(frozen=True)
class _Rule:
    """What the challenger has to prove, and how surely."""

    alpha: float
    mode: Mode


def _mode(session: Session, run: TrainingRun, champion: TrainingRun | None) -> Mode:
    """Non-inferiority if the run was asked for because of harm that the ledger knows of."""
    proven = champion is not None and decisions.proves_harm(session, run.model, int(champion.version or 0))
    if run.cause == "harm" and not proven:
        log.warning(
            "training run %d names harm as its cause, and no check has proven any to the champion: the challenger has "
            "to be better, not merely no worse", run.id,
        )  # fmt: skip
    return mode_for(run.cause, proven=proven)


def _compare(
    definition: ModelDefinition, run: TrainingRun, champion_run: TrainingRun | None, rule: _Rule, fed: Fed
) -> tables.Comparison:
    settings = fed.settings
    challenger = load(definition, int(run.version or 0), settings=settings)
    champion = champion_run.version if champion_run else None
    train = read_examples(definition, run, list(run.dataset["train_keys"]), settings=settings)
    held_out = read_examples(definition, run, list(run.dataset["holdout_keys"]), settings=settings)
    if not len(held_out):
        raise BadInputError(
            f"training run {run.id} of {definition.name}: no label of {', '.join(run.dataset['holdout_keys'])} has the "
            f"{definition.feed.entity} of an input, so nothing is held out to compare on; see how the labels' ids "
            "differ, have them landed again, and train again"
        )
    usable, predicted = guards.signature(
        definition.task, definition.features.columns, challenger.columns, lambda: challenger.predict(held_out.features),
        len(held_out), len(challenger.classes),
    )  # fmt: skip
    lost = fed.lost()
    # What it was trained on is no advantage of a champion that cannot predict; and nothing newer has features then.
    keys = unseen_keys(run, None if lost else champion_run) if predicted is not None else []
    log.info(
        "challenger %d is compared with %s on %s", challenger.version,
        f"champion {champion}" if champion else "the base rate of its training labels, for want of a champion,",
        ", ".join(keys) or "nothing: " + (usable.sentence if predicted is None else SEEN),
    )  # fmt: skip
    chosen = np.flatnonzero(np.isin(held_out.key, keys))
    rows, theirs = held_out.take(chosen), nothing_predicted(challenger.classes)
    if predicted is not None:
        write_reference(definition, challenger, train, held_out, settings=settings)
        theirs = predicted[chosen]
    try:
        if lost:
            raise BadInputError(lost)
        rows, theirs, features = fed.champion_features(definition, rows, theirs)
        ours, broken = _champion_predicts(definition, champion, train, rows, features, settings)
    except BadInputError as error:
        ours, broken = base_rate(definition, train, len(rows)), str(error)
    if broken:
        log.warning("champion %s cannot serve: %s; the base rate stands in for it", champion, broken)
    scores = score(definition, rows, ours, Predicted(theirs, challenger.classes, challenger.rule))
    gate, found = definition.gate, _judge(definition, scores, rule)
    few = too_few(rarer(definition, scores), definition.min_positives)
    answers = (*judge_guards(definition, scores), *_technical(run, challenger, held_out, predicted, gate), usable)
    said = decide(
        found, answers, gate, loss=definition.loss, challenger=challenger.version, champion=champion, broken=broken,
        unit=definition.unit, few=few,
    )  # fmt: skip
    for guard in answers:
        log.info("guard on %s: %s: %s", guard.name, guard.state.replace("_", " "), guard.sentence)
    figures, came_to = _figures(definition, scores), decided(definition, scores)
    _tell_mlflow(run, figures | ({"decisions": flat(came_to["challenger"])} if came_to else {}), settings)
    result = {**asdict(found), "loss": definition.loss, "outcome": said.outcome, "reason": said.reason, **figures}
    result |= {"gate": gate.model_dump(mode="json"), "loosened": list(gate.loosened), "champion_broken": broken}
    result |= {"decisions": came_to} if came_to else {}
    return _row(definition, run, champion, keys, found, said, result | {"by_cluster": by_cluster(scores)})


def _technical(
    run: TrainingRun, challenger: Predictor, held_out: Examples, predicted: Any, gate: GateSection
) -> tuple[guards.Guard, guards.Guard]:
    """Latency and size. Of an incumbent by predictions neither is known: what is registered reads a column."""
    size = guards.size(challenger.file_bytes, gate)
    if run.candidate == INCUMBENT and str((run.params or {}).get("source", "")).startswith("column "):
        return guards.unknown("latency"), guards.unknown("size")
    timed = _latency(challenger, held_out.features) if predicted is not None else None
    return guards.latency(timed, gate), size


def _judge(definition: ModelDefinition, scores: Scores, rule: _Rule) -> Comparison:
    gate, alpha, mode = definition.gate, rule.alpha, rule.mode
    if not len(scores.examples):
        return nothing(alpha=alpha, margin=gate.margin, mode=mode)
    return compare(
        scores.champion_losses,
        scores.challenger_losses,
        scores.examples.cluster,
        alpha=alpha,
        margin=gate.margin,
        mode=mode,
        seed=definition.training.seed,
    )


def unseen_keys(run: TrainingRun, champion_run: TrainingRun | None) -> list[PartitionKey]:
    """Held-out partitions of the run that the champion was not trained on either, oldest first. Pure."""
    seen = set(champion_run.dataset["train_keys"]) if champion_run else set()
    return [key for key in run.dataset["holdout_keys"] if key not in seen]


def _champion_predicts(
    definition: ModelDefinition,
    champion: int | None,
    train: Examples,
    rows: Examples,
    features: pd.DataFrame,
    settings: Settings,
) -> tuple[Predicted, str | None]:
    """Predictions of the champion, or those of the base rate and why the champion cannot make any.

    One that is lost, reads features that are gone, is not trusted or cannot be run any more, or gives no usable numbers
    must not keep a challenger from serving.
    """
    usual = base_rate(definition, train, len(rows))
    if champion is None:
        return usual, None
    try:
        model = load(definition, champion, settings=settings)
        found = model.predict(features)
    except (BadInputError, RefusedError) as error:
        return usual, str(error)
    except (*guards.CANNOT_PREDICT, ImportError) as error:
        return usual, guards.unable(error)
    faults = guards.unfit(definition.task, found, len(rows), len(model.classes))
    return (usual, "; ".join(faults)) if faults else (Predicted(found, model.classes, model.rule), None)


def _latency(challenger: Predictor, features: pd.DataFrame) -> float:
    """Least milliseconds of some predictions of 1,000 rows: what the model needs, not what else the machine did.

    Of each the shorter of wall and CPU time: on a busy machine the wall's is mostly waiting, and on an idle one the
    CPU's adds up what threads do at once.
    """
    rows: NDArray[np.intp] = np.arange(LATENCY_ROWS) % len(features)
    sample, taken = features.iloc[rows].reset_index(drop=True), []
    for _ in range(LATENCY_REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        challenger.predict(sample)
        taken.append(min(time.perf_counter() - wall, time.process_time() - cpu))
    return 1000 * min(taken)


def _figures(definition: ModelDefinition, scores: Scores) -> dict[str, dict[str, float]]:
    """Metrics of both models on the held-out rows."""
    if not len(scores.examples):
        return {}
    task, target, classes = definition.task, scores.target, scores.classes
    return {
        "challenger_metrics": metrics(task, target, scores.challenger, classes),
        "champion_metrics": metrics(task, target, scores.champion, classes),
    }


def _tell_mlflow(run: TrainingRun, figures: dict[str, dict[str, float]], settings: Settings) -> None:
    """Put the challenger's held-out metrics beside those of its training."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    told = {**figures.get("challenger_metrics", {}), **figures.get("decisions", {})}
    found = [Metric(f"holdout.{k}", value, now, 0) for k, value in told.items()]
    with answering(settings, "take the held-out metrics"):
        client(settings).log_batch(run.mlflow_run_id, metrics=found)


def _row(
    definition: ModelDefinition,
    run: TrainingRun,
    champion: int | None,
    keys: list[PartitionKey],
    found: Comparison,
    said: GateVerdict,
    result: dict[str, Any],
) -> tables.Comparison:
    return tables.Comparison(
        model=definition.name,
        training_run_id=run.id,
        challenger_version=run.version,
        champion_version=champion,
        keys=keys,
        verdict=found.verdict,
        result=result,
        guards=[asdict(guard) for guard in said.guards],
    )


def _describe(definition: ModelDefinition, run: TrainingRun, row: tables.Comparison, *, reused: bool) -> Evaluated:
    return Evaluated(
        outcome=row.result["outcome"],
        reason=str(row.result["reason"]),
        verdict=row.verdict,
        challenger=row.challenger_version,
        champion=row.champion_version,
        comparison_id=row.id,
        reused=reused,
        form=form(definition, run, row),
    )
