"""Copy what landed into the store, where nothing changes it, and give it its version in the ledger."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import check_key
from evergreen.core.definition.query import query_of
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries.partitions import newest
from evergreen.core.ledger.tables import PartitionVersion
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import Store, layout
from evergreen.core.store.objects import sha256
from evergreen.errors import UnavailableError
from evergreen.loop.intake import lake, pseudonyms
from evergreen.loop.intake.database.note import note_of
from evergreen.loop.intake.drop_content import chunks_of, content_of, describe_parts
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.landed_folder import LAKES
from evergreen.loop.intake.landing_zone import Drop, explain_wait, find_drop
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.raw_parts import keep, list_of
from evergreen.loop.intake.reading.file_types import is_text
from evergreen.loop.intake.reading.parts import Content, Parts
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")


@dataclass(frozen=True)
class Received:
    """A version of a landed partition, and whether this call made it."""

    partition_version_id: int
    model: str
    table: TableName
    key: PartitionKey
    version: int
    content_hash: str
    bytes: int
    rows: int | None
    """None until it was validated, and if it cannot be read"""
    raw_uri: Uri
    new: bool
    """False: the same bytes had been received before"""


def receive(
    definition: ModelDefinition, table: TableName, key: PartitionKey, *, settings: Settings, run_url: str | None = None
) -> Received:
    """Receive `table` of the partition `key` from the landing zone.

    The same bytes as the newest version's are that version; other bytes are the next one. A file beyond
    `LIMITS.file_bytes` is recorded where it landed and not copied: validation quarantines it. So is one whose personal
    columns cannot be replaced by tokens; of others the copy holds tokens.

    Raises:
        PartitionKeyError: `key` is not a partition of the model's calendar.
        SettingsError: the table has personal columns, and their key is missing or another one than before.
        UnavailableError: nothing complete has landed and nothing was received before, or the file changed meanwhile.
    """
    check_key(definition, key)
    drop = find_drop(settings.landing_url, definition.feed.name, table, key)
    if drop is None:
        return _received_before(definition, table, key, settings)
    ledger = Ledger.from_settings(settings)
    with ledger.transaction() as session:
        before = newest(session, definition.name, table, key)
    copied = _copy(definition, table, key, drop, before, settings)
    with ledger.lock("partition", definition.name, table, key) as session:
        known = newest(session, definition.name, table, key)
        if known is not None and (known.content_hash, known.raw_uri) == (copied.content_hash, copied.raw_uri):
            log.info("%s of %s: these bytes are version %d already, nothing to copy", table, key, known.version)
            if drop.modified != known.landed_at:
                known.landed_again_at = drop.modified
            return _received(known, new=False)
        row = PartitionVersion(
            model=definition.name,
            table=table,
            key=key,
            version=known.version + 1 if known else 1,
            content_hash=copied.content_hash,
            landed_uri=drop.uri,
            raw_uri=copied.raw_uri,
            bytes=drop.size,
            landed_at=drop.modified,
            run_url=run_url,
            source=copied.source,
        )
        _check_copy(copied.raw_uri, settings)
        session.add(row)
        session.flush()
    log.info(
        "%s of %s: received %s (%s bytes, landed %s UTC) as version %d; copy: %s",
        table, key, drop.uri, f"{drop.size:,}", f"{drop.modified:%Y-%m-%d %H:%M:%S}", row.version, copied.raw_uri,
    )  # fmt: skip
    return _received(row, new=True)


def _received_before(definition: ModelDefinition, table: TableName, key: PartitionKey, settings: Settings) -> Received:
    """A task run again after the landing zone was cleared finds what it received the first time."""
    with Ledger.from_settings(settings).transaction() as session:
        known = newest(session, definition.name, table, key)
    if known is None:
        raise UnavailableError(explain_wait(settings.landing_url, definition.feed.name, table, key))
    log.info("%s of %s: nothing new in the landing zone, version %d was received before", table, key, known.version)
    return _received(known, new=False)


@dataclass(frozen=True)
class _Copied:
    """What is kept of a drop."""

    content_hash: str
    """SHA-256 of the copy, or of what stands for a file that is not copied"""
    raw_uri: Uri
    source: dict[str, Any] | None = None
    """Which version of a lake's table it is"""


def _copy(
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    drop: Drop,
    known: PartitionVersion | None,
    settings: Settings,
) -> _Copied:
    """Copy the landed bytes into the store; `known` is the newest version so far."""
    if drop.suffix in LAKES:
        return _copy_lake(definition, table, key, drop, known, settings)
    if drop.size > LIMITS.file_bytes:
        # Not even read: size and time of writing stand for its content.
        mark = f"{drop.uri} {drop.size} {drop.modified.isoformat()}"
        return _Copied(sha256(mark.encode()), drop.uri)
    if drop.parts and not pseudonyms.personal(definition, table):
        return _copy_parts(definition, table, key, drop, settings)
    data, suffix = content_of(drop)
    if not isinstance(data, Parts):
        _check_unchanged(definition, table, key, drop, settings, len(data) == drop.size)
    source = note_of(drop, sha256(data)) if isinstance(data, bytes) and query_of(definition, table) else None
    return _keep(definition, table, key, drop, data, suffix, settings, source)


