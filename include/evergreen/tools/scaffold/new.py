"""Write a new model's folder, whole or not at all, and only if it works on the file it was made from."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.load import models_dir, read_definition
from evergreen.core.definition.local_days import UTC, Clock, zone_of
from evergreen.core.definition.made import CONTENT, EVENT_TIME
from evergreen.core.definition.model import NAME, ColumnType
from evergreen.core.definition.sections import CsvSection
from evergreen.errors import BadInputError, DefinitionError, RefusedError
from evergreen.loop.features.compute import compute
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold import time_parts
from evergreen.tools.scaffold.notes import Note
from evergreen.tools.scaffold.plan import Asked, Plan, plan
from evergreen.tools.scaffold.render import texts

RECORD = ".new.json"
"""What `new` wrote: file -> SHA-256. Only a folder that has it is ever replaced."""
_TRIED_ROWS = 1_000


@dataclass(frozen=True)
class Replaced:
    """A folder of the same name that was there.

    Attributes:
        files: what it held.
        edited: those that somebody had changed, or added, since `new` wrote it.
        kept: where it lies now, if anything in it was edited; None if it is gone.
    """

    files: tuple[str, ...]
    edited: tuple[str, ...]
    kept: Path | None = None


def new(
    asked: Asked,
    data: Path,
    *,
    folder: Path | None = None,
    form: CsvSection | None = None,
    time_format: str | None = None,
) -> tuple[Plan, Path]:
    """Write the folder of the model `asked.name` below `folder` (default: where all models are) from the file `data`.

    `form` says how its text is written, `time_format` how its times are (strptime).

    Raises:
        RefusedError: the folder is there already.
        BadInputError: the file or what is asked of it does not make a model.
        DefinitionError: something that was asked for, or a column's name, cannot stand in a definition.
    """
    place_of(asked.name, folder, force=False)
    file = read_file(data, asked.time, form or CsvSection(), time_format, asked.timezone)
    decided, target, _ = write(asked, file, folder=folder)
    return decided, target


def read_file(data: Path, time: str, form: CsvSection, time_format: str | None, timezone: str = UTC) -> DataFile:
    """The file whose text is written as `form` says, and its times, those of the column `time`, as `time_format` says.

    Times without a zone are those of `timezone`; of two that one may mean, the first.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        zone_of(timezone)
    except ValueError as error:
        raise BadInputError(f"--timezone {error}") from None
    file = DataFile(data, form, Clock(timezone, "first"))
    if time_format:
        file.declare_times(time, time_format)
    return file


def place_of(name: str, folder: Path | None = None, *, force: bool) -> tuple[Path, Replaced | None]:
    """Where the model `name` goes, and what stands there that `force` lets be replaced.

    Raises:
        BadInputError: no model can be called so.
        RefusedError: a folder is there, and is not to be replaced, or was not written by `new`.
    """
    if not re.fullmatch(NAME, name):
        raise BadInputError(
            f"{name!r} cannot be a model's name: take small letters, digits and underscores, a letter first and "
            "63 at most"
        )
    target = (folder or models_dir()) / name
    if not target.exists():
        return target, None
    if not force:
        raise RefusedError(
            f"{target} is there already and stays as it is; choose another name, remove it first, or give --force if "
            "`evergreen new` wrote it"
        )
    record = target / RECORD
    if not record.is_file():
        raise RefusedError(
            f"{target} was not written by `evergreen new` (it has no {RECORD}), so --force leaves it alone; choose "
            "another name, or remove it yourself"
        )
    return target, _there(target, record)


def _there(target: Path, record: Path) -> Replaced:
    try:
        written = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        written = {}
    files = sorted(p for p in target.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p != record)
    names = tuple(str(path.relative_to(target)) for path in files)
    edited = tuple(n for n, path in zip(names, files, strict=True) if written.get(n) != _hash(path.read_bytes()))
    return Replaced(names, edited)


