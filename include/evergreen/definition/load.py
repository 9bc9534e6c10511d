"""Read model definitions from disk, with errors that name file, line and field."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from evergreen.definition.model import ModelDefinition
from evergreen.errors import DefinitionError

FILE = "model.yaml"


def models_dir() -> Path:
    """Folder of the model definitions: `EVERGREEN_MODELS_DIR`, or `include/models` beside the package."""
    configured = os.environ.get("EVERGREEN_MODELS_DIR")
    return Path(configured) if configured else Path(__file__).resolve().parents[2] / "models"


def list_models(folder: Path | None = None) -> list[str]:
    """Names of the models that have a definition, sorted."""
    folder = folder or models_dir()
    return sorted(p.parent.name for p in folder.glob(f"*/{FILE}")) if folder.is_dir() else []


def load_definition(name: str, folder: Path | None = None) -> ModelDefinition:
    """The definition of the model `name`.

    Raises:
        DefinitionError: there is no such model, or its `model.yaml` is wrong; every fault is listed with its line.
    """
    folder = folder or models_dir()
    known = list_models(folder)
    if name not in known:
        raise DefinitionError(f"no model {name!r} below {folder}; known models: {', '.join(known) or 'none'}")
    return read_definition(folder / name / FILE)


def read_definition(path: Path) -> ModelDefinition:
    """The definition in the file `path`; raises as `load_definition`."""
    raw = _parse(path)
    try:
        definition = ModelDefinition.model_validate({**raw, "folder": path.parent})
    except ValidationError as error:
        faults = [_describe(path, raw, fault) for fault in error.errors()]
        raise DefinitionError("\n".join(faults)) from None
    if definition.name != path.parent.name:
        line = _line(raw, ("name",))
        raise DefinitionError(
            f"{path}:{line}: name: {definition.name!r} differs from its folder {path.parent.name!r}; make them the same"
        )
    return definition


def _parse(path: Path) -> CommentedMap:
    try:
        raw = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{path}:1: not valid YAML: {error}") from None
    if not isinstance(raw, CommentedMap):
        raise DefinitionError(f"{path}:1: expected fields such as `name:` at the top level, found {type(raw).__name__}")
    return raw


def _describe(path: Path, raw: CommentedMap, fault: Any) -> str:
    location = tuple(part for part in fault["loc"])
    field = ".".join(str(part) for part in location) or "(whole file)"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "unknown field; check its spelling against docs/model-definition.md"
    elif fault["type"] == "missing":
        message = "required field is missing"
    return f"{path}:{_line(raw, location)}: {field}: {message}"


def _line(raw: CommentedMap, location: tuple[Any, ...]) -> int:
    """Line (from 1) of the deepest part of `location` that stands in the file."""
    node: Any = raw
    line: int = raw.lc.line + 1
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
            node = node[part]
        else:
            break
    return line
