"""The training task: from a fixed dataset to a registered challenger, once for each training run."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import TrainingRun
from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import UnavailableError
from evergreen.loop.features.feature_code import of_hash
from evergreen.loop.training import publish
from evergreen.loop.training.dataset import read_examples
from evergreen.loop.training.estimators.check import PROBE_ROWS, check_saved, freeze_or_refuse
from evergreen.loop.training.estimators.kinds import shown
from evergreen.loop.training.learn import Learned, learn
from evergreen.loop.training.losses import TITLES
from evergreen.loop.training.mlflow_report import describe
from evergreen.loop.training.model_files import content_hash, load
from evergreen.loop.training.provenance import code_hash
from evergreen.loop.training.refusal import recorded
from evergreen.loop.training.tracking import CHALLENGER, Registry, answering, end_interrupted, experiment_id
from evergreen.loop.training.trial_log import journal_of
from evergreen.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger("evergreen.training")


@dataclass(frozen=True)
class Fitted:
    """A challenger in the registry."""

    version: int
    mlflow_run_id: str
    candidate: str
    metrics: dict[str, float]
    reused: bool
    """Whether an earlier attempt had made it"""


def fit(definition: ModelDefinition, training_run_id: int, *, settings: Settings, run_url: str | None = None) -> Fitted:
    """The challenger of this training run: made now, or found if an earlier attempt made it.

    Raises:
        DefinitionError: the team's `candidates.py` is missing, cannot be imported or does not define a candidate.
        NotReadyError: the rows cannot teach anything (one class only).
        RefusedError: a candidate does what none may do, or cannot be saved safely; the ledger has a decision about it.
        BadInputError: there is no such run, or features or labels do not fit the definition.
        UnavailableError: ledger, store, feature remotes or MLflow do not answer.
    """
    ledger = Ledger.from_settings(settings)
    with (
        recorded(definition, training_run_id, settings, run_url),
        ledger.lock("fit", definition.name, str(training_run_id)) as session,
    ):
        run = versions.training_run(session, definition.name, training_run_id)
        definition = of_hash(session, definition, run.features_hash).definition
        if run.version is not None:
            log.info("training run %d has made version %d already", run.id, run.version)
            if run.state == "failed":
                run.state = "trained"
            return _describe(run, reused=True)
        with answering(settings, "take the challenger"):
            registry = Registry(settings, definition.name)
            registered = registry.version_of_run(run)
        if registered is not None:
            log.info("an earlier attempt had registered version %s before it was interrupted", registered.version)
            recover(definition, run, registered, settings)
        else:
            _make(definition, run, settings, run_url)
        with answering(settings, "keep one version of this training"):
            keep_first(run, registry)
        with answering(settings, "move the alias challenger"):
            point_challenger(definition, run, registry)
        run.state, run.finished_at = "trained", func.now()
        session.flush()
        return _describe(run, reused=registered is not None)


def _make(definition: ModelDefinition, run: TrainingRun, settings: Settings, run_url: str | None) -> None:
    started = time.monotonic()
    examples = read_examples(definition, run, list(run.dataset["train_keys"]), settings=settings)
    code = code_hash(definition, run.features_hash)
    learned = learn(definition, examples, journal_of(run, code, settings))
    if code_hash(definition, run.features_hash) != code:
        raise UnavailableError(
            f"the code of {definition.name} changed while it was trained (candidates.py, or Evergreen itself); nothing "
            "was registered, the next try begins with what is there now"
        )
    run.code_hash = code  # of what trained it, if the files were corrected after the dataset had been fixed
    _report(definition, learned, time.monotonic() - started)
    data = _frozen(definition, learned)
    picture = describe(definition, learned)
    with answering(settings, "take the challenger"), scratch_folder("fit") as folder:
        experiment = experiment_id(settings, definition.name)
        interrupted = end_interrupted(settings, experiment, run)
        if interrupted:
            log.info("%d interrupted attempt(s) at this training run marked as killed in MLflow", interrupted)
        record = publish.Record(definition, run, learned, picture, content_hash(data), len(examples), run_url)
        mlflow_run_id, version = publish.publish(record, data, experiment, folder, settings)
    run.candidate, run.params = learned.best.candidate, dict(learned.best.params)
    run.decision = learned.rule.as_json() if learned.rule else None
    run.metrics, run.mlflow_run_id, run.version = dict(picture.metrics), mlflow_run_id, version
    log.info(
        "version %d registered as challenger, model file %s: %s",
        version, content_hash(data)[:12], Registry(settings, definition.name).url(version),
    )  # fmt: skip


def _frozen(definition: ModelDefinition, learned: Learned) -> bytes:
    """The model's file, which has been loaded and predicts as the model does."""
    kind, probe = learned.best.candidate, learned.validation.sample(PROBE_ROWS, definition.training.seed)
    data = freeze_or_refuse(kind, learned.model)
    check_saved(definition, kind, learned.model, data, probe.features)
    return data


def recover(definition: ModelDefinition, run: TrainingRun, version: ModelVersion, settings: Settings) -> None:
    """Fill in the ledger's row from what an interrupted attempt has left in MLflow."""
    with answering(settings, "say what the interrupted attempt did"):
        logged = Registry(settings, definition.name).client.get_run(version.run_id)
    run.candidate, run.params = publish.read_params(logged.data.params)
    if definition.decision:
        rule = load(definition, int(version.version), settings=settings).rule
        run.decision = rule.as_json() if rule else None
    run.metrics = {name: value for name, value in logged.data.metrics.items() if publish.is_single(name)}
    run.mlflow_run_id, run.version = version.run_id, int(version.version)


def keep_first(run: TrainingRun, registry: Registry) -> None:
    """One training run is one version, also if MLflow registered it twice: the first, as a later attempt finds."""
    first, twins = registry.version_of_run(run), registry.drop_twins(run)
    if first is not None and twins:
        log.warning("MLflow had registered version %s again as %s; deleted", first.version, ", ".join(map(str, twins)))
        run.version = int(first.version)


def point_challenger(definition: ModelDefinition, run: TrainingRun, registry: Registry) -> None:
    """Let the alias name the newest version: a late retry of an older run leaves it alone."""
    newest = registry.alias(CHALLENGER) or 0
    if run.version is not None and run.version > newest:
        registry.set_alias(CHALLENGER, run.version)
    elif run.version != newest:
        log.info("alias challenger stays at the newer version %d of %s", newest, definition.name)


def _report(definition: ModelDefinition, learned: Learned, seconds: float) -> None:
    title = TITLES[definition.training_loss]
    for candidate in definition.training.candidates:
        losses = [t.loss for t in learned.trials if t.candidate == candidate and not t.pruned]
        pruned = sum(t.pruned for t in learned.trials if t.candidate == candidate)
        also = f", {pruned} ended early" if pruned else ""
        log.info("%s: %d trials%s, %s %.4f at best", candidate, len(losses) + pruned, also, title, min(losses))
    log.info(
        "chosen: %s (%s), fitted on all rows; %.1f s so far",
        learned.best.candidate, shown(learned.best.params), seconds,
    )  # fmt: skip
    if learned.rule is not None:
        log.info("chooses %s", learned.rule.words)


def _describe(run: TrainingRun, *, reused: bool) -> Fitted:
    return Fitted(
        version=int(run.version or 0),
        mlflow_run_id=run.mlflow_run_id or "",
        candidate=run.candidate or "",
        metrics=dict(run.metrics or {}),
        reused=reused,
    )
