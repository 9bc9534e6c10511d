"""Rows of PostgreSQL to accepted partitions, against `COPY` to a CSV file of the same queries.

A table of 20 columns (text, timestamps, whole numbers, doubles, numerics, booleans) is cut into days. Each day is
extracted, received and validated in a process of its own, as a task does; its peak memory is that of the process with
all that it imports. `COPY` writes the same query's rows to a file on the same disk, day by day, each right before the
extraction, so that both meet the same load. What a process imports is not counted as time: tasks are forked from a
process that has imported it. The issue's size is 50 million rows; the result says which size was measured.

python -m bench.performance.database_source [MILLION ROWS]      writes bench/results/database_source.json
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.lib.report import number_asked, write
from evergreen.core.names import PartitionKey

DAY_ROWS = 500_000
QUERY = "SELECT * FROM orders WHERE ordered_at >= :start AND ordered_at < :end"
NUMBERS = (
    {f"d{n}": "float" for n in range(6)} | {f"i{n}": "integer" for n in range(5)} | {f"m{n}": "float" for n in (0, 1)}
)
COLUMNS = {"order_id": "string", "ordered_at": "timestamp", "paid_at": "timestamp", "country": "string",
           "note": "string", "gift": "boolean", "again": "boolean"} | NUMBERS  # fmt: skip
MAKE = """
CREATE UNLOGGED TABLE orders AS SELECT 'order-' || n AS order_id,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + (n / {day}) * interval '1 day'
        + (n % {day}) * interval '100 ms' AS ordered_at,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + n * interval '97 ms' AS paid_at,
    (ARRAY['SE','DE','FR','IT'])[1 + n % 4] AS country, 'note ' || n % 1000 AS note,
    n % 3 = 0 AS gift, n % 2 = 0 AS again,
    {numbers}
FROM generate_series(0::bigint, {rows} - 1) n
"""
MODEL = """
name: shop
title: A bench
owner: bench
task: binary
target: returned
calendar: {{period: day, start: 2024-01-01}}
feed:
  name: orders
  entity: order_id
  event_time: ordered_at
  source: {{inputs: {{connection: bench, query: "{query}"}}}}
  tables:
    inputs: {{columns: {columns}}}
    labels: {{columns: {{order_id: string, ordered_at: timestamp, returned: boolean}}}}
features: {{numeric: [d0]}}
alerts: {{to: [bench@example.com]}}
"""
RULES = """
import great_expectations.expectations as gxe


def inputs():
    return [
        gxe.ExpectColumnValuesToBeBetween(column="d0", min_value=0),
        gxe.ExpectColumnValuesToNotBeNull(column="country"),
    ]


def labels():
    return []
