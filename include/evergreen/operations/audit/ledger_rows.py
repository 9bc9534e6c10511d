"""The ledger as SQL finds it, at one instant."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from evergreen.core.ledger.session import engine as engine_of
from evergreen.errors import UnavailableError
from evergreen.operations.audit.disagreement import Row, by

_OF_MODEL = ("partition_version", "snapshot", "training_run", "comparison", "decision", "deployment", "prediction",
             "drift_check", "collection", "label_coverage", "label_hold", "feature_code", "sink_delivery",
             "reference_version")  # fmt: skip
_KEPT = "EXISTS (SELECT FROM feature_code c WHERE c.model = :model AND c.code_hash = t.features_hash AND c.kept_at <= "
"""Whether there was a copy of a version's code by then: before that, features came from the code of the day"""
_MADE = "JOIN training_run t ON t.model = :model AND t.version = made.version AND t.features_hash IS NOT NULL"
_QUERIES = {name: f"SELECT * FROM {name} WHERE model = :model ORDER BY id" for name in _OF_MODEL} | {  # noqa: S608 - our own names
    "verdict": "SELECT v.* FROM verdict v JOIN partition_version p ON p.id = v.partition_version_id "
    "WHERE p.model = :model ORDER BY v.id",
    "performance": "SELECT id, key, labels_version_id, created_at FROM performance WHERE model = :model ORDER BY id",
    "alert": "SELECT * FROM alert WHERE model IN (:model, 'evergreen') ORDER BY created_at",
    "occurrence": "SELECT o.*, i.kind FROM incident_occurrence o JOIN incident i ON i.id = o.incident_id "
    "WHERE o.model = :model ORDER BY o.id",
    "undelivered_message": "SELECT d.channel, d.attempts, d.last_error, a.subject, a.created_at FROM alert_delivery d "
    "JOIN alert a ON a.id = d.alert_id WHERE a.model = :model AND d.sent_at IS NULL AND d.given_up_at IS NULL "
    "ORDER BY d.id",
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
    "other_code": f"""
        SELECT 'predictions of ' || made.key AS what, made.version, s.code_hash AS code, t.features_hash AS wanted,
            made.created_at AS since
        FROM prediction made JOIN snapshot s ON s.id = made.snapshot_id {_MADE}
        WHERE made.model = :model AND s.code_hash <> t.features_hash AND {_KEPT} made.created_at)
        UNION ALL SELECT 'shadow loss of ' || made.key, made.version, s.code_hash, t.features_hash, made.created_at
        FROM shadow_loss made JOIN snapshot s ON s.id = made.snapshot_id {_MADE}
        WHERE made.model = :model AND s.code_hash <> t.features_hash AND {_KEPT} made.created_at)
        UNION ALL SELECT 'request ' || made.name, made.version, made.code_hash, t.features_hash, made.asked_at
        FROM online_request made {_MADE}
        WHERE made.model = :model AND made.code_hash <> t.features_hash AND {_KEPT} made.asked_at)
        ORDER BY since, what""",  # noqa: S608 - our own names
    "mixed_dataset": f"""
        SELECT t.id, t.started_at, t.features_hash AS wanted, count(*) AS others
        FROM training_run t, jsonb_each_text(t.dataset -> 'snapshots') d JOIN snapshot s ON s.id = d.value::bigint
        WHERE t.model = :model AND s.code_hash <> t.features_hash AND {_KEPT} t.started_at)
        GROUP BY t.id ORDER BY t.id""",  # noqa: S608 - our own names
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
    occurrences: list[Row]
    """What belongs to an incident, with that one's kind"""
    undelivered_messages: list[Row]
    """Messages for a channel beside mail that it did not get"""
    online_totals: list[Row]
    """One row: how many `requests` for predictions were answered"""
    odd_requests: list[Row]
    """Those that no champion answered (`by_champion`), or with another number of `predictions` than `rows`"""
    feature_codes: list[Row] = field(default_factory=list)
    other_codes: list[Row] = field(default_factory=list)
    """What was predicted from features of other code than that of its version, though a copy of that was kept"""
    sink_deliverys: list[Row] = field(default_factory=list)
    """What sinks were given"""
    reference_versions: list[Row] = field(default_factory=list)
    mixed_datasets: list[Row] = field(default_factory=list)
    """Training runs with snapshots of other code than they name"""

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
    def serving_code(self) -> str | None:
        """Hash of the code that feeds the champion: the one it was made from; None if no copy of that is kept."""
        champion = self.deployments[-1]["version"] if self.deployments else None
        runs = [run for run in self.training_runs if champion is not None and run["version"] == champion]
        wanted = runs[0].get("features_hash") if runs else None
        return wanted if any(row["code_hash"] == wanted for row in self.feature_codes) else None

    @property
    def incomplete_labels(self) -> frozenset[str]:
        """Keys of the partitions whose labels are held back now."""
        open_ = (row for row in self.label_holds if row["released_at"] is None)
        return frozenset(row["key"] for row in open_ if row["cause"] == "incomplete")

    @property
    def current_snapshots(self) -> dict[str, Row]:
        """Of each key the newest snapshot by the champion's code; the newest of all if that has built none."""
        ours = self.serving_code
        return {
            key: max(rows, key=lambda row: (row["code_hash"] == ours, row["version"]))
            for key, rows in by(self.snapshots, "key").items()
        }

    def keys_not_rebuilt(self) -> set[str]:
        """Of partitions with features: those of which retention has removed rows that a build would read today."""
        current = {table: self.current_partitions(table) for table in ("inputs", "labels")}
        gone = {
            (table, key)
            for table, found in current.items()
            for key, (_, verdict) in found.items()
            if verdict["clean_uri"] in self.collected
        }
        return {key for key, snapshot in self.current_snapshots.items() if not gone.isdisjoint(_read_by(snapshot))}


def _read_by(snapshot: Row) -> set[tuple[str, str]]:
    """Table and key of all that a build of the snapshot's partition reads."""
    labels = {*snapshot["labels_used"], *snapshot["labels_missing"]}
    recent = {*snapshot["recent_inputs"], *snapshot["recent_missing"]}
    inputs = {snapshot["key"], *snapshot["inputs_looked_back"], *labels, *recent}
    return {("inputs", key) for key in inputs} | {("labels", key) for key in labels}


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
