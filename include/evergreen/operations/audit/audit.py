"""The whole audit of one model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.database_address import AddressOf, from_environment
from evergreen.operations.audit import (
    champion,
    codes,
    features,
    files,
    labels,
    ledger_rows,
    mails,
    orphans,
    partitions,
    predictions,
    references,
    sinks,
)
from evergreen.operations.audit.disagreement import Disagreement
from evergreen.operations.audit.ledger_rows import Rows
from evergreen.settings import Settings


@dataclass(frozen=True)
class Audit:
    """What was compared, and what disagrees."""

    model: str
    compared: dict[str, int]
    """How many there are of each thing"""
    disagreements: tuple[Disagreement, ...]
    in_progress: tuple[Disagreement, ...]
    """What is so young that somebody may still be at work on it"""
    not_compared: tuple[str, ...] = ()
    """What could not be looked at, and why"""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            "agrees": not self.disagreements,
            "compared": self.compared,
            "not_compared": list(self.not_compared),
            "disagreements": [found.as_dict() for found in self.disagreements],
            "in_progress": [found.as_dict() for found in self.in_progress],
        }


@dataclass(frozen=True)
class Runs:
    """Runs and task instances of the model's DAGs, as Airflow's REST API gives them."""

    runs: Sequence[Mapping[str, Any]]
    tasks: Sequence[Mapping[str, Any]]


def audit(
    definition: ModelDefinition,
    *,
    settings: Settings,
    now: dt.datetime,
    settled: dt.timedelta = dt.timedelta(0),
    mail_folder: Path | None = None,
    airflow: Runs | None = None,
    address_of: AddressOf = from_environment,
) -> Audit:
    """Compare everything that is kept of a model. Nothing is changed.

    Args:
        definition: the model.
        settings: where everything is.
        now: aware.
        settled: what is younger is taken for work in progress.
        mail_folder: where a mail catcher keeps what arrived; None if mails go to real mailboxes.
        airflow: its runs; None if nobody could ask it.
        address_of: looks the address of a sink's database up.

    Raises:
        UnavailableError: ledger, store, feature remotes or MLflow do not answer.
    """
    rows = ledger_rows.read(settings.ledger_url.get_secret_value(), definition.name)
    arrived = mails.read_folder(mail_folder) if mail_folder is not None else None
    found = list(_compare(definition, rows, settings, now, arrived, airflow))
    found += sinks.check(definition, rows, settings.store_url, address_of)
    young = [one for one in found if one.since is not None and now - one.since < settled]
    return Audit(
        model=definition.name,
        compared=_compared(rows, definition.name, arrived, airflow),
        disagreements=tuple(one for one in found if one not in young),
        in_progress=tuple(young),
        not_compared=tuple(sinks.not_compared(definition, address_of)),
    )


def _compare(
    definition: ModelDefinition,
    rows: Rows,
    settings: Settings,
    now: dt.datetime,
    arrived: list[mails.Arrived] | None,
    airflow: Runs | None,
) -> Iterator[Disagreement]:
    store = files.listing(settings.store_url)
    landed = files.listing(f"{settings.landing_url.rstrip('/')}/{definition.feed.name}")
    repository = features.read_repository(settings.features_git_url.get_secret_value(), rows.snapshots)
    served = {row["version"] for row in rows.deployments}
    registry = champion.read_registry(settings.mlflow_url, definition.name, served)
    yield from partitions.check(rows, files.landed(definition, settings.landing_url, now))
    yield from features.check(definition, rows, repository, settings.features_dvc_url)
    yield from predictions.check(definition, rows, store, settings.features_dvc_url)
    yield from codes.check(rows)
    yield from labels.check(definition, rows)
    yield from references.check(definition, rows, landed)
    yield from _reports(rows)
    yield from champion.check(rows, registry)
    yield from mails.check(rows, definition.name, arrived)
    yield from orphans.check_files(chain(store, landed))
    if airflow is not None:
        yield from orphans.check_runs(rows, definition.name, airflow.runs, airflow.tasks)


def _reports(rows: Rows) -> Iterator[Disagreement]:
    """Every check has its decision, and the report that its mail links to."""
    decided = {row["evidence"].get("drift_check_id") for row in rows.decisions}
    for check in rows.drift_checks:
        about, since = f"check {check['id']} of {check['key']}", check["created_at"]
        kept = check["report_uri"] is not None and check["report_uri"] not in rows.collected
        if kept and files.read(check["report_uri"]) is None:
            fix = "Restore the file from a backup of the store."
            yield Disagreement("predictions", about, f"its report, {check['report_uri']}, is not there", fix, since)
        if check["id"] not in decided:
            yield Disagreement("predictions", about, "it has no decision", champion.REPORT, since)


def _compared(rows: Rows, model: str, arrived: Iterable[mails.Arrived] | None, airflow: Runs | None) -> dict[str, int]:
    counts = {
        "partition versions": len(rows.partition_versions),
        "verdicts": len(rows.verdicts),
        "snapshots": len(rows.snapshots),
        "predictions": len(rows.predictions),
        "checks": len(rows.drift_checks),
        "coverages of labels": len(rows.label_coverages),
        "training runs": len(rows.training_runs),
        "feature codes": len({row["code_hash"] for row in rows.feature_codes}),
        "decisions": len(rows.decisions),
        "deployments": len(rows.deployments),
        "versions of references": len(rows.reference_versions),
        "deliveries to sinks": len(rows.sink_deliverys),
        "requests for predictions": int(rows.online_totals[0]["requests"]),
        "mails": sum(row["model"] == model for row in rows.alerts),
    }
    if arrived is not None:
        arrived = list(arrived)
        counts["mails that arrived"] = sum(mail.model == model for mail in arrived)
        counts["mails that arrived twice"] = mails.twice(rows, model, arrived)
    if airflow is not None:
        counts["runs"] = sum(run["dag_id"].startswith(f"{model}.") for run in airflow.runs)
    return counts
