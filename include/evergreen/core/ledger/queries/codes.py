"""Queries on feature code: which code a version is fed by, and where a copy of it is kept."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from evergreen.core.ledger.tables import FeatureCode, TrainingRun


def newest(session: Session, model: str, code_hash: str) -> FeatureCode | None:
    """The newest copy of a code; None if none is kept."""
    query = select(FeatureCode).where(FeatureCode.model == model, FeatureCode.code_hash == code_hash)
    return session.scalar(query.order_by(FeatureCode.id.desc()).limit(1))


def copy(session: Session, model: str, code_hash: str, content_hash: str) -> FeatureCode | None:
    """The copy with this very content; None if it is not kept."""
    same = (FeatureCode.code_hash == code_hash, FeatureCode.content_hash == content_hash)
    return session.scalar(select(FeatureCode).where(FeatureCode.model == model, *same))


def some(session: Session, model: str) -> bool:
    """Whether any code of the model is kept."""
    return session.scalar(select(FeatureCode.id).where(FeatureCode.model == model).limit(1)) is not None


def hash_of_version(session: Session, model: str, version: int) -> str | None:
    """Hash of the code that the rows of a version were built by; None if it is not on record."""
    query = select(TrainingRun.features_hash).where(TrainingRun.model == model, TrainingRun.version == version)
    return session.scalar(query.limit(1))


def was_trained(session: Session, model: str, code_hash: str) -> bool:
    """Whether a training run, whatever came of it, was made from this code."""
    query = select(TrainingRun.id).where(TrainingRun.model == model, TrainingRun.features_hash == code_hash)
    return session.scalar(query.limit(1)) is not None


def features_of_versions(session: Session, model: str) -> dict[int, dict[str, Any]]:
    """The section `features` of each version's definition, as JSON, by version, as far as its code is kept."""
    query = (
        select(TrainingRun.version, FeatureCode.definition)
        .join(FeatureCode, FeatureCode.code_hash == TrainingRun.features_hash)
        .where(TrainingRun.model == model, FeatureCode.model == model, TrainingRun.version.is_not(None))
    )
    return {int(version or 0): dict(said["features"]) for version, said in session.execute(query).tuples()}
