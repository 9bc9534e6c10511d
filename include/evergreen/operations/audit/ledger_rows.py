"""The ledger as SQL finds it, at one instant."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from evergreen.core.ledger.session import engine as engine_of
from evergreen.errors import UnavailableError
from evergreen.operations.audit.disagreement import Row, by

_OF_MODEL = ("partition_version", "snapshot", "training_run", "comparison", "decision", "deployment", "prediction",
             "drift_check", "collection", "label_coverage", "label_hold")  # fmt: skip
_QUERIES = {name: f"SELECT * FROM {name} WHERE model = :model ORDER BY id" for name in _OF_MODEL} | {  # noqa: S608 - our own names
    "verdict": "SELECT v.* FROM verdict v JOIN partition_version p ON p.id = v.partition_version_id "
    "WHERE p.model = :model ORDER BY v.id",
    "performance": "SELECT id, key, labels_version_id, created_at FROM performance WHERE model = :model ORDER BY id",
    "alert": "SELECT * FROM alert WHERE model IN (:model, 'evergreen') ORDER BY created_at",
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
    label_coverages: list[Row]
    label_holds: list[Row]
    performances: list[Row]
    """What was measured when on which labels, without the losses"""
    alerts: list[Row]
    """Those of no model included"""
    online_totals: list[Row]
    """One row: how many `requests` for predictions were answered"""
    odd_requests: list[Row]
    """Those that no champion answered (`by_champion`), or with another number of `predictions` than `rows`"""

    @property
    def collected(self) -> frozenset[str]:
        """What retention has removed: URIs in the store, MD5s in the DVC remote, `<model> version 3`."""
        return frozenset(row["name"] for row in self.collections if row["done_at"] is not None)

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
    def incomplete_labels(self) -> frozenset[str]:
        """Keys of the partitions whose labels are held back now."""
        open_ = (row for row in self.label_holds if row["released_at"] is None)
        return frozenset(row["key"] for row in open_ if row["cause"] == "incomplete")

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
