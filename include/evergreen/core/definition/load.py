"""Read model definitions from disk, with errors that name file, line and field."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from evergreen.core.definition.model import ModelDefinition
from evergreen.core.definition.training import BUILT_IN
from evergreen.errors import DefinitionError

FILE = "model.yaml"
CANDIDATES = "candidates.py"
# The C parser reads a definition in half a millisecond: every DAG file reads every definition.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def models_dir() -> Path:
    """Folder of the model definitions: `EVERGREEN_MODELS_DIR`, or `include/models` beside the package."""
    configured = os.environ.get("EVERGREEN_MODELS_DIR")
    return Path(configured) if configured else Path(__file__).resolve().parents[3] / "models"


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
    path = folder / name / FILE
    if not (name.isidentifier() and path.is_file()):
        known = ", ".join(list_models(folder)) or "none"
        raise DefinitionError(f"no model {name[:60]!r} below {folder}; known models: {known}")
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=512)
def _read(path: Path, modified: int, size: int) -> ModelDefinition:
    """One process asks for one definition many times (each DAG file, each task): read again only what changed."""
    return read_definition(path)


def read_definition(path: Path) -> ModelDefinition:
    """The definition in the file `path`; raises as `load_definition`."""
    root, raw = _parse(path)
    try:
        definition = ModelDefinition.model_validate({**raw, "folder": path.parent})
    except ValidationError as error:
        raise DefinitionError("\n".join(_describe(path, root, fault) for fault in error.errors())) from None
    if definition.name != path.parent.name:
        raise DefinitionError(
            f"{path}:{_line(root, ('name',))}: name: {definition.name!r} differs from its folder "
            f"{path.parent.name!r}; make them the same"
        )
    _check_candidates(path, root, definition)
    return definition


def _check_candidates(path: Path, root: yaml.MappingNode, definition: ModelDefinition) -> None:
    """Raise DefinitionError if there is no file that could define the own candidates. What is in it, `fit` sees."""
    own = definition.training.own_candidates
    if own and not (path.parent / CANDIDATES).is_file():
        raise DefinitionError(
            f"{path}:{_line(root, ('training', 'candidates'))}: training.candidates: {', '.join(own)}: built in are "
            f"{', '.join(BUILT_IN)}, and there is no {CANDIDATES} beside model.yaml that could define others; correct "
            "the name, or write that file (docs/candidates.md)"
        )


def _parse(path: Path) -> tuple[yaml.MappingNode, dict[Any, Any]]:
    """The file's nodes, which know their lines, and its values."""
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        try:
            root = loader.get_single_node()
            if not isinstance(root, yaml.MappingNode):
                raise DefinitionError(f"{path}:1: expected fields such as `name:` at the top level, found none")
            _refuse_duplicates(path, root)
            return root, loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise DefinitionError(f"{path}:1: not valid YAML: {error}") from None
    except OSError as error:
        raise DefinitionError(
            f"{path} cannot be read: {error.strerror}; check that it exists and may be read"
        ) from None


def _refuse_duplicates(path: Path, node: yaml.Node) -> None:
    """A field given twice would silently take its last value, and could so switch a guard off."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(path, item)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise DefinitionError(f"{path}:{line}: {name}: given twice, first in line {seen[name]}; remove one")
            seen[name] = line
            _refuse_duplicates(path, value)


def _describe(path: Path, root: yaml.MappingNode, fault: Any) -> str:
    location = tuple(part for part in fault["loc"])
    field = ".".join(str(part) for part in location) or "(whole file)"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "unknown field; check its spelling against docs/model-definition.md"
    elif fault["type"] == "missing":
        message = "required field is missing"
    return f"{path}:{_line(root, location)}: {field}: {message}"


def _line(root: yaml.Node, location: tuple[Any, ...]) -> int:
    """Line (from 1) of the deepest part of `location` that stands in the file."""
    node, line = root, root.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return int(line)