"""


def fill(url: str, rows: int) -> None:
    """Make the table in the database at `url`."""
    import psycopg2

    numbers = {
        "d": "(n * 7919 % 100000) / 7.0::float8 + {}",
        "i": "n * {} % 1000003",
        "m": "((n % 10000)::numeric / 100 + {})::numeric(12,2)",
    }
    said = ", ".join(f"{numbers[name[0]].format(name[1])} AS {name}" for name in NUMBERS)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(MAKE.format(day=DAY_ROWS, numbers=said, rows=rows))
    connection.autocommit = True
    for statement in ("CREATE INDEX ON orders (ordered_at)", "VACUUM ANALYZE orders"):
        connection.cursor().execute(statement)
    connection.close()


def copy(url: str, key: str, following: str, target: Path) -> float:
    """Seconds that `COPY` of the day takes."""
    import psycopg2

    from evergreen.core.definition.query import with_bounds

    query = with_bounds(QUERY, *(f"TIMESTAMPTZ '{day} 00:00:00+00'" for day in (key, following)))
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor, target.open("wb") as file:
        begun = time.perf_counter()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv)", file)
        file.flush()
        os.fsync(file.fileno())
        return time.perf_counter() - begun


def measure(model: str, key: PartitionKey) -> dict[str, Any]:
    """One day, in this process."""
    import evergreen.loop.intake.database.postgres
    import evergreen.loop.intake.database.values  # noqa: F401
    from evergreen.core.definition.database_address import from_environment
    from evergreen.core.definition.load import read_definition
    from evergreen.loop.intake.database.extract import extract
    from evergreen.loop.intake.receive import receive
    from evergreen.loop.intake.validate import validate
    from evergreen.preload import preload
    from evergreen.settings import Settings

    preload()
    settings, definition = Settings.from_env(), read_definition(Path(model))
    begun = time.perf_counter()
    extract(definition, "inputs", key, landing_url=settings.landing_url, address_of=from_environment)
    extracted, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    received = receive(definition, "inputs", key, settings=settings)
    found = validate(definition, received.partition_version_id, settings=settings)
    total = time.perf_counter() - begun
    if found.outcome != "accepted":
        raise SystemExit(found.reason)
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"rows": found.rows, "extract": extracted, "total": total, "extract_mib": after / 1024,
            "peak_mib": peaks[0], "child_mib": peaks[1]}  # fmt: skip


def main() -> None:
    """Measure and write the result."""
    from evergreen.core.ledger.migrate import upgrade
    from evergreen.stack.config.home import Home
    from evergreen.stack.control import Stack

    rows = int(1e6 * number_asked("million rows", 2, __doc__))
    with tempfile.TemporaryDirectory() as folder:
        place, stack = Path(folder), Stack(Home(Path(folder) / "stack"), only=("postgres", "databases"))
        try:
            stack.start(tied=True)
            env = stack.environment()
            url = env["EVERGREEN_LEDGER_URL"].replace("+psycopg2", "")
            upgrade(env["EVERGREEN_LEDGER_URL"])
            fill(url, rows)
            model = place / "models" / "shop" / "model.yaml"
            model.parent.mkdir(parents=True)
            said = "{" + ", ".join(f"{name}: {kind}" for name, kind in COLUMNS.items()) + "}"
            model.write_text(MODEL.format(query=QUERY, columns=said))
            (model.parent / "expectations.py").write_text(RULES)
            runs, copies = _days(place, model, url, env, -(-rows // DAY_ROWS))
        finally:
            stack.stop()
    _write(rows, runs, copies)


def _days(
    place: Path, model: Path, url: str, env: dict[str, str], days: int
) -> tuple[list[dict[str, float]], list[float]]:
    import datetime as dt

    own = {**os.environ, **env, "EVERGREEN_DATABASE_BENCH": url, "EVERGREEN_MODELS_DIR": str(model.parents[1])}
    runs, copies = [], []
    for number in range(days):
        day = dt.date(2024, 1, 1) + dt.timedelta(days=number)
        copies.append(copy(url, str(day), str(day + dt.timedelta(days=1)), place / "copy.csv"))
        command = [sys.executable, "-m", __spec__.name, "--measure", str(model), str(day)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=own)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{day}: COPY {copies[-1]:.2f} s, extract {runs[-1]['extract']:.2f} s, all {runs[-1]['total']:.2f} s")
    return runs, copies


def _write(rows: int, runs: list[dict[str, float]], copies: list[float]) -> None:
    extracted, total, copied = sum(r["extract"] for r in runs), sum(r["total"] for r in runs), sum(copies)
    peak = max(max(run["peak_mib"], run["child_mib"]) for run in runs) / 1024
    bars = {
        "wall, PostgreSQL to accepted partitions over COPY to CSV": {
            "value": total / copied, "bar": "<= 2", "reached": total <= 2 * copied,
        },
        "wall, PostgreSQL to the landing zone over COPY to CSV": {
            "value": extracted / copied, "bar": "<= 2", "reached": extracted <= 2 * copied,
        },
        "peak memory": {"value": peak, "unit": "GiB", "bar": "<= 0.93 (1 GB)", "reached": peak <= 1e9 / 2**30},
    }  # fmt: skip
    measured = {"rows": rows, "columns": len(COLUMNS), "rows_of_a_day": DAY_ROWS, "copy": copies, "runs": runs}
    write("database_source", bars=bars, measured=measured)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(json.dumps(measure(sys.argv[-2], PartitionKey(sys.argv[-1]))))
    else:
        main()
