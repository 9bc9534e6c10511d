"""a message to a channel that is gone is given up; a cause's messages are found by it

Revision: 0015, after 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alert_delivery", sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_alert_delivery_cause", "alert_delivery", ["cause"], postgresql_where=sa.text("cause IS NOT NULL")
    )
    # As deploy/ledger-roles.sql says; a ledger whose roles were made before this migration lacks it.
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_worker') THEN "
        "GRANT UPDATE (type, secret, given_up_at) ON alert_delivery TO evergreen_worker; END IF; END $$"
    )


def downgrade() -> None:
    op.drop_index("ix_alert_delivery_cause", "alert_delivery")
    op.drop_column("alert_delivery", "given_up_at")
