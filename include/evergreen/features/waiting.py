"""May the features of a partition be built, or are look-back labels still missing?"""

from __future__ import annotations

import datetime as dt

from evergreen.definition import ModelDefinition
from evergreen.definition.waiting import Wait
from evergreen.errors import NotReadyError
from evergreen.features.readiness import readiness
from evergreen.settings import Settings


def look(
    definition: ModelDefinition, key: str, *, subject: str, settings: Settings, since: dt.datetime | None = None
) -> Wait:
    """Look once; past the grace period the build goes ahead without what is missing.

    Without accepted inputs there is nothing to wait for: whatever accepts them has a run of its own started.
    """
    try:
        found = readiness(definition, key, settings=settings, now=dt.datetime.now(dt.UTC))
    except NotReadyError as error:
        return Wait("never", str(error))
    return Wait("ready" if found.ready else "waiting", found.reason)
