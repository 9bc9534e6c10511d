"""The folders of the package are the stages of the loop: none imports one that comes after it."""

import ast
from pathlib import Path

import pytest

import evergreen

ROOT = Path(evergreen.__file__).parent
ORDER = (
    "errors", "settings", "definition", "store", "ledger",
    "intake", "features", "training", "champion", "scoring", "online", "monitoring", "replay", "lineage", "retention",
    "scaffold", "alerts", "verify", "pages", "stack", "backup", "demo", "commands", "cli",
)  # fmt: skip
"""Foundations, stages, and what stands around them. `preload` imports what tasks will need, so it stands outside."""
MODULES = [path for path in sorted(ROOT.rglob("*.py")) if path.name not in ("__init__.py", "preload.py")]


def stage_of(path):
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module] if "." in node.module else [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("evergreen."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_stage_imports_a_later_one(path):
    own = ORDER.index(stage_of(path))
    later = {name for name in imported(path) if ORDER.index(name) > own}
    assert later == set()


SHARED_WITH_THE_AUDIT = {
    "evergreen.definition.ModelDefinition", "evergreen.settings.Settings",
    "evergreen.errors.PartitionKeyError", "evergreen.errors.UnavailableError",
    "evergreen.features.git.BRANCH", "evergreen.features.git.open_remote",
    "evergreen.ledger.session.engine", "evergreen.store.filesystem.url_to_fs", "evergreen.store.scratch.scratch_folder",
}  # fmt: skip
"""Words, and what opens a connection: nothing that answers a question (decision 017)"""


def test_the_audit_shares_no_answer_with_the_stages():
    found = set()
    for path in (ROOT / "verify").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Import) or not any(a.name.startswith("evergreen") for a in node.names), path
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evergreen."):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert {name for name in found if not name.startswith("evergreen.verify.")} == SHARED_WITH_THE_AUDIT


def test_the_package_never_imports_airflow():
    found = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if any(line.strip().startswith(("import airflow", "from airflow")) for line in path.read_text().splitlines())
    ]
    assert found == []
