"""Names of the objects in the store, relative to its URL.

No part of a name comes from file content, and every part is checked: a name cannot leave the store.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar, cast

from evergreen.core.names import ObjectName, PartitionKey, Uri
from evergreen.core.values import TableName
from evergreen.errors import BadInputError

Name = TypeVar("Name", ObjectName, Uri)
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,127}")
_BESIDE = (
    (re.compile(r"(^|/)profile/((?:[^/]+/){3}[^/]+)-v[0-9]+\.json$"), r"\1clean/\2.parquet"),
    (re.compile(r"(^|/)raw/((?:[^/]+/){3}[^/]+)\.parts/[^/]+$"), r"\1raw/\2.parts.json"),
    (re.compile(r"(^|/)quarantine/((?:[^/]+/){3}[^/]+)/sample-([^/]+)\.json$"), r"\1validation/\2-\3.json"),
)
FOLDERS = (
    "raw", "clean", "profile", "quarantine", "validation", "predictions", "reference", "pseudonyms", "reports", "code",
    "current", "references",
)  # fmt: skip
"""Beginnings of names; the model's is what follows."""


def join(*parts: str) -> ObjectName:
    """The parts joined by '/'.

    Raises:
        BadInputError: a part is empty, too long, starts with a dot or holds anything but letters, digits and ._=-
    """
    for part in parts:
        if not _PART.fullmatch(part) or ".." in part:
            raise BadInputError(f"{part[:60]!r} cannot be part of an object's name; use letters, digits and . _ = -")
    return ObjectName("/".join(parts))


def raw(model: str, table: TableName, key: PartitionKey, content_hash: str, suffix: str) -> ObjectName:
    """Immutable copy of a landed file; `suffix` is parquet, csv, ... or `PARTS`."""
    return join("raw", model, table, key, f"{content_hash[:16]}.{suffix}")


PARTS = "parts.json"
"""Suffix of a raw copy that lists part files"""


UNREADABLE = "unreadable.json"
"""Suffix of a raw copy of what could not be read at all: the reasons"""


def raw_parts(name: ObjectName, hashes: Sequence[str], suffix: str) -> list[ObjectName]:
    """Immutable copies of the part files that the raw copy `name` (of the suffix `PARTS`) lists, in its order."""
    folder, _, last = name.removesuffix(".json").rpartition("/")
    return [ObjectName(f"{folder}/{join(last, f'{n:05d}-{digest[:16]}.{suffix}')}") for n, digest in enumerate(hashes)]


def clean(model: str, table: TableName, key: PartitionKey, content_hash: str, suite_hash: str) -> ObjectName:
    """Accepted rows of a partition version, with the definition's dtypes."""
    return join("clean", model, table, key, f"{content_hash[:16]}-{suite_hash[:8]}.parquet")


def profile(
    model: str, table: TableName, key: PartitionKey, content_hash: str, suite_hash: str, version: int
) -> ObjectName:
    """What the accepted rows held, in numbers; `version` is that of the format."""
    return join("profile", model, table, key, f"{content_hash[:16]}-{suite_hash[:8]}-v{version}.json")


def quarantine(model: str, table: TableName, key: PartitionKey, content_hash: str, name: str) -> ObjectName:
    """What is kept of a quarantined partition version: sample rows, rejected rows."""
    return join("quarantine", model, table, key, content_hash[:16], name)


def validation(model: str, stage: str, key: PartitionKey, content_hash: str, suite_hash: str) -> ObjectName:
    """Great Expectations result; `stage` is inputs, labels or features."""
    return join("validation", model, stage, key, f"{content_hash[:16]}-{suite_hash[:8]}.json")


def data_docs(validation_name: Name) -> Name:
    """The page of the Great Expectations result `validation_name`, which lies beside it. Also from URI to URI."""
    return cast("Name", validation_name.removesuffix(".json") + ".html")


def validation_of(data_docs_name: Name) -> Name:
    """The reverse of `data_docs`."""
    return cast("Name", data_docs_name.removesuffix(".html") + ".json")


def named_with(name: str) -> str:
    """The object by which rows of the ledger name `name`: itself, unless it is written beside another object.

    A profile goes with the accepted rows it is of, the sample of a quarantined partition with its validation result.
    Also from URI to URI.
    """
    for pattern, owner in _BESIDE:
        name = pattern.sub(owner, name)
    return name


def prediction(model: str, key: PartitionKey, snapshot: int, version: int) -> ObjectName:
    """Predictions of one snapshot by one model version."""
    return join("predictions", model, key, f"snapshot={snapshot}-version={version}.parquet")


def current(model: str, sink: str, name: str) -> ObjectName:
    """Predictions that are replaced by newer ones under a name that stays: `name` is a key or `newest`."""
    return join("current", model, sink, f"{name}.parquet")


def reference(model: str, version: int) -> ObjectName:
    """Sample of the data a model version was trained and judged on, which drift is measured against."""
    return join("reference", model, f"version={version}.parquet")


def reference_table(model: str, name: str, stamp: str, content_hash: str, suffix: str) -> ObjectName:
    """A version of a reference table: the immutable copy of what landed, or (`clean.parquet`) its accepted rows."""
    return join("references", model, name, stamp, f"{content_hash[:16]}.{suffix}")


def feature_code(model: str, code_hash: str, content_hash: str) -> ObjectName:
    """A kept copy of feature code."""
    return join("code", model, f"{code_hash[:16]}-{content_hash[:8]}.zip")


def pseudonym_key(model: str) -> ObjectName:
    """Fingerprint of the key that the model's tokens are made with."""
    return join("pseudonyms", model, "key.json")


def report(model: str, key: PartitionKey, name: str) -> ObjectName:
    """A report a person opens; `name` has its suffix."""
    return join("reports", model, key, name)