def write(
    asked: Asked, file: DataFile, *, folder: Path | None = None, force: bool = False, decided: Plan | None = None
) -> tuple[Plan, Path, Replaced | None]:
    """Write the folder from `file`, or from what was `decided` of it; raises as `new` and `place_of`.

    A folder that `force` replaces and that somebody has edited is not lost: it is kept below `.replaced`, beside it.
    """
    target, there = place_of(asked.name, folder, force=force)
    decided = decided or look(asked, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as scratch:
        made = Path(scratch) / asked.name
        made.mkdir()
        written = texts(decided)
        for name, text in written.items():
            (made / name).write_text(text, encoding="utf-8")
        try:
            _try(read_definition(made / "model.yaml"), file)
        except DefinitionError as error:  # the file that it names is gone by the time that somebody reads this
            raise DefinitionError(str(error).replace(f"{made}/", "")) from None
        record = {name: _hash(text.encode()) for name, text in written.items()}
        (made / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if there is not None:
            there = _put_aside(target, there, Path(scratch))
        made.rename(target)
    return decided, target, there


def look(asked: Asked, file: DataFile) -> Plan:
    """What follows from `file`; raises as `plan`."""
    types = file.types()
    for name in time_parts.named(asked.time, types):
        file.check_column("--time", name)
    for option, column in _asked_columns(asked):
        file.check_column(option, column)
    frame = file.frame(types)
    parts = time_parts.choose(asked.time, types, frame, asked.timezone)
    if parts:
        decided = _of_parts(asked, parts, types, frame)
    else:
        file.check_time("--time", asked.time)
        decided = plan(asked, types, frame)
    _check_features(decided)
    decided = replace(decided, unread=dict(file.left_out), csv=file.form.model_dump(exclude_defaults=True))
    if not file.shows_twice(types):
        return decided
    text = (
        "times without a zone lie in the hour that the clocks of autumn show twice: they are taken for the first of "
        "the two (calendar.repeated_hour). Rows of the second come an hour early so; times with a zone tell them apart"
    )
    return replace(decided, repeated_hour="first", notes=(*decided.notes, Note("calendar", text)))


def _check_features(decided: Plan) -> None:
    if decided.numeric or decided.categorical or decided.derived:
        return
    out = "; ".join(f"{name}: {why}" for name, why in decided.left_out.items())
    raise BadInputError(
        f"no column can be a feature: beside the target {decided.asked.target!r} and the time {decided.asked.time!r} "
        f"the file has {f'only what tells nothing ({out})' if out else 'no other'}. Join columns to it that are known "
        "when a prediction is needed, such as weather, prices or holidays, or the value of the period before"
    )


def _of_parts(asked: Asked, parts: tuple[str, ...], types: Mapping[str, ColumnType], frame: pd.DataFrame) -> Plan:
    """The plan for a file whose event time is made of the columns `parts`."""
    time_parts.check(parts, types, frame)
    times = time_parts.joined(parts, frame, Clock(asked.timezone, "first"))
    made: dict[str, ColumnType] = {EVENT_TIME: "timestamp"}
    decided = plan(
        replace(asked, time=EVENT_TIME, time_parts=parts), {**made, **types}, frame.assign(**{EVENT_TIME: times})
    )
    return replace(decided, notes=(*decided.notes, time_parts.note(asked.time, parts, types)))


def _put_aside(target: Path, there: Replaced, scratch: Path) -> Replaced:
    """Move the old folder away: to be removed with `scratch`, or to a name of its own if somebody edited it."""
    if not there.edited:
        target.rename(scratch / "replaced")
        return there
    number = 1
    # One level deeper than models are looked for.
    while (kept := target.parent / ".replaced" / f"{target.name}-{number}").exists():
        number += 1
    kept.parent.mkdir(exist_ok=True)
    target.rename(kept)
    return Replaced(there.files, there.edited, kept)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _asked_columns(asked: Asked) -> list[tuple[str, str]]:
    ids = (asked.entity,) if isinstance(asked.entity, str) else asked.entity or ()
    several = [*(("--entity", name) for name in ids if name != CONTENT), *(("--later", name) for name in asked.later)]
    return [(option, name) for option, name in (("--target", asked.target), *several) if name]


def _try(definition: ModelDefinition, file: DataFile) -> None:
    """Raise if the new files do not work on the beginning of `file`."""
    for suite in ("inputs", "labels", "features"):
        load_expectations(definition, suite)
    inputs, labels = (file.rows_of(definition, table) for table in ("inputs", "labels"))
    history = inputs.head(0).merge(labels.head(0), on=definition.feed.entity, suffixes=("", "_label"))
    compute(definition, inputs.head(_TRIED_ROWS), history)
