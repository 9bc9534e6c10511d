"""the trials of a training's search, so that a killed one goes on and a rebuild repeats them

Revision: 0028, after 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0028"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("training_run", sa.Column("search", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("training_run", "search")
