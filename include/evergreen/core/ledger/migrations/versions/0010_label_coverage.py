"""how complete the labels of each partition are, what is held back because of it, what was found one-sided

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _id() -> sa.Column:
    return sa.Column("id", sa.BigInteger(), nullable=False)


def _now(name: str) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "label_coverage",
        _id(),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("inputs_version_id", sa.BigInteger(), nullable=False),
        sa.Column("inputs_rows", sa.Text(), nullable=False),
        sa.Column("labels_version_id", sa.BigInteger(), nullable=False),
        sa.Column("labels_rows", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("inputs", sa.BigInteger(), nullable=False),
        sa.Column("labelled", sa.BigInteger(), nullable=True),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_coverage")),
        sa.UniqueConstraint(
            "inputs_version_id", "inputs_rows", "labels_version_id", "labels_rows", "target",
            name="uq_label_coverage_pair",
        ),
        sa.ForeignKeyConstraint(
            ["inputs_version_id"], ["partition_version.id"], name=op.f("fk_label_coverage_inputs_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["labels_version_id"], ["partition_version.id"], name=op.f("fk_label_coverage_labels_version_id")
        ),
    )
    op.create_index(op.f("ix_label_coverage_model_key"), "label_coverage", ["model", "key"])
    op.create_table(
        "label_hold",
        _id(),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("coverage_id", sa.BigInteger(), nullable=False),
        sa.Column("needed", sa.Float(), nullable=False),
        _now("held_at"),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_hold")),
        sa.ForeignKeyConstraint(["coverage_id"], ["label_coverage.id"], name=op.f("fk_label_hold_coverage_id")),
    )
    op.create_index(
        "uq_label_hold_open", "label_hold", ["model", "key", "cause"], unique=True,
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_table(
        "label_bias",
        _id(),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("coverage_id", sa.BigInteger(), nullable=False),
        sa.Column("prediction_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("look", sa.BigInteger(), nullable=False),
        sa.Column("alpha", sa.Float(), nullable=False),
        sa.Column("one_sided", sa.Boolean(), nullable=False),
        sa.Column("columns", JSONB(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_bias")),
        sa.UniqueConstraint("coverage_id", "prediction_id", name=op.f("uq_label_bias_coverage_id_prediction_id")),
        sa.ForeignKeyConstraint(["coverage_id"], ["label_coverage.id"], name=op.f("fk_label_bias_coverage_id")),
        sa.ForeignKeyConstraint(["prediction_id"], ["prediction.id"], name=op.f("fk_label_bias_prediction_id")),
    )
    # A ledger whose roles were made before this migration: they may insert by default, and not update.
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_worker') THEN "
        "GRANT UPDATE (released_at) ON label_hold TO evergreen_worker; END IF; END $$"
    )


def downgrade() -> None:
    op.drop_table("label_bias")
    op.drop_table("label_hold")
    op.drop_table("label_coverage")
