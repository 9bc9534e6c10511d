"""Put a challenger into MLflow: the run with everything about it, then the registered version."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow.sklearn
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn.pipeline import Pipeline

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.load import CANDIDATES
from evergreen.core.ledger.tables import TrainingRun
from evergreen.loop.training.estimators.built_in import DISTRIBUTIONS
from evergreen.loop.training.estimators.own import source_hash
from evergreen.loop.training.estimators.trusted import runs_code, trusted_types
from evergreen.loop.training.learn import Learned
from evergreen.loop.training.losses import TITLES
from evergreen.loop.training.mlflow_report import Picture, draw
from evergreen.loop.training.model_files import MODEL_FILE
from evergreen.loop.training.provenance import machine
from evergreen.loop.training.tracking import RUN_ID_TAG, RUN_TAG, TAG, Registry, client, run_name
from evergreen.settings import Settings

REQUIREMENTS = ("scikit-learn", "skops", "numpy", "pandas", "scipy")
METRICS_A_CALL = 900
"""MLflow takes 1,000 metrics in one call."""
_MOST_PARAM = 6_000
"""Characters of a parameter, which MLflow takes."""
_CURVES = ("tuning.", "roc.", "pr.", "calibration.", "learning.")


@dataclass(frozen=True)
class Record:
    """Everything that is told to MLflow about one training run."""

    definition: ModelDefinition
    run: TrainingRun
    learned: Learned
    picture: Picture
    model_hash: str
    rows: int
    run_url: str | None

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run and of the registered version: what names data, code and libraries."""
        run, own = self.run, source_hash(self.definition)
        return {
            **({f"{TAG}candidates_hash": own} if own else {}),
            RUN_ID_TAG: str(run.id),
            RUN_TAG: run_name(run),
            f"{TAG}cause": run.cause,
            f"{TAG}snapshot_commit": run.git_commit,
            f"{TAG}dataset_hash": run.dataset_hash,
            f"{TAG}code_version": run.code_version,
            f"{TAG}code_hash": run.code_hash,
            **({f"{TAG}features_hash": run.features_hash} if run.features_hash else {}),
            f"{TAG}lock_hash": run.lock_hash,
            f"{TAG}seed": str(run.seed),
            f"{TAG}machine": machine(),
            f"{TAG}model_hash": self.model_hash,
        }

    @property
    def params(self) -> dict[str, str]:
        """Parameters of the run; hyperparameters as JSON, so that they can be read back exactly."""
        training, dataset = self.definition.training, self.run.dataset
        rules = training.search
        found = {
            **({"search": rules.model_dump_json(exclude_none=True)} if rules else {}),
            "candidate": self.learned.best.candidate,
            "window": str(training.window),
            "validation": str(training.validation),
            "trials": str(len(self.learned.trials)) if training.search else str(training.trials),
            "seed": str(self.run.seed),
            "loss": self.definition.training_loss,
            "rows": str(self.rows),
            "train_from": dataset["train_keys"][0],
            "train_through": dataset["train_keys"][-1],
            "as_of": self.run.as_of,
        }
        classes = self.learned.classes_of_model
        rule = self.learned.rule
        found |= {"decision": json.dumps(rule.as_json(), sort_keys=True)[:_MOST_PARAM]} if rule else {}
        found |= {"threshold": repr(rule.threshold)} if rule and rule.threshold is not None else {}
        found |= {"classes": json.dumps(classes, ensure_ascii=False)[:_MOST_PARAM]} if classes else {}
        return found | {f"model.{name}": json.dumps(value) for name, value in self.learned.best.params.items()}

    @property
    def text(self) -> str:
        """The registered version's description."""
        run, keys, best = self.run, self.run.dataset["train_keys"], self.learned.best
        log = f" [Log of the training task]({self.run_url})." if self.run_url else ""
        rule = f" It chooses {self.learned.rule.words}." if self.learned.rule else ""
        return (
            f"A {best.candidate} model for *{self.definition.title}*, trained because of {run.cause}: {run.reason}\n\n"
            f"Trained on {self.rows:,} rows of {len(keys)} partitions, {keys[0]} to {keys[-1]}; "
            f"{TITLES[self.definition.training_loss]} {best.loss:.4f} on newer partitions while tuning. Dataset "
            f"{run.dataset_hash[:12]}, features commit {run.git_commit[:12]}, code {run.code_version[:12]}, "
            f"training run {run.id}.{rule}{log}"
        )


def publish(record: Record, data: bytes, experiment: str, folder: Path, settings: Settings) -> tuple[str, int]:
    """Log the run and register the model; returns the MLflow run's id and the version.

    The version comes last and carries its training run's id from its first moment: an attempt that is interrupted
    before has made no version, one that is interrupted after is found by that tag.
    """
    tracking = client(settings)
    title = f"{record.run.cause} {record.run.as_of} ({record.run.id})"
    run = tracking.create_run(experiment, tags=record.tags, run_name=title)
    run_id = str(run.info.run_id)
    try:
        _log(tracking, run_id, record, folder / "figures")
        model = folder / "model"
        save(record, data, model)
        version = Registry(settings, record.definition.name).register(
            model, experiment=experiment, run_id=run_id, params=record.params, tags=record.tags, text=record.text
        )
    except BaseException:
        tracking.set_terminated(run_id, status="FAILED")
        raise
    tracking.set_terminated(run_id)
    return run_id, version


