"""incidents with their occurrences, silences, and deliveries to channels

Revision: 0014, after 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CHANGING = {
    "incident": "last_at, partitions, told, told_at, mails, well_at, well, closed_at",
    "incident_occurrence": "resolved_at, how",
    "alert_delivery": "attempts, last_error, sent_at",
    "silence": "ended_at, ended_by, summed_at",
}
"""What tasks may change of a row; deploy/ledger-roles.sql says the same"""


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("after_id", sa.BigInteger(), nullable=True),
        sa.Column("reopened", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("partitions", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mails", sa.BigInteger(), nullable=False),
        sa.Column("well_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("well", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
        sa.ForeignKeyConstraint(["after_id"], ["incident.id"], name=op.f("fk_incident_after_id")),
    )
    op.create_index("ix_incident_scope", "incident", ["model", "kind", "scope"])
    op.create_index(
        "uq_incident_open", "incident", ["model", "kind", "cause"], unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "incident_occurrence",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("run_url", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("how", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_occurrence")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name=op.f("fk_incident_occurrence_incident_id")
        ),
        sa.UniqueConstraint("name", name=op.f("uq_incident_occurrence_name")),
    )
    op.create_index("ix_incident_occurrence_part", "incident_occurrence", ["incident_id", "part"])
    op.create_table(
        "silence",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("summed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silence")),
    )
    op.create_index("ix_silence_not_summed", "silence", ["model"], postgresql_where=sa.text("summed_at IS NULL"))
    op.add_column("alert", sa.Column("silence_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_alert_silence_id"), "alert", "silence", ["silence_id"], ["id"])
    op.create_index(
        "ix_alert_silence_id", "alert", ["silence_id"], postgresql_where=sa.text("silence_id IS NOT NULL")
    )
    op.create_table(
        "alert_delivery",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("over", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_delivery")),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_alert_delivery_alert_id")),
        sa.UniqueConstraint("alert_id", "channel", name=op.f("uq_alert_delivery_alert_id_channel")),
    )
    op.create_index(
        "ix_alert_delivery_unsent", "alert_delivery", ["id"], postgresql_where=sa.text("sent_at IS NULL")
    )
    # Which held partitions have one cause is said by incidents. Only ledgers of checkouts between releases have it.
    op.execute("ALTER TABLE label_hold DROP COLUMN IF EXISTS episode")
    for table, columns in CHANGING.items():
        # A ledger whose roles were made before this migration: they may insert by default, and not update.
        op.execute(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'evergreen_worker') THEN "
            f"GRANT UPDATE ({columns}) ON {table} TO evergreen_worker; END IF; END $$"
        )


def downgrade() -> None:
    op.drop_table("alert_delivery")
    op.drop_index("ix_alert_silence_id", "alert")
    op.drop_column("alert", "silence_id")
    op.drop_table("silence")
    op.drop_table("incident_occurrence")
    op.drop_table("incident")
