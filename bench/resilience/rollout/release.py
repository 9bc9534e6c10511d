"""A release: what the image holds, in a folder. The second one differs in the ledger's schema and in the definition."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.script import ScriptDirectory

from evergreen.stack.config.environment import code_version
from evergreen.stack.config.home import PROJECT
from evergreen.stack.process.service import Service

FOLDERS = ("config", "dags", "deploy", "docs", "include", "plugins")
FILES = ("airflow_settings.yaml", "docker-compose.yaml", "pyproject.toml", "requirements.lock")
REVISION = "9001"
WRITTEN_BY = ("partition_version", "verdict", "snapshot", "training_run")
"""Tables that the second release gives a column, in which its code says that it wrote the row"""
FEATURE = "night"

MIGRATION = '''"""who wrote a row, and a table that only this release knows

Revision: {revision}, after {before}
"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in {tables!r}:
        op.add_column(table, sa.Column("written_by", sa.Text(), nullable=True))
    op.create_table("of_the_second_release", sa.Column("id", sa.BigInteger(), primary_key=True))


def downgrade() -> None:
    op.drop_table("of_the_second_release")
    for table in {tables!r}:
        op.drop_column(table, "written_by")
'''


@dataclass(frozen=True)
class Release:
    """One version of everything that is deployed."""

    name: str
    root: Path

    def runs(self, service: Service) -> Service:
        """The same service with the code, the DAGs and the definitions of this release."""
        env = {name: self._placed(value) for name, value in service.env.items()}
        if "EVERGREEN_CODE_VERSION" in env:
            env["EVERGREEN_CODE_VERSION"] = f"{code_version()}-{self.name}"
        words = tuple(self._placed(word) for word in service.argv)
        return replace(service, env=env, argv=words, check=tuple(self._placed(word) for word in service.check))

    def _placed(self, text: str) -> str:
        """`text` with this release's folder where the checkout's stood; the virtual environment stays."""
        ours = "|".join(re.escape(name) for name in (*FOLDERS, *FILES))
        return re.sub(rf"{re.escape(str(PROJECT))}(?=/(?:{ours})\b)", str(self.root), text)


def first(folder: Path) -> Release:
    """The checkout as it is."""
    root = folder / "first"
    for name in FOLDERS:
        shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(PROJECT / name, root / name)
    return Release("first", root)


def second(folder: Path, model: str) -> Release:
    """The release after it: one more ledger revision whose columns its code writes, and another definition of `model`.

    The definition has one more feature, one more expectation and other training settings.
    """
    root = folder / "second"
    shutil.copytree(folder / "first", root)
    _add_revision(root / "include" / "evergreen" / "ledger")
    _change_definition(root / "include" / "models" / model)
    return Release("second", root)


def _add_revision(ledger: Path) -> None:
    (before,) = ScriptDirectory(str(ledger / "migrations")).get_heads()
    text = MIGRATION.format(revision=REVISION, before=before, tables=WRITTEN_BY)
    (ledger / "migrations" / "versions" / f"{REVISION}_the_second_release.py").write_text(text)
    column = '    written_by: Mapped[str | None] = mapped_column(default="second")\n'
    for table in WRITTEN_BY:
        line = f'    __tablename__ = "{table}"\n'
        _edit(ledger / "tables.py", line, line + column)


def _change_definition(folder: Path) -> None:
    _edit(folder / "model.yaml", "    - weekday\n", f"    - weekday\n    - {FEATURE}\n")
    _edit(folder / "model.yaml", "gate:\n", "training:\n  trials: 3\n\ngate:\n")
    weekday = '    features["weekday"] = _weekday(inputs["flight_date"])\n'
    night = f'    features["{FEATURE}"] = (features["hour"] < 7) | (features["hour"] > 20)\n'
    _edit(folder / "features.py", weekday, weekday + night)
    start = "        *_weather(),\n"
    wet = '        gxe.ExpectColumnMeanToBeBetween(column="dew_point", min_value=-20, max_value=80),\n'
    _edit(folder / "expectations.py", start, start + wet)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"{path} does not hold the following once, so there is no second release of it: {old!r}")
    path.write_text(text.replace(old, new), encoding="utf-8")