def _log(tracking: MlflowClient, run_id: str, record: Record, folder: Path) -> None:
    now = int(time.time() * 1000)
    picture = record.picture
    points = [Metric(name, value, now, 0) for name, value in picture.metrics.items()]
    points += [Metric(n, value, now, step) for n, curve in picture.curves.items() for step, value in enumerate(curve)]
    params = [Param(name, value) for name, value in record.params.items()]
    tags = [RunTag("mlflow.note.content", record.text)]
    tracking.log_batch(run_id, metrics=points[:METRICS_A_CALL], params=params, tags=tags)
    for start in range(METRICS_A_CALL, len(points), METRICS_A_CALL):
        tracking.log_batch(run_id, metrics=points[start : start + METRICS_A_CALL])
    tracking.log_inputs(run_id, [DatasetInput(_dataset(record))])
    _log_search(tracking, run_id, record, folder.with_name("search"))
    folder.mkdir()
    draw(record.definition, record.learned, picture, folder)
    tracking.log_artifacts(run_id, str(folder), "figures")


def _log_search(tracking: MlflowClient, run_id: str, record: Record, folder: Path) -> None:
    """Every trial, and the team's file that defines a candidate, as it was."""
    folder.mkdir()
    trials = [asdict(trial) for trial in record.learned.trials]
    (folder / "trials.json").write_text(json.dumps(trials, indent=1), encoding="utf-8")
    if record.definition.training.own_candidates:
        (folder / CANDIDATES).write_bytes((record.definition.folder / CANDIDATES).read_bytes())
    tracking.log_artifacts(run_id, str(folder), "search")


def _dataset(record: Record) -> Dataset:
    """The dataset as MLflow's pages show it: named, with its hash and where to read it."""
    run = record.run
    source = {"commit": run.git_commit, **run.dataset}
    profile = {"rows": record.rows, "partitions": len(run.dataset["train_keys"])}
    schema = {"mlflow_colspec": json.loads(_inputs(record.definition).to_json())}
    return Dataset(
        name=f"{record.definition.name} through {run.as_of}",
        # MLflow keeps the source of the first dataset of one name and digest: the commit in it keeps that one true.
        digest=f"{run.dataset_hash[:24]}-{run.git_commit[:11]}",
        source_type="evergreen",
        source=json.dumps(source, sort_keys=True),
        schema=json.dumps(schema),
        profile=json.dumps(profile),
    )


def save(record: Record, data: bytes, folder: Path) -> None:
    """Write an MLflow model folder whose model file is exactly `data`."""
    definition = record.definition
    mlflow.sklearn.save_model(
        record.learned.model,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=[name for name in trusted_types(definition) if not runs_code(name)],
        signature=signature(definition, record.learned.classes_of_model),
        pip_requirements=[f"{name}=={installed(name)}" for name in requirements(record.learned.model)],
        pyfunc_predict_fn="predict_proba" if _gives_shares(definition, record.learned.model) else "predict",
    )
    (folder / MODEL_FILE).write_bytes(data)


def _gives_shares(definition: ModelDefinition, model: Pipeline) -> bool:
    """Whether it answers with a share of each class; an incumbent's probability lands as one number."""
    return definition.task != "regression" and hasattr(model, "predict_proba")


def requirements(model: Pipeline) -> tuple[str, ...]:
    """The distributions that a fitted model is loaded with: the common ones, and that of the library it is made of."""
    modules = {type(part).__module__.partition(".")[0] for part in _parts(model)}
    return (*REQUIREMENTS, *(DISTRIBUTIONS[name] for name in sorted(modules & set(DISTRIBUTIONS))))


def _parts(model: Any) -> Iterator[Any]:
    """The estimators inside one another."""
    yield model
    if isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from _parts(step)
    elif hasattr(model, "get_params"):
        yield from (part for part in model.get_params().values() if hasattr(part, "fit"))


def signature(definition: ModelDefinition, classes: Sequence[str] = ()) -> ModelSignature:
    """Feature columns in, one probability of each class or one value out; `classes` are those of a multiclass task."""
    named = [ColSpec("double", name) for name in (classes or ("0", "1"))]
    outputs = Schema([ColSpec("double")] if definition.task == "regression" else named)
    return ModelSignature(inputs=_inputs(definition), outputs=outputs)


def _inputs(definition: ModelDefinition) -> Schema:
    numeric = [ColSpec("double", name, required=False) for name in definition.features.numeric]
    return Schema(numeric + [ColSpec("string", name, required=False) for name in definition.features.categorical])


def is_single(name: str) -> bool:
    """Whether a metric is a single figure and no point of a curve."""
    return not name.startswith(_CURVES)


def read_params(params: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Candidate and hyperparameters from a run's parameters: the reverse of `Record.params`."""
    found = {name[len("model.") :]: json.loads(value) for name, value in params.items() if name.startswith("model.")}
    return params["candidate"], found
