"""The files that a model's features are built by: `features.py`, and what it imports or reads from its own folder.

What belongs is found in the source, without running it: modules that are imported, and files whose name, or a pattern
that fits it, stands in a text. A note or a notebook that lies beside them changes nothing.
"""

from __future__ import annotations

import ast
import io
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath

FILE = "features.py"
EXPECTATIONS = "expectations.py"
_NEVER = frozenset({"model.yaml", FILE})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_importing = threading.RLock()


def beside(folder: Path) -> dict[str, bytes]:
    """The files of `folder` beside `features.py` that belong to it, by path relative to the folder, sorted.

    What is hidden, and bytecode, never belongs.
    """
    others = _others(folder)
    found: dict[str, bytes] = {}
    waiting = [(folder / FILE).read_bytes()] if others else []
    while waiting:
        modules, patterns = _named(waiting.pop())
        for name, path in others.items():
            if name not in found and _belongs(name, modules, patterns):
                found[name] = path.read_bytes()
                if name.endswith(".py"):
                    waiting.append(found[name])
    return dict(sorted(found.items()))


def _others(folder: Path) -> dict[str, Path]:
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith((".", "__pycache__")) for part in name.split("/"))
        if not hidden and name not in _NEVER and not name.endswith(".pyc") and path.is_file():
            found[name] = path
    return found


@lru_cache(maxsize=64)
def _named(source: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """Modules that a source imports, and texts in it that may name files; what cannot be parsed names nothing."""
    modules, patterns = set[str](), set[str]()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset(), frozenset()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = [node.module] if node.module else []
            modules |= {".".join([*start, *rest]) for alias in node.names for rest in ([], [alias.name])}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            patterns.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            patterns.add("".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in node.values))
    texts = frozenset(pattern.removeprefix("./") for pattern in patterns if pattern.strip("*./ "))
    return frozenset(modules), texts


def _belongs(name: str, modules: frozenset[str], patterns: frozenset[str]) -> bool:
    path = PurePosixPath(name)
    if path.suffix == ".py":
        # `from helpers import x` runs helpers/__init__.py, and may mean helpers/x.py; a package runs with its parents.
        dotted = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        if any(module == dotted or module.startswith(f"{dotted}.") or dotted.startswith(f"{module}.")
               for module in modules):  # fmt: skip
            return True
        if any(module == path.stem for module in modules | patterns):
            return True  # imported from a folder that was put on the path, or by name
        return any(fnmatchcase(name, pattern) or path.name == pattern for pattern in patterns)
    ends = {name, path.name, *(parent.as_posix() for parent in path.parents if parent.name), *path.parent.parts}
    return any(pattern in ends or fnmatchcase(path.name, PurePosixPath(pattern).name) for pattern in patterns)


def pack(files: Mapping[str, bytes]) -> bytes:
    """The files as a zip archive: the same files give the same bytes, on any host."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), data)
    return buffer.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of an archive, as `pack` makes it, below `folder`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)


@contextmanager
def importable(folder: Path, names: frozenset[str]) -> Iterator[None]:
    """Within the block, modules `names` (of the top level) are those of `folder`, whatever else is called so.

    Two codes of one model may each have a module of one name: none stays behind for the other.
    """
    if not names:
        yield
        return
    with _importing:
        path, others = list(sys.path), {name: sys.modules.pop(name) for name in _loaded(names)}
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path[:] = path
            for name in _loaded(names):
                del sys.modules[name]
            sys.modules.update(others)


def _loaded(names: frozenset[str]) -> list[str]:
    return [module for module in sys.modules if module.partition(".")[0] in names]


def module_names(folder: Path) -> frozenset[str]:
    """Top-level modules and packages beside `features.py` that belong to it."""
    tops = (PurePosixPath(name) for name in beside(folder) if name.endswith(".py"))
    return frozenset(path.parts[0] if len(path.parts) > 1 else path.stem for path in tops)
