"""rows in quarantine beside accepted ones, and who had a partition validated again

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


def downgrade() -> None:
    for name in ("why", "asked_by", "rejected_uri"):
        op.drop_column("verdict", name)
