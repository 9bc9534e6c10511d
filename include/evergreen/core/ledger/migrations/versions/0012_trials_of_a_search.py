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
    # A ledger whose roles were made before this migration: a column's right does not come with those of the others.
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_worker') THEN "
        "GRANT UPDATE (code_hash, search) ON training_run TO evergreen_worker; END IF; END $$"
    )


def downgrade() -> None:
    op.drop_column("training_run", "search")
