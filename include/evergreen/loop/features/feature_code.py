"""The code that a version is fed by: the one that it was made from, kept in the store for as long as the model lives.

A change of `features.py` changes what the next version learns from, and nothing that serves: champion, challenger and
versions that served earlier are still fed by their own. The code of today is in the model's folder; another one is read
from the store.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.made import MadeSection
from evergreen.core.definition.model import FeaturesSection, TableSection
from evergreen.core.definition.references import ReferenceSection
from evergreen.core.ledger import Ledger, tables
from evergreen.core.ledger.queries import codes, versions
from evergreen.core.store import Store, layout
from evergreen.core.store.objects import sha256
from evergreen.core.store.scratch import scratch_folder
from evergreen.errors import BadInputError, UnavailableError
from evergreen.loop.features.code_files import EXPECTATIONS, FILE, beside, pack, unpack
from evergreen.loop.features.features_file import code_hash
from evergreen.settings import Settings

log = logging.getLogger("evergreen.features")

SHOWN = 12
"""Digits of a code's hash in words"""
FEED = {"entity", "event_time", "made", "references", "tables"}
"""What of the feed is kept with a code"""


@dataclass(frozen=True)
class FeatureCode:
    """One code that feeds versions."""

    hash: str
    definition: ModelDefinition
    """The definition of today, with features and columns of the feed as they were for this code"""
    kept: tables.FeatureCode | None = None
    """The copy to run; None: it is the code of today, which stands in the model's folder"""

    @property
    def is_today(self) -> bool:
        """Whether it is what stands in the model's folder now."""
        return self.kept is None

    @property
    def short(self) -> str:
        """Its name in words."""
        return self.hash[:SHOWN]


def today(definition: ModelDefinition) -> FeatureCode:
    """The code that stands in the model's folder.

    Raises:
        DefinitionError: there is none.
    """
    return FeatureCode(code_hash(definition), definition)


def of_hash(session: Session, definition: ModelDefinition, wanted: str | None) -> FeatureCode:
    """The code of this hash; that of today if it is not known, or no copy of it was kept (by releases before 0.2)."""
    now = today(definition)
    if wanted is None or wanted == now.hash:
        return now
    row = codes.newest(session, definition.name, wanted)
    return now if row is None else FeatureCode(wanted, _as_then(definition, row), row)


def of_version(session: Session, definition: ModelDefinition, version: int) -> FeatureCode:
    """The code that a version of the registry was made from, as `of_hash` finds it."""
    return of_hash(session, definition, codes.hash_of_version(session, definition.name, version))


def serving(session: Session, definition: ModelDefinition) -> FeatureCode:
    """The code that feeds the champion; that of today while there is none."""
    champion = versions.current_deployment(session, definition.name)
    return today(definition) if champion is None else of_version(session, definition, champion.version)


def feeds_champion(session: Session, code: FeatureCode) -> bool:
    """Whether `code` is what `serving` finds."""
    model = code.definition.name
    champion = versions.current_deployment(session, model)
    wanted = None if champion is None else codes.hash_of_version(session, model, champion.version)
    if wanted is None or (wanted != code.hash and codes.newest(session, model, wanted) is None):
        return code.is_today
    return code.hash == wanted


def serving_code(definition: ModelDefinition, settings: Settings) -> FeatureCode:
    """As `serving`, in a transaction of its own; raises UnavailableError if the ledger does not answer."""
    with Ledger.from_settings(settings).transaction() as session:
        return serving(session, definition)


def definitions_of(
    session: Session, definition: ModelDefinition, built: Iterable[tables.Snapshot]
) -> dict[str, ModelDefinition]:
    """The definition as the code of each snapshot has it, by the code's hash."""
    hashes = {snapshot.code_hash for snapshot in built}
    return {wanted: of_hash(session, definition, wanted).definition for wanted in sorted(hashes)}


def changed_since(session: Session, definition: ModelDefinition, version: int) -> str | None:
    """Hash of the code of today, if no version was ever trained from it and `version` was made from another; else None.

    What is not on record, or was not kept, does not count as another.
    """
    now = today(definition)
    theirs = of_version(session, definition, version)
    if theirs.is_today or codes.was_trained(session, definition.name, now.hash):
        return None
    return now.hash


def _as_then(definition: ModelDefinition, row: tables.FeatureCode) -> ModelDefinition:
    then = row.definition
    now = definition.feed.tables
    tables_then = {
        name: _renamed(TableSection.model_validate(table), now[name]) for name, table in then["feed"]["tables"].items()
    }
    known = {
        "entity": then["feed"]["entity"],
        "event_time": then["feed"]["event_time"],
        "made": MadeSection.model_validate(then["feed"].get("made", {})),
        "references": {
            name: ReferenceSection.model_validate(said) for name, said in then["feed"].get("references", {}).items()
        },
        "tables": tables_then,
    }
    names = (definition.target, *now["labels"].aliases.get(definition.target, ()))
    return definition.model_copy(
        update={
            "features": FeaturesSection.model_validate(then["features"]),
            "target": next((n for n in names if n in tables_then["labels"].columns), definition.target),
            "feed": definition.feed.model_copy(update=known),
        }
    )


