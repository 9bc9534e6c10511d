"""What is kept of a quarantined partition, and the mail that tells of it. Pure: from a judgement to JSON and words."""

from __future__ import annotations

import json
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.outbox import AlertBody, Links, Table
from evergreen.core.ledger.tables import PartitionVersion
from evergreen.core.names import ObjectName, Uri
from evergreen.core.store import layout
from evergreen.core.text import plain
from evergreen.loop.intake.failures import critical
from evergreen.loop.intake.validation.judgement import Judgement

_CELL = 200


def sample_name(partition: PartitionVersion, suite_hash: str) -> ObjectName:
    """Name of the sample's object in the store."""
    name = f"sample-{suite_hash[:8]}.json"
    return layout.quarantine(partition.model, partition.table, partition.key, partition.content_hash, name)


def rejected_name(partition: PartitionVersion, suite_hash: str) -> ObjectName:
    """Name of the object that holds the rows which were kept out of an accepted partition."""
    name = f"rejected-{suite_hash[:8]}.parquet"
    return layout.quarantine(partition.model, partition.table, partition.key, partition.content_hash, name)


def sample_json(partition: PartitionVersion, judgement: Judgement) -> str:
    """The failures and some of the rows that break each of them, as JSON text; values are escaped text."""
    rows = {row: _values(judgement, row) for failure in judgement.failures for row in failure.rows}
    content = {
        "model": partition.model,
        "table": partition.table,
        "key": partition.key,
        "version": partition.version,
        "content_hash": partition.content_hash,
        "reason": judgement.reason,
        "failures": [failure.to_json() for failure in judgement.failures],
        "rows": [{"row": row, "values": values} for row, values in sorted(rows.items())],
    }
    return json.dumps(content, indent=1)


def _values(judgement: Judgement, row: int) -> dict[str, Any]:
    if judgement.frame is None or row >= len(judgement.frame):
        return {}
    return {str(name): plain(value, _CELL) for name, value in judgement.frame.iloc[row].items()}


def alert_body(
    definition: ModelDefinition,
    partition: PartitionVersion,
    judgement: Judgement,
    sample_uri: Uri,
    *,
    results_uri: Uri | None,
    airflow_url: str,
    run_url: str | None,
) -> AlertBody:
    """The mail about a quarantined partition version.

    Args:
        definition: of the model.
        partition: what landed.
        judgement: why it is quarantined.
        sample_uri: where some of its bad rows are kept.
        results_uri: where Great Expectations' full result is kept; None if the file never came to it.
        airflow_url: address of Airflow, whose form takes partitions out of quarantine.
        run_url: address of the task's log.
    """
    page_uri = layout.data_docs(results_uri) if results_uri else None
    worst, replay = critical(judgement.failures), f"{definition.name}.replay_quarantine"
    command = f"evergreen replay-quarantine {definition.name} --partition {partition.key}"
    what = f"{partition.table} of {partition.key}"
    rows = f"{judgement.rows:,}" if judgement.rows is not None else "could not be read"
    return AlertBody(
        headline=f"{what} did not pass validation and was put into quarantine",
        summary=f"{judgement.reason}. Nothing downstream ran on it: features, champion and history are as they were.",
        facts=[
            ("Feed", definition.feed.name),
            ("Partition", f"{partition.key}, {partition.table}, version {partition.version}"),
            ("Rows", rows),
            ("Landed as", partition.landed_uri),
            ("Landed at", f"{partition.landed_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("Kept as", partition.raw_uri),
            ("Bad rows, some", sample_uri),
            ("Validation result", results_uri or "none: the file was refused before any expectation was tried"),
            ("SHA-256", partition.content_hash),
        ],
        table=Table(
            columns=["Column", "What is wrong", "Rows", "Examples"],
            rows=[[f.column or "(file)", f.sentence, f.count, ", ".join(f.sample)] for f in worst],
        ),
        next_steps=[
            f"If the file is wrong: ask {definition.owner} to land {partition.table} of {partition.key} again, with "
            "_SUCCESS last. It becomes the next version.",
            f"If the rule is wrong: correct include/models/{definition.name}/expectations.py.",
            f"Then have it validated again: trigger the DAG {replay} (its form is linked), or run `{command}`. What "
            "passes flows on as if it had just arrived.",
        ],
        links=Links(log=run_url, report=page_uri, form=f"{airflow_url.rstrip('/')}/dags/{replay}"),
    )
