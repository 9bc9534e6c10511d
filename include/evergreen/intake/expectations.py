"""Load the expectations a team wrote for its model: `include/models/<name>/expectations.py`."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from evergreen.definition import ModelDefinition
from evergreen.definition.code import spec_of
from evergreen.errors import DefinitionError

FILE = "expectations.py"
SuiteName = Literal["inputs", "labels", "features"]


def load_expectations(definition: ModelDefinition, suite: SuiteName) -> list[Any]:
    """The Great Expectations expectations that `def <suite>()` of the model's `expectations.py` returns.

    Raises:
        DefinitionError: the file or the function is missing, or it does not return a list of expectations.
    """
    from great_expectations.expectations.expectation import Expectation

    path = definition.folder / FILE
    module = _load(path)
    function = getattr(module, suite, None)
    if not callable(function):
        raise DefinitionError(f"{path}: there is no function {suite}(); it returns the expectations on {suite}")
    try:
        expectations = function()
    except Exception as error:
        raise DefinitionError(f"{path}: {suite}() raised {type(error).__name__}: {error}") from error
    if not isinstance(expectations, list) or not all(isinstance(e, Expectation) for e in expectations):
        raise DefinitionError(f"{path}: {suite}() must return a list of great_expectations expectations")
    return expectations


def _load(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise DefinitionError(f"{path} is missing: it says what inputs, labels and features must look like") from None
    return _execute(path, hashlib.sha256(source).hexdigest())


@lru_cache(maxsize=64)
def _execute(path: Path, digest: str) -> ModuleType:
    """Run the file once for each of its versions (`digest`)."""
    spec = spec_of(f"evergreen_expectations_{digest[:16]}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except Exception as error:
        raise DefinitionError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module
