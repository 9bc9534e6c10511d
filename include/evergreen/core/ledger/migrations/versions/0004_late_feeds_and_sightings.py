"""feeds that were late, what housekeeping has seen and acted on, and when the same bytes were landed again

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _instant(name: str, *, now: bool = False) -> sa.Column[sa.DateTime]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()") if now else None, nullable=False
    )


def upgrade() -> None:
    op.add_column("partition_version", sa.Column("landed_again_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "late_feed",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("table", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        _instant("due_at"),
        _instant("waiting_since"),
        _instant("grace_until"),
        sa.Column("missing", sa.Text(), nullable=False),
        sa.Column("run_url", sa.Text(), nullable=True),
        _instant("told_at", now=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_late_feed")),
        sa.UniqueConstraint("model", "table", "key", name=op.f("uq_late_feed_model_table_key")),
    )
    op.create_table(
        "sighting",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _instant("first_seen", now=True),
        _instant("acted_at", now=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sighting")),
        sa.UniqueConstraint("model", "kind", "name", name=op.f("uq_sighting_model_kind_name")),
    )


def downgrade() -> None:
    op.drop_table("sighting")
    op.drop_table("late_feed")
    op.drop_column("partition_version", "landed_again_at")
