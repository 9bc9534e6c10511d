"""The ledger as SQL finds it, at one instant."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from evergreen.core.ledger.session import engine as engine_of
from evergreen.errors import UnavailableError
from evergreen.operations.audit.disagreement import Row, by

_OF_MODEL = ("partition_version", "snapshot", "training_run", "comparison", "decision", "deployment", "prediction",
             "drift_check", "collection")  # fmt: skip
_QUERIES = {name: f"SELECT * FROM {name} WHERE model = :model ORDER BY id" for name in _OF_MODEL} | {  # noqa: S608 - our own names
    "verdict": "SELECT v.* FROM verdict v JOIN partition_version p ON p.id = v.partition_version_id "
    "WHERE p.model = :model ORDER BY v.id",
    "alert": "SELECT * FROM alert WHERE model IN (:model, 'evergreen') ORDER BY created_at",
    "occurrence": "SELECT o.*, i.kind FROM incident_occurrence o JOIN incident i ON i.id = o.incident_id "
    "WHERE o.model = :model ORDER BY o.id",
    "undelivered_message": "SELECT d.channel, d.attempts, d.last_error, a.subject, a.created_at FROM alert_delivery d "
    "JOIN alert a ON a.id = d.alert_id WHERE a.model = :model AND d.sent_at IS NULL ORDER BY d.id",
    # There may be millions: counted where they are, and only what is odd about them comes here.
    "online_total": "SELECT count(*) AS requests FROM online_request WHERE model = :model",
    "odd_request": """
        WITH serving AS (
            SELECT version, served_from, lead(served_from) OVER (ORDER BY id) AS until FROM deployment
            WHERE model = :model
        ), judged AS (
            SELECT r.*, (SELECT count(*) FROM online_prediction p WHERE p.request_id = r.id) AS predictions,
                EXISTS (SELECT FROM serving s WHERE s.version = r.version AND s.served_from <= r.asked_at
                    AND (s.until IS NULL OR s.until > r.asked_at - interval '5 minutes')) AS by_champion
            FROM online_request r WHERE r.model = :model
        )
        SELECT * FROM judged WHERE predictions <> rows OR NOT by_champion ORDER BY id""",
}
"""A request is answered by who served when it came; it is on record some moments later."""


@dataclass(frozen=True)
class Rows:
    """All rows of one model, oldest first, table by table."""

    partition_versions: list[Row]
    verdicts: list[Row]
    snapshots: list[Row]
    training_runs: list[Row]
    comparisons: list[Row]
    decisions: list[Row]
    deployments: list[Row]
    predictions: list[Row]
    drift_checks: list[Row]
    collections: list[Row]
    alerts: list[Row]
    """Those of no model included"""
    occurrences: list[Row]
    """What belongs to an incident, with that one's kind"""
    undelivered_messages: list[Row]
    """What is owed to a channel beside mail, and was not given to it"""
    online_totals: list[Row]
    """One row: how many `requests` for predictions were answered"""
    odd_requests: list[Row]
    """Those that no champion answered (`by_champion`), or with another number of `predictions` than `rows`"""

    @property
    def collected(self) -> frozenset[str]:
        """What retention has removed: URIs in the store, MD5s in the DVC remote, `<model> version 3`."""
        return frozenset(row["name"] for row in self.collections if row["done_at"] is not None)

    @property
    def told_together(self) -> frozenset[str]:
        """Names of the occurrences of incidents that have a mail, which each bears the name of one of them."""
        mails = {alert["dedup_key"] for alert in self.alerts}
        told = {met["incident_id"] for met in self.occurrences if met["name"] in mails}
        return frozenset(met["name"] for met in self.occurrences if met["incident_id"] in told)

    @property
    def latest_verdicts(self) -> dict[int, Row]:
        """The verdict that counts, by the id of the partition's version."""
        return {verdict["partition_version_id"]: verdict for verdict in self.verdicts}

    def current_partitions(self, table: str) -> dict[str, tuple[Row, Row]]:
        """By key: the newest version whose latest verdict is `accepted`, and that verdict."""
        latest, found = self.latest_verdicts, {}
        for version in sorted(self.partition_versions, key=lambda row: row["version"]):
            verdict = latest.get(version["id"])
            if version["table"] == table and verdict is not None and verdict["outcome"] == "accepted":
                found[version["key"]] = (version, verdict)
        return found

    @property
    def current_snapshots(self) -> dict[str, Row]:
        """The newest snapshot of each key."""
        return {key: max(rows, key=lambda row: row["version"]) for key, rows in by(self.snapshots, "key").items()}


def read(url: str, model: str) -> Rows:
    """All rows of `model`, from one transaction that sees one instant and may write nothing.

    Raises:
        UnavailableError: the ledger does not answer.
    """
    engine = engine_of(url, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            found: dict[str, list[Row]] = {
                name: [dict(row) for row in connection.execute(text(query), {"model": model}).mappings()]
                for name, query in _QUERIES.items()
            }
    except OperationalError as error:
        address = engine.url.render_as_string(hide_password=True)
        raise UnavailableError(f"the ledger at {address} does not answer; check that PostgreSQL runs") from error
    finally:
        engine.dispose()
    return Rows(**{f"{name}s": rows for name, rows in found.items()})
