"""Ledger and registry: one champion, whom both name; every decision carried out; every version accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import UnavailableError
from evergreen.operations.audit import files
from evergreen.operations.audit.disagreement import Disagreement, Row, by
from evergreen.operations.audit.ledger_rows import Rows

if TYPE_CHECKING:
    from mlflow import MlflowClient

AREA = "champion"
MODEL_FILE = "model.skops"
RECONCILE = "Run the DAG evergreen.housekeeping: its task reconcile_aliases sets the alias to what the ledger says."
REPORT = "Report it: a decision, its deployment and its mail are one transaction."


@dataclass(frozen=True)
class Registry:
    """What MLflow's registry holds of one model."""

    aliases: Mapping[str, int]
    tags: Mapping[int, Mapping[str, str]]
    """Tags by version"""
    model_hashes: Mapping[int, str | None]
    """SHA-256 of the model's file, of the versions that were asked for; None if it is not there"""


def read_registry(url: str, model: str, served: set[int]) -> Registry:
    """Aliases and versions of `model`, and the hashes of the model files of the versions `served`.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=url, registry_uri=url)
    try:
        registered = [found for found in client.search_registered_models() if found.name == model]
        aliases = {name: int(version) for found in registered for name, version in found.aliases.items()}
        versions = client.search_model_versions(f"name = '{model}'") if registered else []
        tags = {int(version.version): dict(version.tags) for version in versions}
        hashes = {version: _model_hash(client, url, model, version) for version in served & tags.keys()}
    except MlflowException as error:
        raise UnavailableError(f"MLflow at {url} does not answer: {str(error).splitlines()[0]}") from error
    return Registry(aliases, tags, hashes)


def _model_hash(client: MlflowClient, url: str, model: str, version: int) -> str | None:
    import mlflow.artifacts

    source = client.get_model_version_download_uri(model, str(version))
    with scratch_folder("verify") as folder:
        try:
            found = mlflow.artifacts.download_artifacts(
                f"{source}/{MODEL_FILE}", dst_path=str(folder), tracking_uri=url
            )
        except Exception as error:
            if "404" in str(error) or "not exist" in str(error).lower() or "no such" in str(error).lower():
                return None
            raise UnavailableError(f"MLflow at {url} does not give out version {version}: {error}") from error
        return files.sha256(Path(found).read_bytes())


def check(rows: Rows, registry: Registry) -> Iterator[Disagreement]:
    """Compare deployments, decisions, trainings and the registry."""
    yield from _one_champion(rows.deployments, registry)
    yield from _versions(rows, registry)
    yield from _carried_out(rows)
    yield from _trained(rows)


def _one_champion(deployments: list[Row], registry: Registry) -> Iterator[Disagreement]:
    serving, alias = deployments[-1] if deployments else None, registry.aliases.get("champion")
    version = serving["version"] if serving else None
    if alias != version:
        said = f"version {version}" if version else "nobody"
        what = f"the ledger says that {said} serves; the registry's alias names {alias or 'no version'}"
        yield Disagreement(AREA, "alias champion", what, RECONCILE, serving["served_from"] if serving else None)


def _versions(rows: Rows, registry: Registry) -> Iterator[Disagreement]:
    """Every version of the registry comes from one training run, and every training run's version is there."""
    trained = by((row for row in rows.training_runs if row["version"] is not None), "version")
    for version in sorted(registry.tags.keys() - trained.keys()):
        what = f"the registry has version {version}, of which no training run of the ledger knows"
        fix = "An attempt whose answer was lost registered it twice: delete it in MLflow. It has never served."
        yield Disagreement(AREA, f"version {version}", what, fix)
    for version, runs in sorted(trained.items()):
        if len(runs) > 1:
            what = f"training runs {' and '.join(str(run['id']) for run in runs)} both say that they made it"
            yield Disagreement(AREA, f"version {version}", what, "Report it: a version has one training run.")
        if version not in registry.tags and f"{runs[0]['model']} version {version}" not in rows.collected:
            what = f"training run {runs[0]['id']} made it, and the registry does not have it"
            yield Disagreement(AREA, f"version {version}", what, "Restore MLflow's database from a backup.")
    for version, found in sorted(registry.model_hashes.items()):
        recorded = registry.tags[version].get("evergreen.model_hash")
        if found != recorded:
            said = "is not there" if found is None else f"has the SHA-256 {found[:12]}, not {(recorded or '?')[:12]}"
            what = f"its model file {said}; it has served"
            yield Disagreement(AREA, f"version {version}", what, "Restore MLflow's artifacts from a backup.")


def _carried_out(rows: Rows) -> Iterator[Disagreement]:
    """Each decision on who serves has its deployment, or says why not; and the other way round."""
    deployed = by(rows.deployments, "decision_id")
    decided = {row["id"]: row for row in rows.decisions}
    void = {row["evidence"].get("decision") for row in rows.decisions if row["dedup_key"].startswith("follow:")}
    for decision in rows.decisions:
        if decision["kind"] not in ("promote", "rollback"):
            continue
        found = deployed.get(decision["id"], [])
        if len(found) != (0 if decision["id"] in void else 1):
            what = f"decision {decision['id']} ({decision['kind']}) has {len(found)} deployments"
            fix = "Clear the task that carries it out: change_champion of the monitor, conclude of the training."
            yield Disagreement(AREA, f"version {decision['version']}", what, fix, decision["decided_at"])
    for deployment in rows.deployments:
        reason = decided.get(deployment["decision_id"])
        if reason is None or (reason["version"], reason["kind"] in ("promote", "rollback")) != (
            deployment["version"],
            True,
        ):
            what = f"deployment {deployment['id']} rests on no decision to have this version serve"
            yield Disagreement(AREA, f"version {deployment['version']}", what, REPORT, deployment["served_from"])


def _trained(rows: Rows) -> Iterator[Disagreement]:
    """No training stopped midway; each retrain that was decided was begun."""
    compared = by(rows.comparisons, "training_run_id")
    concluded = {
        int(row["dedup_key"].rpartition(":")[2])
        for row in rows.decisions
        if row["dedup_key"].startswith(("gate:", "forced:"))
    }
    for run in rows.training_runs:
        about = f"training run {run['id']}"
        if run["state"] not in ("promoted", "refused", "failed"):
            what = f"it was begun because of {run['cause']} and has stopped at {run['state']!r}"
            fix = "Clear the failed task of its run of the train DAG; it goes on from there."
            yield Disagreement(AREA, about, what, fix, run["started_at"])
        elif run["state"] != "failed" and (run["id"] not in concluded or run["id"] not in compared):
            what = f"it is {run['state']}, and there is no comparison or no decision that says so"
            yield Disagreement(AREA, about, what, REPORT, run["finished_at"])
    causes = {row["cause_key"] for row in rows.training_runs}
    for decision in rows.decisions:
        if decision["kind"] == "retrain" and decision["evidence"].get("cause_key") not in causes:
            what = f"the check of {decision['key']} decided to retrain, and no training was begun for that cause"
            fix = "Clear the task retrain of that run of the monitor DAG, or see why its training was skipped."
            yield Disagreement(AREA, f"decision {decision['id']}", what, fix, decision["decided_at"])
