"""Load the rules a team wrote for its model: `include/models/<name>/expectations.py`."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.team_code import spec_of
from evergreen.core.values import SuiteName
from evergreen.errors import DefinitionError
from evergreen.loop.intake.comparisons.rules import Comparison

FILE = "expectations.py"


def load_expectations(definition: ModelDefinition, suite: SuiteName) -> list[Any]:
    """What `def <suite>()` of the model's `expectations.py` returns: Great Expectations' expectations and comparisons.

    Raises:
        DefinitionError: the file or the function is missing, it does not return a list of expectations, or a
            comparison does not fit the definition.
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
    if not isinstance(expectations, list) or not all(isinstance(e, Expectation | Comparison) for e in expectations):
        raise DefinitionError(
            f"{path}: {suite}() must return a list of great_expectations expectations and of comparisons "
            "(evergreen.expectations)"
        )
    for rule in expectations:
        if isinstance(rule, Comparison):
            _check(rule, definition, suite, path)
    return expectations


def load_reference_expectations(definition: ModelDefinition, name: str) -> list[Any]:
    """The expectations on the reference `name`: those that `def references()` returns under it, if there is one.

    Raises:
        DefinitionError: it returns something else than {name: list of expectations}, or names no reference.
    """
    from great_expectations.expectations.expectation import Expectation

    path = definition.folder / FILE
    function = getattr(_load(path), "references", None)
    if function is None:
        return []
    try:
        found = function()
    except Exception as error:
        raise DefinitionError(f"{path}: references() raised {type(error).__name__}: {error}") from error
    suites = found.values() if isinstance(found, dict) else [None]
    if not all(isinstance(suite, list) and all(isinstance(e, Expectation) for e in suite) for suite in suites):
        raise DefinitionError(
            f"{path}: references() must return {{name: [expectations]}}, with expectations of great_expectations only"
        )
    if strangers := [str(other) for other in found if other not in definition.feed.references]:
        raise DefinitionError(f"{path}: references(): {', '.join(strangers)} is not in feed.references of model.yaml")
    return list(found.get(name, []))


def _check(rule: Comparison, definition: ModelDefinition, suite: SuiteName, path: Path) -> None:
    """Raise DefinitionError if a comparison cannot be asked of this table."""
    what = f"{path}: {suite}(): {type(rule).__name__}"
    if suite == "features":
        raise DefinitionError(f"{what} compares with accepted partitions; write it in inputs() or labels()")
    if rule.about_other_table and suite != "labels":
        raise DefinitionError(f"{what} is about labels; write it in labels()")
    columns = definition.feed.tables[suite].columns
    if strangers := [name for name in rule.subjects if name not in columns]:
        raise DefinitionError(f"{what}: there is no column {', '.join(strangers)} in feed.tables.{suite} of model.yaml")
    hidden = [name for name in rule.subjects if name in definition.feed.personal and rule.fits]
    if hidden:
        raise DefinitionError(f"{what}: {', '.join(hidden)} is personal (feed.personal): its values are not compared")
    if unfit := [name for name in rule.subjects if rule.fits and columns[name] not in rule.fits]:
        raise DefinitionError(f"{what} is for columns of type {' or '.join(rule.fits)}, not for {', '.join(unfit)}")


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
        raise DefinitionError(f"{path} cannot be imported: {type(error).__name__}: {error}{_moved(error)}") from error
    return module


def _moved(error: Exception) -> str:
    """What to do about an import of the module that held the comparisons in release 0.1.0."""
    missing = isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("evergreen.intake")
    return "; import the comparisons from evergreen.expectations" if missing else ""
