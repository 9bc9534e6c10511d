"""Measure how many of the accepted inputs have a label: once for each pair of what is accepted of both tables.

It is derived from what the ledger says is accepted and never passed on. Code that needs it calls `review` first. So if
a process dies between a verdict and its coverage, the next call finds what is missing.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import labels
from evergreen.core.ledger.queries.labels import Pair
from evergreen.core.ledger.tables import LabelCoverage
from evergreen.core.text import share
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.loop.intake.accepted_rows import read_columns
from evergreen.loop.intake.comparisons.label_coverage import known_among
from evergreen.loop.intake.labels import holds
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")


def review(definition: ModelDefinition, *, settings: Settings) -> None:
    """Bring coverage and what is held back up to date with what is accepted; write the mails that follow.

    Raises:
        UnavailableError: the ledger or the store do not answer.
    """
    ledger, name = Ledger.from_settings(settings), definition.name
    with ledger.transaction() as session:
        waiting = _unmeasured(session, name)
    rows = [_measure(definition, key, pair, settings) for key, pair in waiting.items()]
    with ledger.lock(holds.LOCK, name) as session:
        if rows:
            statement = insert(LabelCoverage).values(rows)
            session.execute(statement.on_conflict_do_nothing(constraint="uq_label_coverage_pair"))
        holds.settle(session, definition, measured=[row["key"] for row in rows if row["labelled"] is not None])


def _unmeasured(session: Session, model: str) -> dict[str, Pair]:
    known = labels.measured(session, model)
    return {key: pair for key, pair in labels.pairs(session, model).items() if labels.pair_id(pair) not in known}


def _measure(definition: ModelDefinition, key: str, pair: Pair, settings: Settings) -> dict[str, Any]:
    """The row of `label_coverage` for one pair."""
    found, names = _count(definition, key, pair, settings), labels.pair_id(pair)
    inputs = found[0] if found else pair[0][1].rows_accepted
    labelled = found[1] if found else None
    if labelled is not None:
        log.info("%s of %s: %s accepted inputs have a label", definition.name, key, share(labelled, inputs))
    return {
        "model": definition.name,
        "key": key,
        "inputs_version_id": names[0],
        "inputs_rows": names[1],
        "labels_version_id": names[2],
        "labels_rows": names[3],
        "inputs": inputs,
        "labelled": labelled,
    }


def _count(definition: ModelDefinition, key: str, pair: Pair, settings: Settings) -> tuple[int, int] | None:
    """Accepted inputs, and those that have a label which is not null; None if the rows can no longer be read."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    tables, entity, target = definition.feed.tables, definition.feed.entity, definition.target
    try:
        inputs = read_columns(pair[0][1], settings, tables["inputs"], [entity]).column(entity)
        landed = read_columns(pair[1][1], settings, tables["labels"], [entity, target])
        known = landed.filter(pc.is_valid(landed.column(target))).column(entity)
    except UnavailableError:
        raise
    except (EvergreenError, FileNotFoundError, KeyError, pa.ArrowException) as error:
        log.warning("%s of %s: how many inputs have a label cannot be counted: %s", definition.name, key, error)
        return None
    return len(inputs), int(np.count_nonzero(known_among(inputs, known)))
