"""what versions that do not serve would have lost

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shadow_loss",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=False),
        sa.Column("labels_version_id", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=False),
        sa.Column("clusters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["snapshot_id"], ["snapshot.id"], name=op.f("fk_shadow_loss_snapshot_id")),
        sa.ForeignKeyConstraint(
            ["labels_version_id"], ["partition_version.id"], name=op.f("fk_shadow_loss_labels_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_loss")),
        sa.UniqueConstraint(
            "snapshot_id",
            "labels_version_id",
            "version",
            name=op.f("uq_shadow_loss_snapshot_id_labels_version_id_version"),
        ),
    )


def downgrade() -> None:
    op.drop_table("shadow_loss")
