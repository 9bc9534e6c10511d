"""versions of reference tables; which of them, and which inputs without labels, a snapshot was built from

Revision: 0019, after 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

NEW = (("recent_inputs", "{}"), ("recent_missing", "[]"), ("references_used", "{}"))


def upgrade() -> None:
    for name, default in NEW:
        op.add_column("snapshot", sa.Column(name, postgresql.JSONB(), server_default=default, nullable=False))
    op.create_table(
        "reference_version",
        sa.Column("id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("model", "name", "stamp")),
        sa.Column("known_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("content_hash", "landed_uri", "raw_uri")),
        sa.Column("clean_uri", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("landed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("landed_again_at", sa.DateTime(timezone=True), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("rules_hash", "outcome", "reason")),
        sa.Column("failures", postgresql.JSONB(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("run_url", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_version")),
        sa.UniqueConstraint(
            "model", "name", "stamp", "content_hash", "rules_hash",
            name=op.f("uq_reference_version_model_name_stamp_content_hash_rules_hash"),
        ),
    )  # fmt: skip
    op.create_index(
        "ix_reference_version_accepted", "reference_version", ["model", "name", "stamp"],
        unique=True, postgresql_where=sa.text("outcome = 'accepted'"),
    )  # fmt: skip
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_worker') THEN "
        "GRANT UPDATE (landed_again_at) ON reference_version TO evergreen_worker; END IF; END $$"
    )


def downgrade() -> None:
    op.drop_table("reference_version")
    for name, _ in NEW:
        op.drop_column("snapshot", name)
