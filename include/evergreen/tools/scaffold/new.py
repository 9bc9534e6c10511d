"""Write a new model's folder, whole or not at all, and only where it works on the file it was made from."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.load import models_dir, read_definition
from evergreen.core.definition.model import NAME
from evergreen.core.definition.sections import CsvSection
from evergreen.errors import BadInputError, DefinitionError, RefusedError
from evergreen.loop.features.compute import compute
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.plan import Asked, Plan, plan
from evergreen.tools.scaffold.render import texts

_TRIED_ROWS = 1_000


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
    if not re.fullmatch(NAME, asked.name):
        raise BadInputError(
            f"{asked.name!r} cannot be a model's name: take small letters, digits and underscores, a letter first and "
            "63 at most"
        )
    target = (folder or models_dir()) / asked.name
    if target.exists():
        raise RefusedError(f"{target} is there already and stays as it is; choose another name, or remove it first")
    file = _read(asked, data, form or CsvSection(), time_format)
    types = file.types()
    for option, column in _asked_columns(asked):
        file.check_column(option, column)
    decided = plan(asked, types, file.frame(types), dt.datetime.now(dt.UTC).date())
    decided = replace(decided, unread=file.left_out, csv=file.form.model_dump(exclude_defaults=True))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as scratch:
        made = Path(scratch) / asked.name
        made.mkdir()
        for name, text in texts(decided).items():
            (made / name).write_text(text, encoding="utf-8")
        try:
            _try(read_definition(made / "model.yaml"), file)
        except DefinitionError as error:  # the file that it names is gone by the time that somebody reads this
            raise DefinitionError(str(error).replace(f"{made}/", "")) from None
        made.rename(target)
    return decided, target


def _read(asked: Asked, data: Path, form: CsvSection, time_format: str | None) -> DataFile:
    """The file, whose time column holds times."""
    file = DataFile(data, form)
    if time_format:
        file.declare_times(asked.time, time_format)
    file.check_column("--time", asked.time)
    file.check_time("--time", asked.time)
    return file


def _asked_columns(asked: Asked) -> list[tuple[str, str]]:
    named = [("--target", asked.target), ("--entity", asked.entity), *(("--later", name) for name in asked.later)]
    return [(option, name) for option, name in named if name]


def _try(definition: ModelDefinition, file: DataFile) -> None:
    """Raise where the new files do not work on the beginning of `file`."""
    for suite in ("inputs", "labels", "features"):
        load_expectations(definition, suite)
    inputs, labels = (file.rows_of(definition, table) for table in ("inputs", "labels"))
    history = inputs.head(0).merge(labels.head(0), on=definition.feed.entity, suffixes=("", "_label"))
    compute(definition, inputs.head(_TRIED_ROWS), history)
