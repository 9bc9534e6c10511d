"""rows in quarantine beside accepted ones, who had a partition validated again, and what features were built from

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("rejected_uri", "asked_by", "why"):
        op.add_column("verdict", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("snapshot", sa.Column("inputs_verdict_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_snapshot_inputs_verdict_id"), "snapshot", "verdict", ["inputs_verdict_id"], ["id"])


def downgrade() -> None:
    op.drop_column("snapshot", "inputs_verdict_id")
    for name in ("why", "asked_by", "rejected_uri"):
        op.drop_column("verdict", name)
