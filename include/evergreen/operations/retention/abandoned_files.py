"""What killed writers left in the store: files written beside their name and never renamed. No row ever names one."""

from __future__ import annotations

import datetime as dt

from evergreen.core.store import Store, layout
from evergreen.core.store.objects import Unfinished
from evergreen.settings import Settings

SAFE_AGE = dt.timedelta(days=1)
"""A file so old has no writer any more: tasks end within hours."""
RULE = "no writer for a day"


def find(model: str, *, settings: Settings, now: dt.datetime) -> list[Unfinished]:
    """Files that a writer of `model` began a day or more before `now` (aware) and never finished, oldest first."""
    store = Store.from_settings(settings)
    found = [file for folder in layout.FOLDERS for file in store.unfinished(f"{folder}/{model}")]
    old = [file for file in found if now - file.modified >= SAFE_AGE]
    return sorted(old, key=lambda file: (file.modified, file.name))


def sweep(found: list[Unfinished], *, settings: Settings) -> int:
    """Remove them; how many there were.

    Raises:
        UnavailableError: there is no store.
    """
    if found:
        Store.from_settings(settings).delete([file.name for file in found])
    return len(found)
