"""the trials of a training's search, so that a killed one goes on and a rebuild repeats them

Revision: 0012, after 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("training_run", sa.Column("search", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("training_run", "search")
