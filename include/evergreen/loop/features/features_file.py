"""A model's `features.py`: loaded from its folder, named by a hash of its bytes and of the files that it needs."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.team_code import spec_of
from evergreen.errors import DefinitionError
from evergreen.loop.features.beside import arguments
from evergreen.loop.features.code_files import FILE, beside, importable, module_names

if TYPE_CHECKING:
    import pandas as pd

    Build = Callable[..., pd.DataFrame]


def code_hash(definition: ModelDefinition) -> str:
    """SHA-256, hex, over the feature code: what feeds a version.

    That is `features.py`, the files beside it that it needs (`code_files.beside`), and what the definition says of
    features and of the feed's columns.

    Raises:
        DefinitionError: the file is missing.
    """
    path = definition.folder / FILE
    if not path.is_file():
        raise DefinitionError(f"{path} is missing; it must define build(inputs, history), see docs/model-definition.md")
    digest = hashlib.sha256(path.read_bytes())
    digest.update(definition.features.model_dump_json().encode())
    tables = {"__all__": {"columns", "max_bad_rows", "aliases"}}  # since when there is a column changes no features
    known: dict[str, Any] = {"entity": True, "event_time": True, "made": True, "tables": tables, "references": True}
    digest.update(definition.feed.model_dump_json(include=known).encode())
    for name, data in beside(definition.folder).items():
        digest.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\0".encode())
    return digest.hexdigest()


def load_build(definition: ModelDefinition) -> Build:
    """The function `build(inputs, history)` of the model's `features.py`, loaded afresh.

    It has the parameters `recent` and `references` too, if the definition asks for `features.recent_inputs` or has
    `feed.references`. It may import the modules beside it, which are loaded afresh too: while it is loaded, and while
    it builds.

    Raises:
        DefinitionError: the file cannot be imported or has no function `build`.
    """
    path = definition.folder / FILE
    name = f"evergreen_features_of_{definition.name}"
    spec, helpers = spec_of(name, path), module_names(definition.folder) if path.is_file() else frozenset[str]()
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    try:
        with importable(definition.folder, helpers):
            spec.loader.exec_module(module)  # type: ignore[union-attr]
    except Exception as error:
        raise DefinitionError(f"{where(error, definition)}: cannot be imported: {error!r}") from error
    build = getattr(module, "build", None)
    if not callable(build):
        raise DefinitionError(f"{path}: there is no function build(inputs, history); see docs/model-definition.md")
    _check_parameters(build, definition)
    return _with_helpers(cast("Build", build), definition.folder, helpers)


def _check_parameters(build: Callable[..., object], definition: ModelDefinition) -> None:
    """Raise DefinitionError unless `build` takes what the definition has it called with."""
    wanted = arguments(definition)
    try:
        inspect.signature(build).bind(None, None, **dict.fromkeys(wanted))
    except TypeError as error:
        raise DefinitionError(
            f"{definition.folder / FILE}: build() cannot be called as build({', '.join(['inputs', 'history', *wanted])}"
            f"), as model.yaml has it ({error}); see docs/what-features-may-read.md"
        ) from None
    except ValueError:  # something callable that tells no signature: the call will show
        return


def _with_helpers(build: Build, folder: Path, helpers: frozenset[str]) -> Build:
    """`build`, within which its helpers can be imported; itself if it has none."""
    if not helpers:
        return build

    @functools.wraps(build)
    def within(inputs: pd.DataFrame, history: pd.DataFrame, **beside: Any) -> pd.DataFrame:
        with importable(folder, helpers):
            return build(inputs, history, **beside)

    return within


def where(error: BaseException, definition: ModelDefinition) -> str:
    """`path:line` of the deepest frame of `error` that lies in the model's `features.py`; the path if none does."""
    path = str(definition.folder / FILE)
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path
