"""a prediction on request of several classes keeps the probability of each

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # none_as_null: what has no classes holds no JSON at all, as rows of the release before do not
    op.add_column("online_prediction", sa.Column("probabilities", JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("online_prediction", "probabilities")
