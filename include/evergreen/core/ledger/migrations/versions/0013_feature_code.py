"""feature code is kept, and a training run names the code that its rows were built by

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feature_code",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("definition", JSONB(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_code")),
        sa.UniqueConstraint(
            "model", "code_hash", "content_hash", name=op.f("uq_feature_code_model_code_hash_content_hash")
        ),
    )
    op.add_column("training_run", sa.Column("features_hash", sa.Text(), nullable=True))
    # The newest partition of a run was built by the code of its day; that of older ones may have been another.
    op.execute(
        "UPDATE training_run AS run SET features_hash = snapshot.code_hash FROM snapshot "
        "WHERE snapshot.id = (run.dataset #>> ARRAY['snapshots', run.as_of])::bigint"
    )


def downgrade() -> None:
    op.drop_column("training_run", "features_hash")
    op.drop_table("feature_code")