def with_gate_columns(then: ModelDefinition, now: ModelDefinition) -> ModelDefinition:
    """`then`, with the columns of the inputs by which the gate of `now` groups rows and which came later.

    It reads rows for a comparison. It builds none: the code of its day does not know these columns.
    """
    known, today = then.feed.tables["inputs"], now.feed.tables["inputs"]
    asked = dict.fromkeys((*now.gate.columns, now.gate.cluster))
    later = [name for name in asked if name is not None and name in today.columns and name not in known.columns]
    if not later:
        return then
    inputs = known.model_copy(
        update={
            "columns": {**known.columns, **{name: today.columns[name] for name in later}},
            "aliases": {**known.aliases, **{name: today.aliases[name] for name in later if name in today.aliases}},
        }
    )
    feed = then.feed.model_copy(update={"tables": {**then.feed.tables, "inputs": inputs}})
    return then.model_copy(update={"feed": feed})


def _renamed(then: TableSection, now: TableSection) -> TableSection:
    """The table as it was, whose columns are found under the names that they have got since."""
    new = {alias: column for column, names in now.aliases.items() for alias in names if column not in then.columns}
    later = {name: (*then.aliases.get(name, ()), new[name]) for name in then.columns if name in new}
    return then.model_copy(update={"aliases": {**then.aliases, **later}}) if later else then


def keep(code: FeatureCode, settings: Settings) -> tables.FeatureCode:
    """See that a copy of `code` is kept, with the expectations of today; the ledger's row of it.

    Raises:
        DefinitionError: `features.py` is missing.
        UnavailableError: ledger or store do not answer, or the code has changed since it was hashed.
    """
    if code.kept is not None:
        return code.kept
    definition = code.definition
    files = {FILE: (definition.folder / FILE).read_bytes(), **beside(definition.folder)}
    if (definition.folder / EXPECTATIONS).is_file():
        files[EXPECTATIONS] = (definition.folder / EXPECTATIONS).read_bytes()
    if code_hash(definition) != code.hash:
        raise UnavailableError(f"the feature code of {definition.name} was changed while it was read; try again")
    data = pack(files)
    ledger, content = Ledger.from_settings(settings), sha256(data)
    with ledger.transaction() as session:
        found = codes.copy(session, definition.name, code.hash, content)
    return found or _write(code, content, data, settings)


def _write(code: FeatureCode, content: str, data: bytes, settings: Settings) -> tables.FeatureCode:
    model = code.definition.name
    uri = Store.from_settings(settings).write(layout.feature_code(model, code.hash, content), data)
    with Ledger.from_settings(settings).lock("feature code", model) as session:
        found = codes.copy(session, model, code.hash, content)
        if found is not None:
            return found
        earlier = codes.newest(session, model, code.hash)
        own = f"code-{code.short}" if codes.some(session, model) else ""
        row = tables.FeatureCode(
            model=model, code_hash=code.hash, content_hash=content, uri=uri,
            folder=earlier.folder if earlier is not None else own,
            definition={
                "features": code.definition.features.model_dump(mode="json"),
                "feed": code.definition.feed.model_dump(mode="json", include=FEED),
            },
        )  # fmt: skip
        session.add(row)
        session.flush()
        log.info("%s: feature code %s is kept in %s", model, code.short, uri)
        return row


@contextmanager
def runnable(code: FeatureCode, settings: Settings) -> Iterator[ModelDefinition]:
    """The definition of `code`, whose folder holds its files as long as the block lasts.

    Raises:
        BadInputError: the copy in the store is gone or is not what was kept.
    """
    if code.kept is None:
        yield code.definition
        return
    data = read(code.kept, settings)
    with scratch_folder("code") as folder:
        unpack(data, folder)
        yield code.definition.model_copy(update={"folder": folder})


def check_code(definition: ModelDefinition, version: int, settings: Settings) -> None:
    """See that the code which feeds a version can be run.

    Raises:
        BadInputError: the copy in the store is gone or is not what was kept.
        UnavailableError: the ledger does not answer.
    """
    with Ledger.from_settings(settings).transaction() as session:
        code = of_version(session, definition, version)
    if code.kept is not None:
        read(code.kept, settings)


def said(session: Session, model: str, version: int, before: int | None = None) -> str:
    """Which code feeds a version, in words; `before`: the version that it replaces."""
    ours = codes.hash_of_version(session, model, version)
    theirs = None if before is None else codes.hash_of_version(session, model, before)
    if ours is None:
        return "not on record"
    changed = theirs is not None and theirs != ours
    return f"{ours[:SHOWN]}, in place of {str(theirs)[:SHOWN]}" if changed else ours[:SHOWN]


def read(kept: tables.FeatureCode, settings: Settings) -> bytes:
    """The archive that a ledger row names.

    Raises:
        BadInputError: the store has it no longer, or has other bytes.
    """
    store, restore = Store.from_settings(settings), "restore the store from a backup, or train a new version"
    try:
        data = store.read(store.name(kept.uri))
    except FileNotFoundError:
        raise BadInputError(f"{kept.uri}, the feature code {kept.code_hash[:SHOWN]}, is gone; {restore}") from None
    if sha256(data) != kept.content_hash:
        raise BadInputError(f"{kept.uri} is not the feature code that was kept; {restore}")
    return data
