"""Import a model's Python files as they are now."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any


class _UncachedLoader(SourceFileLoader):
    """Compiles the source each time.

    A bytecode file stands for its source by size and modification second: a file corrected twice in one second would
    run as it was before, and what ran would not be what was hashed.
    """

    def path_stats(self, path: Any) -> Any:
        """Say that nothing is known of the file, so that importlib neither reads nor writes bytecode."""
        raise OSError(f"{path} is compiled afresh")


def spec_of(name: str, path: Path) -> ModuleSpec:
    """The import spec of the file `path` under the module name `name`."""
    spec = importlib.util.spec_from_file_location(name, path, loader=_UncachedLoader(name, str(path)))
    if spec is None:
        raise ImportError(f"{path} cannot be imported as Python")
    return spec
