"""What monitoring found in each partition, as the pages and the command line show it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from evergreen.core.ledger.queries.decisions import MONITOR, measured
from evergreen.core.ledger.tables import Decision, DriftCheck
from evergreen.core.ledger.views.lines import CheckLine, LossLine, MonitorLine, MovedColumn
from evergreen.core.names import PartitionKey


def losses(session: Session, model: str) -> list[LossLine]:
    """The realised loss that counts of each partition, by key."""
    rows = measured(session, model).values()
    return [
        LossLine(row.key, row.version, row.rows, row.loss, row.metrics, row.created_at, _error(row.clusters))
        for row in rows
    ]


def _error(clusters: Sequence[Mapping[str, Any]]) -> float | None:
    """Standard error of a mean over rows that fail together in clusters (linearised ratio; Cochran 1977, 6.5)."""
    rows = [float(cluster["rows"]) for cluster in clusters]
    count, total = len(rows), math.fsum(rows)
    if count < 2 or total <= 0:
        return None
    sums = [n * float(cluster["loss"]) for n, cluster in zip(rows, clusters, strict=True)]
    mean = math.fsum(sums) / total
    squares = math.fsum((value - mean * n) ** 2 for value, n in zip(sums, rows, strict=True))
    return math.sqrt(count / (count - 1) * squares) / total


def checks(session: Session, model: str) -> list[CheckLine]:
    """The newest drift check of each partition, by key."""
    query = _checks(model).distinct(DriftCheck.key).order_by(DriftCheck.key, DriftCheck.id.desc())
    return [_check_line(row) for row in session.execute(query)]


def _checks(model: str) -> Select[Any]:
    """Of the results only what is shown: the whole of three years is much to read."""
    found = DriftCheck.results
    return select(
        DriftCheck.key, DriftCheck.version, DriftCheck.drifted, DriftCheck.reference, DriftCheck.report_uri,
        DriftCheck.created_at, DriftCheck.run_url,
        found["estimate"]["loss"].as_float().label("estimated_loss"),
        func.jsonb_path_query_array(found, "$.columns[*].name").label("watched"),
        func.jsonb_path_query_array(found, "$.columns[*] ? (@.drifted == true)").label("moved"),
        found["prediction"]["drifted"].as_boolean().label("predictions_drifted"),
    ).where(DriftCheck.model == model)  # fmt: skip


def _check_line(row: Any) -> CheckLine:
    moved = tuple(
        MovedColumn(str(c["name"]), c.get("effect"), c.get("sentence") or c.get("change") or "") for c in row.moved
    )
    return CheckLine(
        key=row.key,
        version=row.version,
        drifted=row.drifted,
        reference=row.reference,
        columns=tuple(one.name for one in moved),
        estimated_loss=row.estimated_loss,
        report_uri=row.report_uri,
        created_at=row.created_at,
        run_url=row.run_url,
        moved=moved,
        watched=tuple(map(str, row.watched)),
        predictions_drifted=bool(row.predictions_drifted),
    )


def monitored(session: Session, model: str) -> dict[PartitionKey, MonitorLine]:
    """What the monitor decided on its newest check of each partition, by key and in its order."""
    seen = Decision.evidence
    query = select(
        Decision.key, Decision.kind, Decision.reason, seen["told"], seen["harmed"].as_boolean(), seen["bad"].as_string()
    ).where(Decision.model == model, Decision.dedup_key.startswith(MONITOR, autoescape=True))
    newest = query.distinct(Decision.key).order_by(Decision.key, Decision.id.desc())
    return {
        key: MonitorLine(key, kind, reason, tuple(told or ()), bool(harmed), bad)
        for key, kind, reason, told, harmed, bad in session.execute(newest)
    }
