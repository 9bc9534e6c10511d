"""What lets a command that lives for seconds begin sooner: most of its time is importing libraries."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_SELDOM_USED = frozenset({"scipy.stats"})
"""Great Expectations imports it for three of its sixty expectations: 500 modules."""


def collect_seldom() -> None:
    """Look for garbage after 50,000 new objects in place of 700: imports make millions, and none of them is garbage."""
    gc.set_threshold(50_000, 20, 50)


def import_seldom_used_when_used() -> None:
    """Have what Great Expectations imports and seldom uses load at its first use.

    Not for a server: of two threads that come to such a module first at once, one may see half of it before Python 3.12
    (`importlib.util.LazyLoader`).
    """
    if not any(isinstance(finder, _AtFirstUse) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AtFirstUse())


class _AtFirstUse(MetaPathFinder):
    """Finds `_SELDOM_USED` as the finders after it do, with a loader that waits for the first use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _SELDOM_USED:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = importlib.util.LazyLoader(spec.loader)
                return spec
        return None
