"""Values of personal columns are replaced by tokens before anything of a landed file is kept.

A token is a keyed hash (HMAC-SHA-256, RFC 2104): the same value gives the same token, so that joins, uniqueness and
categories work, and nobody without the key can find the value again or try values out. It happens before the raw copy
is made, so what comes after (quarantine, samples, reports, mails, logs, models) never holds an original.
"""

from __future__ import annotations

import hmac
import json

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.names import Uri
from evergreen.core.store import Store, layout
from evergreen.core.text import plain
from evergreen.errors import SettingsError
from evergreen.loop.intake.failures import Failure, UnfitFileError, unfit
from evergreen.loop.intake.limits import LIMITS, Limits
from evergreen.loop.intake.reading.file_types import REWRITTEN, is_text
from evergreen.loop.intake.reading.parts import Content
from evergreen.loop.intake.validation.landed_parts import read_content
from evergreen.settings import Settings

MARK = "tokens"
"""Part of a raw copy's name whose personal columns are replaced: `<hash>.tokens.parquet`"""
VARIABLE = "EVERGREEN_PSEUDONYM_KEY"
MIN_KEY = 24
_TOKEN_HEX = 32
"""128 bits: two of a billion values meet with a chance of 10**-21."""


def personal(definition: ModelDefinition, table: TableName) -> tuple[str, ...]:
    """The table's personal columns."""
    columns = definition.feed.tables[table].columns
    return tuple(name for name in definition.feed.personal if name in columns)


def token(key: bytes, feed: str, value: str) -> str:
    """The token of `value`: 32 hex digits. Feeds do not share tokens, so that they cannot be linked."""
    return hmac.digest(key, f"{feed}\x1f{value}".encode("utf-8", "surrogatepass"), "sha256").hex()[:_TOKEN_HEX]


def replace(
    data: Content, suffix: str, definition: ModelDefinition, table: TableName, key: bytes, limits: Limits = LIMITS
) -> bytes:
    """The file `data` with tokens in its personal columns, to be read under `kept_suffix(suffix)`; nulls stay null.

    Only the definition's columns are in the result: one that nobody declared may hold anything.

    Raises:
        UnfitFileError: it cannot be read as such a table, or a personal column holds neither text nor whole numbers.
    """
    hidden = personal(definition, table)
    # What lacks a column is for the verdict to judge, unless the column would have to be replaced.
    landed = read_content(data, suffix, definition, table, limits, lambda name: name not in hidden)
    found = in_table(landed, definition, table, key).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    if is_text(suffix):
        import pyarrow.csv

        pyarrow.csv.write_csv(found, sink, pyarrow.csv.WriteOptions(quoting_style="all_valid"))
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(found, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def kept_suffix(suffix: str) -> str:
    """The suffix under which `replace` writes a file of `suffix`."""
    return REWRITTEN if is_text(suffix) else suffix


def is_replaced(uri: Uri) -> bool:
    """Whether the raw copy `uri` holds tokens."""
    return uri.rpartition(".")[0].endswith(f".{MARK}")


def in_table(found: pa.Table, definition: ModelDefinition, table: TableName, key: bytes) -> pa.Table:
    """The table with tokens in its personal columns; nulls stay null.

    Raises:
        UnfitFileError: a personal column holds neither text nor whole numbers.
    """
    for name in personal(definition, table):
        values = _tokens(found.column(name), name, definition.feed.name, key)
        found = found.set_column(found.schema.get_field_index(name), name, values)
    return found


def _tokens(values: pa.ChunkedArray, name: str, feed: str, key: bytes) -> pa.ChunkedArray:
    """Tokens in place of values. A whole number has the token of its digits, as in a CSV file."""
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        sentence = f"{plain(name)}: holds {plain(kind)} values; a personal column has to hold text or whole numbers"
        raise UnfitFileError(unfit("personal", sentence, observed=plain(kind), expected="text", column=name))
    encoded = pc.dictionary_encode(values.cast(pa.string())).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # of no rows
        return values.cast(pa.string())
    known = pa.array([token(key, feed, value) for value in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([known.take(encoded.indices)])


def key_of(settings: Settings, definition: ModelDefinition) -> bytes:
    """The key of the model's tokens. Its fingerprint is kept at its first use, so that another key is found out.

    Raises:
        SettingsError: there is none, it is too short, or it is not the one that the model's tokens were made with.
    """
    secret = settings.pseudonym_key.get_secret_value() if settings.pseudonym_key else ""
    if len(secret) < MIN_KEY:
        wrong = f"has {len(secret)} characters, fewer than {MIN_KEY}" if secret else "is not set"
        raise SettingsError(
            f"{VARIABLE} {wrong}, and feed {definition.feed.name} has personal columns "
            f"({', '.join(definition.feed.personal)}). Nothing was copied. Generate a key once (`openssl rand -hex "
            "32`), keep it with the deployment's other secrets, and give it to the workers"
        )
    key = secret.encode()
    _same_as_before(settings, definition, hmac.digest(key, b"evergreen pseudonym key", "sha256").hex()[:16])
    return key


def _same_as_before(settings: Settings, definition: ModelDefinition, fingerprint: str) -> None:
    store, name = Store.from_settings(settings), layout.pseudonym_key(definition.name)
    if not store.exists(name):
        from evergreen.core.ledger import Ledger

        with Ledger.from_settings(settings).lock("pseudonym key", definition.name):
            store.write(name, json.dumps({"fingerprint": fingerprint}).encode())  # what is there already stays
    known = json.loads(store.read(name))["fingerprint"]
    if known != fingerprint:
        raise SettingsError(
            f"{VARIABLE} is not the key that the tokens of {definition.name} were made with (fingerprint {known}, now "
            f"{fingerprint}): the same person would get another token than in the partitions before. Nothing was "
            "copied. Set the earlier key again; docs/security.md says how to begin with a new one on purpose"
        )


def unreadable(uri: Uri) -> Failure:
    """What is said of a file whose personal columns could not be replaced. It quotes nothing of the file."""
    sentence = (
        "the file is no table with these columns, so that its personal ones could not be replaced, and nothing of it "
        f"was kept or is quoted: it is where it landed, {uri}. `evergreen check` says what is wrong with it"
    )
    return unfit("personal", sentence, expected="a table with these columns")


def nameless(
    data: Content, suffix: str, definition: ModelDefinition, table: TableName, secret: bytes
) -> tuple[Content, str]:
    """The file as intake would keep it, and its suffix: tokens, of a key that is forgotten, are the personal values."""
    if not personal(definition, table):
        return data, suffix
    try:
        return replace(data, suffix, definition, table, secret), kept_suffix(suffix)
    except UnfitFileError:
        return data, suffix  # for the same reason it does not pass
