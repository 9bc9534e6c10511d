"""Labels that cannot be counted: an incident of its own, from the first partition to the all-clear."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger import incidents
from evergreen.core.ledger.outbox import AlertBody, Table, owe
from evergreen.core.ledger.queries.labels import PairId
from evergreen.core.names import PartitionKey
from evergreen.core.text import listed

log = logging.getLogger("evergreen.intake")

CAUSE = incidents.Cause("labels", "unread", (), "labels cannot be counted")
MOST_ROWS = 20


@dataclass(frozen=True)
class Unread:
    """A partition whose labels cannot be counted now."""

    pair: PairId
    """Which accepted rows it is about"""
    why: str

    def met(self, key: PartitionKey) -> incidents.Met:
        """The occurrence, which is one for the same rows and the same reason."""
        digest = hashlib.sha256(f"{self.pair}:{self.why}".encode(errors="replace")).hexdigest()[:12]
        return incidents.Met(f"labels-unread:{key}:{digest}", key, self.why)


def tell(session: Session, definition: ModelDefinition, unread: Mapping[PartitionKey, Unread]) -> None:
    """Record `unread`, by key, and that what was unread before can be counted; write the mails that are due."""
    told, now = partial(owe, session, definition), dt.datetime.now(dt.UTC)
    incidents.resolve_others(
        session, definition.name, CAUSE.kind, CAUSE.scope, set(unread), how="they can be counted", owe=told, now=now
    )
    if not unread:
        return
    log.warning(
        "%s: how many inputs have a label cannot be counted now of %s: %s. Their labels do not count until it can; "
        "each look tries again", definition.name, listed([*unread], 8), next(iter(unread.values())).why,
    )  # fmt: skip
    incidents.occur(
        session, definition.name, CAUSE, [one.met(key) for key, one in unread.items()],
        subject="labels cannot be counted, nothing is learned from them", body=body(definition, unread), owe=told,
        now=now,
    )  # fmt: skip


def body(definition: ModelDefinition, unread: Mapping[PartitionKey, Unread]) -> AlertBody:
    """The mail about them. Pure."""
    keys = listed([*unread], 8)
    return AlertBody(
        headline=f"{definition.title}: the labels of {keys} cannot be counted",
        summary=(
            f"How many of the accepted inputs of {keys} have a label cannot be counted, because accepted rows cannot "
            "be read. Until they can, these labels train no challenger, measure no loss and prove no harm; the "
            "champion goes on serving. Each task of the model tries again. An all-clear says that it is over."
        ),
        facts=[("Feed", definition.feed.name), ("Partitions", keys)],
        table=Table(
            columns=["Partition", "What the reading said"],
            rows=[[key, one.why] for key, one in list(unread.items())[:MOST_ROWS]],
        ),
        next_steps=[
            "If an object is missing or damaged, restore it from a backup of the store, or land the partition again.",
            "If only some machines cannot read it, look at their mounts and rights: the store must be one for all.",
            "If a column has another name or type now, give it an alias or its old type in model.yaml.",
        ],
    )
