"""What of a model's feed has landed: in the landing zone, or in the database that its definition names."""

from __future__ import annotations

import datetime as dt

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.partition_keys import is_partition
from evergreen.core.definition.query import query_of
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries.partitions import newest_map
from evergreen.core.names import PartitionKey
from evergreen.core.values import TABLES
from evergreen.errors import NotReadyError
from evergreen.loop.intake.landing_zone import list_feed
from evergreen.settings import Settings
from evergreen.tools.start.plan import Landed


def find_landed(definition: ModelDefinition, *, settings: Settings, now: dt.datetime) -> Landed:
    """The partitions whose tables have landed, or came in before; of a query, all that are due at `now` (aware).

    Raises:
        NotReadyError: nothing has landed.
        UnavailableError: the landing zone or the ledger do not answer.
    """
    calendar, feed = definition.partitions, definition.feed.name
    folders = list_feed(settings.landing_url, feed, TABLES)
    found: dict[str, set[PartitionKey]] = {}
    with Ledger.from_settings(settings).transaction() as session:
        for table in TABLES:
            received = set(newest_map(session, definition.name, table))
            found[table] = received | {PartitionKey(key) for key, one in folders.items() if table in one.drops}
    for table, delay in (("inputs", 0), ("labels", definition.feed.label_delay)):
        if query_of(definition, table):
            found[table] |= set(_due(definition, delay, now))
    inputs, labels = (tuple(sorted(k for k in found[table] if is_partition(definition, k))) for table in TABLES)
    if not inputs:
        where = f"{settings.landing_url.rstrip('/')}/{feed}"
        raise NotReadyError(
            f"nothing of {definition.name} has landed in {where}: `evergreen feed land {definition.name} --data FILE` "
            f"lands a file of its past. A partition is a folder {where}/<{calendar.key_in_words}> with its tables and "
            "an empty _SUCCESS"
        )
    return Landed(inputs, labels)


def _due(definition: ModelDefinition, delay: int, now: dt.datetime) -> list[PartitionKey]:
    calendar = definition.partitions
    newest = calendar.shift(calendar.key_of(now), -1 - delay)
    last = min(newest, calendar.last_key) if calendar.last_key else newest
    return calendar.keys(calendar.first_key, last)
