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
from evergreen.core.ledger.queries import collected, labels
from evergreen.core.ledger.queries.labels import Pair
from evergreen.core.ledger.tables import LabelCoverage
from evergreen.core.names import PartitionKey
from evergreen.core.text import share
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.loop.intake.accepted_rows import read_columns
from evergreen.loop.intake.comparisons.label_coverage import known_among
from evergreen.loop.intake.labels import holds
from evergreen.loop.intake.labels.unread import Unread, tell
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")

UNIQUE = "uq_label_coverage_pair"


def review(definition: ModelDefinition, *, settings: Settings) -> None:
    """Bring coverage and what is held back up to date with what is accepted; write the mails that follow.

    A partition whose rows cannot be read, though retention has not removed them, is left unmeasured: it does not
    count, and the next call tries it again. It stops no other.

    Raises:
        UnavailableError: the ledger or the store do not answer; what was measured until then is kept.
    """
    ledger, name = Ledger.from_settings(settings), definition.name
    with ledger.transaction() as session:
        waiting = _unmeasured(session, definition)
    unread: dict[PartitionKey, Unread] = {}
    for key, pair in waiting.items():
        # One transaction each: after an upgrade this reads the whole past, which a task that is killed, or one that
        # runs beside this one, shall not begin anew.
        with ledger.lock("label coverage", name, key) as session:
            if labels.is_measured(session, pair, definition.target):
                continue
            try:
                row = _measure(session, definition, key, pair, settings)
            except _UnreadError as error:
                unread[key] = Unread(labels.pair_id(pair), str(error).rstrip("."))
                continue
            session.execute(insert(LabelCoverage).values(row).on_conflict_do_nothing(constraint=UNIQUE))
    with ledger.lock(holds.LOCK, name) as session:
        tell(session, definition, unread)
        holds.settle(session, definition)


class _UnreadError(Exception):
    """The rows of a pair are there, as far as the ledger knows, and cannot be read now."""


def _unmeasured(session: Session, definition: ModelDefinition) -> dict[PartitionKey, Pair]:
    known = labels.measured(session, definition.name, definition.target)
    found = labels.pairs(session, definition.name)
    return {key: pair for key, pair in found.items() if labels.pair_id(pair) not in known}


def _measure(
    session: Session, definition: ModelDefinition, key: PartitionKey, pair: Pair, settings: Settings
) -> dict[str, Any]:
    """The row of `label_coverage` for one pair."""
    found, names = _count(session, definition, pair, settings), labels.pair_id(pair)
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
        "target": definition.target,
        "inputs": inputs,
        "labelled": labelled,
    }


def _count(session: Session, definition: ModelDefinition, pair: Pair, settings: Settings) -> tuple[int, int] | None:
    """Accepted inputs, and those that have a label which is not null; None if retention has removed their rows.

    Raises:
        _UnreadError: they cannot be read for another reason, which may pass: a disk that is not mounted here, an object
            that is missing or damaged and will be restored, a column that the definition calls otherwise today.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    tables, entity, target = definition.feed.tables, definition.feed.entity, definition.target
    try:
        inputs = read_columns(pair[0][1], settings, tables["inputs"], [entity]).column(entity)
        landed = read_columns(pair[1][1], settings, tables["labels"], [entity, target])
        known = landed.filter(pc.is_valid(landed.column(target))).column(entity)
        return len(inputs), int(np.count_nonzero(known_among(inputs, known)))
    except UnavailableError:
        raise
    # An outage is UnavailableError, so that OSError and ValueError are what decoding a damaged file raises.
    except (EvergreenError, OSError, ValueError, KeyError, pa.ArrowException) as error:
        # Asked of the ledger, and not of the error: what was collected may have landed again since.
        if {pair[0][1].clean_uri, pair[1][1].clean_uri} & collected.gone(session, definition.name):
            return None
        raise _UnreadError(str(error) or type(error).__name__) from error
