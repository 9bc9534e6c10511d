"""Queries on training runs, comparisons and deployments."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables import Comparison, Deployment, TrainingRun
from evergreen.errors import BadInputError


def training_run(session: Session, model: str, training_run_id: int) -> TrainingRun:
    """The training run of this id.

    Raises:
        BadInputError: the model has no such run.
    """
    found = session.get(TrainingRun, training_run_id)
    if found is None or found.model != model:
        raise BadInputError(
            f"{model} has no training run {training_run_id}; `evergreen history {model}` lists the ones it has"
        )
    return found


def run_of_cause(session: Session, model: str, cause_key: str) -> TrainingRun | None:
    """The training run that this cause has made, or None."""
    return session.scalar(select(TrainingRun).where(TrainingRun.model == model, TrainingRun.cause_key == cause_key))


def run_of_version(session: Session, model: str, version: int) -> TrainingRun | None:
    """The training run that made this version of the registry, or None."""
    return session.scalar(select(TrainingRun).where(TrainingRun.model == model, TrainingRun.version == version))


def newest_trained(session: Session, model: str) -> TrainingRun | None:
    """The training run that made the model's newest version, or None."""
    query = select(TrainingRun).where(TrainingRun.model == model, TrainingRun.version.is_not(None))
    return session.scalar(query.order_by(TrainingRun.version.desc()).limit(1))


def comparison_of(session: Session, training_run_id: int) -> Comparison | None:
    """How the challenger of this run compared with the champion, or None before it was compared."""
    return session.scalar(select(Comparison).where(Comparison.training_run_id == training_run_id))


def looks_at(session: Session, model: str, version: int | None, *, before: int | None = None) -> int:
    """How many challengers have been compared with the champion `version`; before the comparison of this id, if any."""
    query = select(func.count()).where(Comparison.model == model, Comparison.champion_version == version)
    if before is not None:
        query = query.where(Comparison.id < before)
    return int(session.scalar(query) or 0)


def current_deployment(session: Session, model: str) -> Deployment | None:
    """The deployment in force: the newest one; None before the first promotion."""
    query = select(Deployment).where(Deployment.model == model)
    return session.scalar(query.order_by(Deployment.id.desc()).limit(1))


def first_deployment(session: Session, model: str) -> Deployment | None:
    """The deployment of the first champion; None before there was one."""
    query = select(Deployment).where(Deployment.model == model)
    return session.scalar(query.order_by(Deployment.id).limit(1))
