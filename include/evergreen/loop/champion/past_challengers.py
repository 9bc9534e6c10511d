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
    ours, theirs, said = aliased(TrainingRun), aliased(TrainingRun), Comparison.result
    query = (
        select(
            Comparison.keys, theirs.as_of, ours.as_of, said["relative"].as_float(), said["p_value"].as_float(),
            said["low"].as_float(),
        )
        .join(theirs, theirs.id == Comparison.training_run_id)
        .join(ours, (ours.model == Comparison.model) & (ours.version == Comparison.champion_version))
        .where(Comparison.model == definition.name, ours.cause != "adopt", theirs.cause != "code")
        .where(said["loss"].as_string() == definition.loss, said["champion_broken"].as_string().is_(None))
        .order_by(Comparison.id)
    )  # fmt: skip
    if up_to is not None:
        query = query.where(theirs.as_of <= up_to)
    found = []
    for keys, challenger, champion, gain, p_value, low in session.execute(query):
        newer = partitions_between(definition, champion, challenger)
        if newer is not None:
            found.append(Met(tuple(keys), newer, gain, p_value, low is not None))
    return found


def partitions_between(definition: ModelDefinition, champion: str, challenger: str) -> int | None:
    """Partitions by which a challenger's labels are newer; None if a key is none of today's calendar."""
    try:
        return max(0, definition.partitions.distance(champion, challenger))
    except PartitionKeyError:
        return None
