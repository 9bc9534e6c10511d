"""The variant of a model's folder: its files copied aside, some of them replaced and some settings changed."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.load import CANDIDATES, FILE, read_definition
from evergreen.errors import BadInputError, DefinitionError

REPLACEABLE = (FILE, "features.py", CANDIDATES, "expectations.py")
"""Files of a model's folder that a variant may bring itself"""


@dataclass(frozen=True)
class Variant:
    """Another definition of the same model.

    Attributes:
        definition: what the copy aside says.
        changes: what differs, a line each: settings as `field: old -> new`, files as `features.py: +3 -1 lines`.
        diff: the differing files as a unified diff, for the record.
    """

    definition: ModelDefinition
    changes: tuple[str, ...]
    diff: str


def make_variant(
    base: ModelDefinition, place: Path, *, files: Sequence[Path] = (), settings: Mapping[str, Any] | None = None
) -> Variant:
    """Copy the model's folder into `place` and change the copy; the model's own folder stays as it is.

    Args:
        base: the model as it is.
        place: an empty folder that lives as long as the variant.
        files: files named as in a model's folder (`REPLACEABLE`), or folders that hold some of them.
        settings: dotted field of `model.yaml` -> value, such as `training.window` -> 24. They come after `files`.

    Raises:
        BadInputError: a file is absent or has a name that no model's folder knows; a field has no place in the
            file; or nothing differs.
        DefinitionError: the changed definition is wrong.
    """
    copy = place / base.name
    shutil.copytree(base.folder, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for file in _all_files(files):
        shutil.copyfile(file, copy / file.name)
    if settings:
        _change(copy / FILE, settings)
    try:
        definition = read_definition(copy / FILE)
    except DefinitionError as error:
        raise DefinitionError(f"the variant is no model: {str(error).replace(f'{copy}/', '')}") from None
    _check_same_question(base, definition)
    diff = _diff(base.folder, copy)
    changes = (*_changed_fields(base, definition), *_changed_files(base.folder, copy))
    if not changes:
        raise BadInputError(
            f"the variant is {base.name} as it is: give --with a file that differs, --candidates, or --set FIELD=VALUE"
        )
    return Variant(definition, changes, diff)


def _all_files(given: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in given:
        files = [path / name for name in REPLACEABLE if (path / name).is_file()] if path.is_dir() else [path]
        wrong = [file for file in files if file.name not in REPLACEABLE or not file.is_file()]
        if wrong or not files:
            raise BadInputError(
                f"{wrong[0] if wrong else path} is no file that a model's folder has; give {', '.join(REPLACEABLE)}, "
                "or a folder that holds some of them"
            )
        found += files
    return found


def _change(file: Path, settings: Mapping[str, Any]) -> None:
    """Write the fields into the YAML file. Its comments go, in the copy."""
    root = yaml.safe_load(file.read_text(encoding="utf-8"))
    for name, value in settings.items():
        *path, last = name.split(".")
        node = root
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise BadInputError(f"--set {name}: {part} of model.yaml holds a value and no fields")
        node[last] = value
    file.write_text(yaml.safe_dump(root, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _check_same_question(base: ModelDefinition, variant: ModelDefinition) -> None:
    """Two models that answer different questions have no common loss."""
    for field in ("name", "task", "target"):
        ours, theirs = getattr(base, field), getattr(variant, field)
        if ours != theirs:
            raise BadInputError(
                f"the variant's {field} is {theirs!r} and the model's {ours!r}: an experiment compares two ways to "
                "predict one thing. Make it a model of its own (`evergreen new`)"
            )


def _changed_fields(base: ModelDefinition, variant: ModelDefinition) -> list[str]:
    ours, theirs = (_flat(d.model_dump(mode="json", exclude={"folder"})) for d in (base, variant))
    return [
        f"{name}: {ours.get(name)} -> {theirs.get(name)}"
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]


def _flat(node: Any, name: str = "") -> dict[str, Any]:
    """Every field that is no section, by its dotted name."""
    if not isinstance(node, dict):
        return {name: node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _flat(value, f"{name}.{key}" if name else str(key))
    return found


def _changed_files(base: Path, copy: Path) -> list[str]:
    found = []
    for name in REPLACEABLE[1:]:
        lines = _diff_of(base / name, copy / name)
        if lines:
            plus = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
            minus = sum(line.startswith("-") and not line.startswith("---") for line in lines)
            found.append(f"{name}: +{plus} -{minus} lines")
    return found


def _diff(base: Path, copy: Path) -> str:
    return "".join(line for name in REPLACEABLE for line in _diff_of(base / name, copy / name))


def _diff_of(ours: Path, theirs: Path) -> list[str]:
    old, new = (_lines(file) for file in (ours, theirs))
    return list(difflib.unified_diff(old, new, f"definition/{ours.name}", f"variant/{ours.name}"))


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
