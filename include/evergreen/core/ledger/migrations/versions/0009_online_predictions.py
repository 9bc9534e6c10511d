"""predictions on request, written before they are given

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "online_request",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("built_from", JSONB(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_online_request")),
        sa.UniqueConstraint("model", "name", name=op.f("uq_online_request_model_name")),
    )
    op.create_table(
        "online_prediction",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prediction", sa.Float(), nullable=False),
        sa.Column("inputs", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_online_prediction")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["online_request.id"], name=op.f("fk_online_prediction_request_id")
        ),
    )
    op.create_index(op.f("ix_online_prediction_model_key_entity"), "online_prediction", ["model", "key", "entity"])
    op.create_index(op.f("ix_online_prediction_request_id"), "online_prediction", ["request_id"])
    op.create_table(
        "online_performance",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("measured_hash", sa.Text(), nullable=False),
        sa.Column("versions", JSONB(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("compared", sa.BigInteger(), nullable=False),
        sa.Column("differing", sa.BigInteger(), nullable=False),
        sa.Column("difference", sa.Float(), nullable=True),
        sa.Column("labelled", sa.BigInteger(), nullable=False),
        sa.Column("loss", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_online_performance")),
        sa.UniqueConstraint(
            "model", "key", "measured_hash", name=op.f("uq_online_performance_model_key_measured_hash")
        ),
    )


def downgrade() -> None:
    op.drop_table("online_performance")
    op.drop_table("online_prediction")
    op.drop_table("online_request")
