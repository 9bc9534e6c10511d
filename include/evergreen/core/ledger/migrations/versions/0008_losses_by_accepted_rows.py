"""a loss names the rows of the labels that counted, so that the same labels under another verdict are measured anew

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BEFORE = {
    "performance": ["prediction_id", "labels_version_id"],
    "shadow_loss": ["snapshot_id", "labels_version_id", "version"],
}
AFTER = {
    "performance": ["prediction_id", "labels_version_id", "labels_rows"],
    "shadow_loss": ["snapshot_id", "labels_version_id", "labels_rows", "version"],
}


def upgrade() -> None:
    for table in BEFORE:
        op.add_column(table, sa.Column("labels_rows", sa.Text(), server_default="", nullable=False))
        # What counted was what the newest verdict of that time had accepted.
        op.execute(
            f"UPDATE {table} AS measured SET labels_rows = verdict.suite_hash FROM verdict "  # noqa: S608 - our own names
            "WHERE verdict.rows_rejected > 0 AND verdict.id = (SELECT max(v.id) FROM verdict AS v "
            "WHERE v.partition_version_id = measured.labels_version_id AND v.decided_at <= measured.created_at)"
        )
    _unique(BEFORE, AFTER)


def downgrade() -> None:
    for table, columns in BEFORE.items():
        same = " AND ".join(f"older.{column} = newer.{column}" for column in columns)
        op.execute(f"DELETE FROM {table} AS older USING {table} AS newer WHERE {same} AND older.id < newer.id")  # noqa: S608
    _unique(AFTER, BEFORE)
    for table in BEFORE:
        op.drop_column(table, "labels_rows")


def _unique(old: dict[str, list[str]], new: dict[str, list[str]]) -> None:
    for table, columns in old.items():
        op.drop_constraint(op.f(f"uq_{table}_{'_'.join(columns)}"), table)
    for table, columns in new.items():
        op.create_unique_constraint(op.f(f"uq_{table}_{'_'.join(columns)}"), table, columns)
