"""What lets a command that lives for seconds begin and end sooner: most of its time is importing libraries."""

from __future__ import annotations

import atexit
import gc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_SELDOM_USED = frozenset({"scipy.stats", "altair", "jsonschema", "mistune"})
"""Great Expectations imports them for three of its sixty expectations and for pages: 1,000 modules."""
_OTHER_SOURCES = frozenset(
    {"azure", "boto3", "botocore", "google", "psycopg2", "pyathena", "pyspark", "snowflake", "sqlalchemy"}
)
"""What Great Expectations looks for, and does without, to read from places that are no data frame: 400 modules."""


def collect_seldom() -> None:
    """Look for garbage after 50,000 new objects in place of 700: imports make millions, and none of them is garbage.

    At the exit nothing is looked for: the process's memory goes as a whole.
    """
    gc.set_threshold(50_000, 20, 50)
    atexit.register(gc.freeze)


def import_seldom_used_when_used() -> None:
    """Have what Great Expectations imports and seldom uses load at its first use, and let it find no other sources.

    Not for a server: of two threads that come to such a module first at once, one may see half of it before Python 3.12
    (`importlib.util.LazyLoader`).
    """
    if not any(isinstance(finder, _AtFirstUse) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AtFirstUse())


class _AtFirstUse(MetaPathFinder):
    """Finds `_SELDOM_USED` as the finders after it do, with a loader that waits for the first use.

    `_OTHER_SOURCES` it hides from Great Expectations alone, and only while that is imported.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in _OTHER_SOURCES and _is_being_imported("great_expectations"):
            raise ModuleNotFoundError(f"{fullname} is not used here", name=fullname)
        if fullname not in _SELDOM_USED:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = importlib.util.LazyLoader(spec.loader)
                return spec
        return None


def _is_being_imported(name: str) -> bool:
    """Whether the module's code is running: it is there, and its import has not come to its end."""
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))
