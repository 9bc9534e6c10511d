"""Copy what landed into the store, where nothing changes it, and give it its version in the ledger."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import check_key
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries.partitions import newest
from evergreen.core.ledger.tables import PartitionVersion
from evergreen.core.store import Store, layout
from evergreen.core.store.objects import sha256
from evergreen.errors import UnavailableError
from evergreen.loop.intake import pseudonyms
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.landing_zone import Drop, explain_wait, find_drop
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading.file_types import is_text
from evergreen.settings import Settings

log = logging.getLogger("evergreen.intake")


@dataclass(frozen=True)
class Received:
    """A version of a landed partition, and whether this call made it."""

    partition_version_id: int
    model: str
    table: str
    key: str
    version: int
    content_hash: str
    bytes: int
    rows: int | None
    """None until it was validated, and if it cannot be read"""
    raw_uri: str
    new: bool
    """False: the same bytes had been received before"""


def receive(
    definition: ModelDefinition, table: TableName, key: str, *, settings: Settings, run_url: str | None = None
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
    content_hash, raw_uri = _copy(definition, table, key, drop, settings)
    with Ledger.from_settings(settings).lock("partition", definition.name, table, key) as session:
        known = newest(session, definition.name, table, key)
        if known is not None and (known.content_hash, known.raw_uri) == (content_hash, raw_uri):
            log.info("%s of %s: these bytes are version %d already, nothing to copy", table, key, known.version)
            if drop.modified != known.landed_at:
                known.landed_again_at = drop.modified
            return _received(known, new=False)
        row = PartitionVersion(
            model=definition.name,
            table=table,
            key=key,
            version=known.version + 1 if known else 1,
            content_hash=content_hash,
            landed_uri=drop.uri,
            raw_uri=raw_uri,
            bytes=drop.size,
            landed_at=drop.modified,
            run_url=run_url,
        )
        _check_copy(raw_uri, settings)
        session.add(row)
        session.flush()
    log.info(
        "%s of %s: received %s (%s bytes, landed %s UTC) as version %d; copy: %s",
        table, key, drop.uri, f"{drop.size:,}", f"{drop.modified:%Y-%m-%d %H:%M:%S}", row.version, raw_uri,
    )  # fmt: skip
    return _received(row, new=True)


def _received_before(definition: ModelDefinition, table: TableName, key: str, settings: Settings) -> Received:
    """A task run again after the landing zone was cleared finds what it received the first time."""
    with Ledger.from_settings(settings).transaction() as session:
        known = newest(session, definition.name, table, key)
    if known is None:
        raise UnavailableError(explain_wait(settings.landing_url, definition.feed.name, table, key))
    log.info("%s of %s: nothing new in the landing zone, version %d was received before", table, key, known.version)
    return _received(known, new=False)


def _copy(definition: ModelDefinition, table: TableName, key: str, drop: Drop, settings: Settings) -> tuple[str, str]:
    """SHA-256 of the landed bytes and the URI of their copy in the store."""
    if drop.size > LIMITS.file_bytes:
        # Not even read: size and time of writing stand for its content.
        mark = f"{drop.uri} {drop.size} {drop.modified.isoformat()}"
        return sha256(mark.encode()), drop.uri
    data = _read(drop)
    if find_drop(settings.landing_url, definition.feed.name, table, key) != drop or len(data) != drop.size:
        raise UnavailableError(
            f"{drop.uri} changed while it was read; nothing was recorded, the next try reads it anew"
        )
    suffix = drop.suffix
    if pseudonyms.personal(definition, table):
        secret = pseudonyms.key_of(settings, definition)
        try:
            data = pseudonyms.replace(data, suffix, definition, table, secret)
        except UnfitFileError as error:
            rules = ", ".join(failure.name for failure in error.failures)
            log.warning("%s: personal columns cannot be replaced (%s), so that no copy is kept", drop.uri, rules)
            return sha256(data), drop.uri
        suffix = f"{pseudonyms.MARK}.{'csv' if is_text(suffix) else suffix}"
    content_hash = sha256(data)
    name = layout.raw(definition.name, table, key, content_hash, suffix)
    return content_hash, Store.from_settings(settings).write(name, data)


def _check_copy(raw_uri: str, settings: Settings) -> None:
    """Retention may have removed the same bytes of an earlier version after they were found to be there."""
    store = Store.from_settings(settings)
    if raw_uri.startswith(store.url + "/") and not store.exists(store.name(raw_uri)):
        raise UnavailableError(
            f"{raw_uri} was collected, as an earlier version's copy, while it was received again; nothing was "
            "recorded, the next try writes it anew"
        )


def _read(drop: Drop) -> bytes:
    """The landed bytes: no more than were there when it was looked at, and one that shows that it grew."""
    from evergreen.core.store.filesystem import url_to_fs

    if not drop.size:
        return b""  # an object store has no range to give of nothing
    fs, path = url_to_fs(drop.uri)
    try:
        return bytes(fs.cat_file(path, start=0, end=drop.size + 1))
    except OSError as error:
        raise UnavailableError(f"cannot read {drop.uri}: {error.strerror or error}; nothing was recorded") from error


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
