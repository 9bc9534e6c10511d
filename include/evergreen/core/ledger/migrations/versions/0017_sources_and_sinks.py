"""what a partition was read from, if that is no file; what was delivered to the users of predictions

Revision: 0017, after 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("partition_version", sa.Column("source", postgresql.JSONB(), nullable=True))
    op.create_table(
        "sink_delivery",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("prediction_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("run_url", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["prediction_id"], ["prediction.id"], name=op.f("fk_sink_delivery_prediction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sink_delivery")),
        sa.UniqueConstraint("model", "sink", "prediction_id", name=op.f("uq_sink_delivery_model_sink_prediction_id")),
    )
    op.create_index(op.f("ix_sink_delivery_model_key"), "sink_delivery", ["model", "key"])


def downgrade() -> None:
    op.drop_table("sink_delivery")
    op.drop_column("partition_version", "source")
