"""What lies in the landing zone of reference tables: landing/<feed>/references/<name>/<stamp>/<name>.parquet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.references import FOLDER, Stamp, read_stamp
from evergreen.core.store.layout import join
from evergreen.errors import BadInputError
from evergreen.loop.intake.landing_zone import Drop, Folder, explain_wait, list_feed


@dataclass(frozen=True)
class Landed:
    """A version of a reference that has landed whole."""

    name: str
    stamp: Stamp
    drop: Drop

    @property
    def what(self) -> str:
        """What it is called: 'reference prices of 2024-03-01'."""
        return f"reference {self.name} of {self.stamp.text}"


@dataclass(frozen=True)
class Zone:
    """All of a model's references in the landing zone."""

    landed: tuple[Landed, ...]
    """By name, in the order in which they were known"""
    strays: Mapping[str, str]
    """<name>/<folder> -> why this folder is no version"""


def folder_of(landing_url: str, feed: str, name: str, stamp: str) -> str:
    """URI of the folder of a version; raises BadInputError if a name would leave the landing zone."""
    return f"{landing_url.rstrip('/')}/{join(feed, FOLDER, name, stamp)}"


def list_references(definition: ModelDefinition, landing_url: str, settled: dt.datetime | None = None) -> Zone:
    """What has landed of the references of `definition`; folders written after `settled` are no strays yet.

    Raises:
        UnavailableError: the landing zone does not answer.
    """
    landed: list[Landed] = []
    strays: dict[str, str] = {}
    root = f"{landing_url.rstrip('/')}/{join(definition.feed.name, FOLDER)}"
    for name in definition.feed.references:
        folders = list_feed(root, name, [name])
        found = []
        for text, folder in folders.items():
            try:
                stamp = read_stamp(definition.partitions, text)
            except BadInputError as error:
                if _is_left(text, folder, settled):
                    strays[f"{name}/{text}"] = str(error)
                continue
            if name in folder.drops:
                found.append(Landed(name, stamp, folder.drops[name]))
            elif _is_left(text, folder, settled):
                strays[f"{name}/{text}"] = explain_wait(root, name, name, text)
        landed += sorted(found, key=lambda one: one.stamp)
    known = ", ".join(definition.feed.references)
    for name, folder in list_feed(f"{landing_url.rstrip('/')}/{join(definition.feed.name)}", FOLDER, ()).items():
        if name not in definition.feed.references and _is_left(name, folder, settled):
            strays[name] = f"it is no reference of this model; known are {known}"
    return Zone(tuple(landed), strays)


def _is_left(name: str, folder: Folder, settled: dt.datetime | None) -> bool:
    """Whether nobody writes it any more, and it is meant to be read: names with '_' or '.' are the producer's own."""
    return not name.startswith(("_", ".")) and (settled is None or folder.modified <= settled)
