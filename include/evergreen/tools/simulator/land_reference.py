"""Land a version of a reference table as a producer would: the file whole, `_SUCCESS` last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.references import read_stamp
from evergreen.core.store.objects import publish
from evergreen.errors import BadInputError
from evergreen.loop.intake.landing_zone import SUCCESS, find_drop
from evergreen.loop.intake.reading.file_types import suffix_of
from evergreen.loop.intake.references.landed import folder_of


@dataclass(frozen=True)
class LandedReference:
    """A version in the landing zone."""

    name: str
    stamp: str
    uri: str
    bytes: int
    new: bool
    """False: the same bytes lay there already and were left alone"""


def land_reference(
    definition: ModelDefinition, name: str, file: Path, stamp: str, *, landing_url: str
) -> LandedReference:
    """Land `file` as the version `stamp` of the reference `name`, byte for byte.

    Raises:
        BadInputError: the model has no such reference, `stamp` is none, or the file is of a kind that is not read.
        OSError: the file cannot be read.
    """
    from evergreen.core.store.filesystem import url_to_fs

    if name not in definition.feed.references:
        known = ", ".join(definition.feed.references) or "none"
        raise BadInputError(f"{definition.name} has no reference {name}; feed.references of model.yaml has: {known}")
    stamp = read_stamp(definition.partitions, stamp).text
    suffix = suffix_of(file.name)
    if suffix is None or not file.is_file():
        raise BadInputError(f"{file} is no .csv, .tsv (also .gz) or .parquet file")
    folder, data = folder_of(landing_url, definition.feed.name, name, stamp), file.read_bytes()
    uri = f"{folder}/{name}.{suffix}"
    drop = find_drop(folder.rsplit("/", 2)[0], name, name, stamp)
    if drop is not None and drop.uri == uri and drop.size == len(data):
        fs, path = url_to_fs(uri)
        if fs.cat_file(path) == data:
            return LandedReference(name, stamp, uri, len(data), False)
    publish(uri, data)
    publish(f"{folder}/{SUCCESS}", b"")
    return LandedReference(name, stamp, uri, len(data), True)
