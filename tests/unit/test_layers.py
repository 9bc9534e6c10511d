"""What the import-linter contracts cannot say: what the audit may share, and that Airflow stays outside."""

import ast
from pathlib import Path

import evergreen

ROOT = Path(evergreen.__file__).parent
SHARED_WITH_THE_AUDIT = {
    "evergreen.core.definition.ModelDefinition", "evergreen.settings.Settings",
    "evergreen.core.definition.database_address.AddressOf", "evergreen.core.definition.database_address.url_of",
    "evergreen.core.definition.database_address.from_environment", "evergreen.core.definition.sinks.SinkSection",
    "evergreen.core.definition.database_address.without_address",
    "evergreen.errors.EvergreenError",
    "evergreen.errors.PartitionKeyError", "evergreen.errors.UnavailableError",
    "evergreen.core.names.PartitionKey",
    "evergreen.core.feature_repository.git.BRANCH", "evergreen.core.feature_repository.git.open_remote",
    "evergreen.core.ledger.session.engine", "evergreen.core.store.filesystem.url_to_fs",
    "evergreen.core.store.scratch.scratch_folder",
}  # fmt: skip
"""Words, and what opens a connection: nothing that answers a question (decision 017)"""


def test_the_audit_shares_no_answer_with_the_stages():
    found = set()
    for path in (ROOT / "operations" / "audit").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Import) or not any(a.name.startswith("evergreen") for a in node.names), path
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evergreen."):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert {name for name in found if not name.startswith("evergreen.operations.audit.")} == SHARED_WITH_THE_AUDIT


def test_the_package_never_imports_airflow():
    found = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if any(line.strip().startswith(("import airflow", "from airflow")) for line in path.read_text().splitlines())
    ]
    assert found == []
