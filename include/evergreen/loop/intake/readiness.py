"""Has a table of a partition landed?"""

from __future__ import annotations

import datetime as dt

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.readiness import Wait
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.landing_zone import explain_wait, find_drop
from evergreen.settings import Settings


def look(
    definition: ModelDefinition,
    key: PartitionKey,
    *,
    subject: str,
    settings: Settings,
    since: dt.datetime | None = None,
) -> Wait:
    """Look once for the drop of table `subject`."""
    drop = find_drop(settings.landing_url, definition.feed.name, subject, key)
    if drop is None:
        return Wait("waiting", explain_wait(settings.landing_url, definition.feed.name, subject, key))
    return Wait("ready", f"{subject} of {key} has landed: {drop.uri} ({drop.size:,} bytes)")