def _check_unchanged(
    definition: ModelDefinition, table: TableName, key: PartitionKey, drop: Drop, settings: Settings, whole: bool = True
) -> None:
    if find_drop(settings.landing_url, definition.feed.name, table, key) != drop or not whole:
        raise UnavailableError(
            f"{drop.uri} changed while it was read; nothing was recorded, the next try reads it again"
        )


def _keep(
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    drop: Drop,
    data: Content,
    suffix: str,
    settings: Settings,
    source: dict[str, Any] | None = None,
) -> _Copied:
    """Write the copy, with tokens in personal columns."""
    if pseudonyms.personal(definition, table):
        secret = pseudonyms.key_of(settings, definition)
        try:
            found = pseudonyms.replace(data, suffix, definition, table, secret)
        except UnfitFileError as error:
            rules = ", ".join(failure.name for failure in error.failures)
            log.warning("%s: personal columns cannot be replaced (%s), so that no copy is kept", drop.uri, rules)
            said = list_of(describe_parts(drop), suffix) if isinstance(data, Parts) else data
            return _Copied(sha256(said), drop.uri, source)
        if isinstance(data, Parts):
            _check_unchanged(definition, table, key, drop, settings)
        data, suffix = found, f"{pseudonyms.MARK}.{'csv' if is_text(suffix) else suffix}"
    if isinstance(data, Parts):
        raise TypeError("part files are copied one by one")
    content_hash = sha256(data)
    name = layout.raw(definition.name, table, key, content_hash, suffix)
    return _Copied(content_hash, Store.from_settings(settings).write(name, data), source)


def _copy_parts(
    definition: ModelDefinition, table: TableName, key: PartitionKey, drop: Drop, settings: Settings
) -> _Copied:
    """Each file is read twice, a little at a time: once for its checksum, once to copy it."""
    listed = list_of(describe_parts(drop), drop.suffix)
    content_hash = sha256(listed)
    name = layout.raw(definition.name, table, key, content_hash, layout.PARTS)
    store = Store.from_settings(settings)
    if not store.exists(name):
        keep(store, name, listed, lambda part: chunks_of(Uri(f"{drop.uri}/{part}")))
    _check_unchanged(definition, table, key, drop, settings)
    return _Copied(content_hash, store.uri(name))


def _copy_lake(
    definition: ModelDefinition,
    table: TableName,
    key: PartitionKey,
    drop: Drop,
    known: PartitionVersion | None,
    settings: Settings,
) -> _Copied:
    """The table at the version that it has now, as one Parquet file; one that is kept is not read again."""
    before = known if known is not None and _is_kept(known.raw_uri, Store.from_settings(settings)) else None
    try:
        version, data = lake.read(lake.local_path(drop.uri), drop.suffix, before.source if before else None)
    except UnfitFileError as error:
        # Kept as what it says of itself: validation quarantines it with these words.
        data = json.dumps({"unreadable": [failure.to_json() for failure in error.failures]}).encode()
        name = layout.raw(definition.name, table, key, sha256(data), layout.UNREADABLE)
        return _Copied(sha256(data), Store.from_settings(settings).write(name, data))
    source = version.as_source()
    if data is None and before is not None:
        return _Copied(before.content_hash, before.raw_uri, source)
    return _keep(definition, table, key, drop, data or b"", "parquet", settings, source)


def _check_copy(raw_uri: Uri, settings: Settings) -> None:
    """Retention may have removed the same bytes of an earlier version after they were found to be there."""
    store = Store.from_settings(settings)
    if _is_of(raw_uri, store) and not _is_kept(raw_uri, store):
        raise UnavailableError(
            f"{raw_uri} was collected, as an earlier version's copy, while it was received again; nothing was "
            "recorded, the next try writes it again"
        )


def _is_of(raw_uri: Uri, store: Store) -> bool:
    """False of what was too large to be copied, and stayed where it landed."""
    return raw_uri.startswith(store.url + "/")


def _is_kept(raw_uri: Uri, store: Store) -> bool:
    """Whether it is a copy, and retention has not collected it."""
    return _is_of(raw_uri, store) and store.exists(store.name(raw_uri))


def _received(row: PartitionVersion, *, new: bool) -> Received:
    return Received(
        partition_version_id=row.id,
        model=row.model,
        table=row.table,
        key=row.key,
        version=row.version,
        content_hash=row.content_hash,
        bytes=row.bytes,
        rows=row.rows,
        raw_uri=row.raw_uri,
        new=new,
    )
