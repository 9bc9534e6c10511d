"""The record of a model's challengers, from the ledger."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.tables import Comparison, TrainingRun
from evergreen.errors import PartitionKeyError
from evergreen.loop.champion.evaluation.record import Met


def past_challengers(session: Session, definition: ModelDefinition, *, up_to: str | None = None) -> list[Met]:
    """Challengers that were compared with a champion by the loss of today, in the order of the comparisons.

    Those that met the base rate, or a champion that could not predict, say nothing about newer labels. Nor do those
    made while partitions were cut otherwise, those of new feature code, and those that met an adopted model: how old
    the labels of that one are, nobody knows.

    Args:
        session: of the ledger.
        definition: the model.
        up_to: newest partition whose labels a challenger may have been made from; None: any.
    """
    ours, theirs = aliased(TrainingRun), aliased(TrainingRun)
    query = (
        select(Comparison, theirs.as_of, ours.as_of)
        .join(theirs, theirs.id == Comparison.training_run_id)
        .join(ours, (ours.model == Comparison.model) & (ours.version == Comparison.champion_version))
        .where(Comparison.model == definition.name, ours.cause != "adopt", theirs.cause != "code")
        .order_by(Comparison.id)
    )
    if up_to is not None:
        query = query.where(theirs.as_of <= up_to)
    found = []
    for comparison, challenger, champion in session.execute(query):
        said = comparison.result
        if said.get("champion_broken") or said.get("loss") != definition.loss:
            continue
        newer = partitions_between(definition, champion, challenger)
        if newer is not None:
            found.append(Met(tuple(comparison.keys), newer, float(said["relative"]), float(said["p_value"])))
    return found


def partitions_between(definition: ModelDefinition, champion: str, challenger: str) -> int | None:
    """Partitions by which a challenger's labels are newer; None if a key is none of today's calendar."""
    try:
        return max(0, len(definition.partitions.keys(champion, challenger)) - 1)
    except PartitionKeyError:
        return None
