"""How complete the labels of each partition are: what the command line prints and the pages show."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.ledger.queries import labels
from evergreen.core.ledger.queries.labels import INCOMPLETE
from evergreen.core.names import PartitionKey


@dataclass(frozen=True)
class CoverageLine:
    """One partition of which inputs and labels are accepted."""

    key: PartitionKey
    inputs: int
    labelled: int | None
    """Accepted inputs with a label; None if retention had removed the rows"""
    coverage: float | None
    """0 to 1"""
    needed: float | None
    """Share that it must reach, if it is held back"""
    held_since: dt.datetime | None
    """Since when its labels are held back; None if they count"""
    one_sided: str | None
    """How its labelled rows differ from the others; None if they are not known to"""
    measured_at: dt.datetime


def coverages(session: Session, model: str) -> list[CoverageLine]:
    """The coverage of what is accepted now, by key, as far as it was measured."""
    held = {hold.key: hold for hold in labels.open_holds(session, model) if hold.cause == INCOMPLETE}
    biases = labels.biases(session, model)
    return [
        CoverageLine(
            key=key,
            inputs=row.inputs,
            labelled=row.labelled,
            coverage=None if row.labelled is None or not row.inputs else row.labelled / row.inputs,
            needed=held[key].needed if key in held else None,
            held_since=held[key].held_at if key in held else None,
            one_sided=biases[row.id].sentence if row.id in biases and biases[row.id].one_sided else None,
            measured_at=row.created_at,
        )
        for key, row in labels.current_coverages(session, model).items()
    ]
