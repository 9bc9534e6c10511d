"""how a version chooses a class; what was chosen for a prediction on request

Revision: 0020, after 0019
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # none_as_null: a row without a choice holds no JSON at all, as rows of the release before do not
    op.add_column("training_run", sa.Column("decision", JSONB(none_as_null=True), nullable=True))
    op.add_column("online_prediction", sa.Column("choice", JSONB(none_as_null=True), nullable=True))
    # as deploy/ledger-roles.sql, where tasks have a role of their own
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_worker') THEN "
        "GRANT UPDATE (decision) ON training_run TO evergreen_worker; END IF; END $$"
    )


def downgrade() -> None:
    op.drop_column("online_prediction", "choice")
    op.drop_column("training_run", "decision")
