"""What a backup holds, in words that a restore can check before it writes anything."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from evergreen.errors import BadInputError

FORMAT = 1


class Entry(BaseModel):
    """One file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["store", "dvc", "mlflow", "ledger", "mlflow-database", "git"]
    """Of store, dvc and mlflow: an object below its URL; of ledger and mlflow-database: a dump; of git: a bundle"""
    name: str
    """Path below the part's URL; empty for a dump and a bundle"""
    size: int
    """Bytes"""
    sha256: str
    seen: str
    """How the source looked (size and ETag or time of writing): unchanged, it need not be read again"""


class Manifest(BaseModel):
    """One backup. It holds no secret: `bring` names those that a restored system also needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    taken_at: dt.datetime
    """When the ledger was dumped: what the backup says is true of this instant"""
    versions: dict[str, str]
    """Of evergreen, its code, MLflow, DVC and PostgreSQL"""
    ledger_revision: str
    mlflow_revision: str
    store_url: str
    """The ledger's URIs begin with it; a restore into another store replaces it"""
    landing_url: str
    git_commit: str | None
    """Newest commit of the feature repository; None if it has none"""
    bring: dict[str, str]
    """Name of each secret that is not in here, and what it is needed for"""
    entries: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def only(self, part: str) -> tuple[Entry, ...]:
        """The files of one part."""
        return tuple(entry for entry in self.entries if entry.part == part)


def name_of(taken_at: dt.datetime, data: bytes) -> str:
    """A manifest's file name: its instant, and a hash over its bytes that shows whether they are whole."""
    return f"{taken_at:%Y%m%dT%H%M%SZ}-{hashlib.sha256(data).hexdigest()[:16]}.json"


def parse(name: str, data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        BadInputError: it was changed, cut short, or written by newer code.
    """
    stamp, _, digest = name.removesuffix(".json").rpartition("-")
    if hashlib.sha256(data).hexdigest()[:16] != digest:
        raise BadInputError(f"the manifest {name} is damaged: its bytes are not those of its name. Use another backup")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, e["loc"])) for e in error.errors()[:3])
        raise BadInputError(
            f"the manifest {name} was not written by this version of Evergreen (see {where}); restore with the version "
            "that wrote it, or a newer one"
        ) from None
    if manifest.format != FORMAT:
        raise BadInputError(
            f"the backup {stamp} has format {manifest.format}, this code reads {FORMAT}: use newer code"
        )
    return manifest
