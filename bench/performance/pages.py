"""The pages of 100 models with three years of daily partitions and 50 champions each: time from request to HTML.

The ledger is filled by SQL, with every row that the pages read: landed tables, verdicts, features, predictions, losses,
checks, decisions, trainings, deployments, coverages. The application is called in this process, on an embedded
PostgreSQL; not counted are the network, Airflow's login and the browser. Each page is asked for once before it is
timed; the value is the median.

python -m bench.performance.pages [MODELS]            writes bench/results/pages.json
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.lib.figures import PROJECT
from bench.lib.report import number_asked, write

DAYS, CHAMPIONS, REPEATS = 1095, 50, 7
BAR_MS = 200
COLUMNS = ", ".join(
    f'{{"name": "c{n}", "drifted": {"true" if n < 3 else "false"}, "effect": 0.3, "sentence": "c{n} has moved up"}}'
    for n in range(15)
)
CLUSTERS = ", ".join(f'{{"name": "{n}", "rows": 5, "loss": 0.2{n}, "expected": 0.2}}' for n in range(3))
FILL = f"""
CREATE TEMP TABLE days AS
    SELECT 'm' || lpad(m::text, 3, '0') AS model, to_char(date '2023-01-01' + k, 'YYYY-MM-DD') AS key
    FROM generate_series(1, %(models)s) m, generate_series(0, {DAYS - 1}) k;
INSERT INTO partition_version (model, "table", key, version, content_hash, landed_uri, raw_uri, bytes, rows, landed_at)
    SELECT model, t, key, 1, model || key, 'file:///landed', 'file:///raw', 10, 10, now()
    FROM days, unnest(ARRAY['inputs', 'labels']) t;
INSERT INTO verdict (partition_version_id, suite_hash, outcome, reason, failures, rows_accepted, rows_rejected)
    SELECT id, 's', 'accepted', '10 rows; 3 of 3 expectations hold', '[]', 10, 0 FROM partition_version;
INSERT INTO snapshot (model, key, version, build_hash, inputs_version_id, labels_used, inputs_looked_back,
                      labels_missing, code_hash, git_commit, dvc_path, dvc_hash, content_hash, rows)
    SELECT model, key, 1, 'b', id, '{{}}', '{{}}', '[]', 'c', 'g', 'p', 'h' || id, 'c', 10
    FROM partition_version WHERE "table" = 'inputs';
INSERT INTO prediction (model, key, snapshot_id, version, uri, content_hash, rows, mean)
    SELECT model, key, id, 1, 'file:///predictions', 'c', 10, 0.2 FROM snapshot;
INSERT INTO performance (model, key, prediction_id, labels_version_id, version, rows, loss, clusters, metrics)
    SELECT p.model, p.key, p.id, l.id, 1, 10, 0.2 + 0.05 * (l.id %% 7), '[{CLUSTERS}]', '{{}}'
    FROM prediction p JOIN partition_version l ON l.model = p.model AND l.key = p.key AND l."table" = 'labels';
INSERT INTO drift_check (model, key, input_hash, prediction_id, version, reference, drifted, results)
    SELECT model, key, 'h', id, 1, 'the holdout', true,
           '{{"columns": [{COLUMNS}], "estimate": {{"loss": 0.2}}, "prediction": {{"drifted": false}}}}'
    FROM prediction;
INSERT INTO decision (model, kind, key, dedup_key, reason, evidence, decided_by)
    SELECT model, 'no_action', key, 'monitor:' || key || ':h', 'nothing',
           '{{"told": [], "harmed": false, "version": 1, "cause": null, "drifted": []}}', 'policy' FROM days;
INSERT INTO training_run (model, cause, cause_key, reason, state, as_of, dataset, dataset_hash, git_commit, version,
                          code_version, code_hash, lock_hash, seed)
    SELECT DISTINCT model, 'age', 'age:' || v, 'r', 'promoted', '2023-01-20',
           '{{"train_keys": ["2022-12-01"], "holdout_keys": ["2022-12-08"], "snapshots": {{}}}}'::jsonb, 'd', 'g', v,
           'c', 'c', 'l', 1 FROM days, generate_series(1, {CHAMPIONS}) v;
INSERT INTO decision (model, kind, key, dedup_key, reason, evidence, decided_by)
    SELECT DISTINCT model, 'promote', '2023-02-01', 'gate:' || model || v, 'better', '{{}}'::jsonb, 'policy'
    FROM days, generate_series(1, {CHAMPIONS}) v;
INSERT INTO deployment (model, version, decision_id, from_key)
    SELECT model, row_number() OVER (PARTITION BY model ORDER BY id), id, '2023-02-01' FROM decision
    WHERE kind = 'promote';
INSERT INTO label_coverage (model, key, inputs_version_id, inputs_rows, labels_version_id, labels_rows, target, inputs,
                            labelled)
    SELECT i.model, i.key, i.id, '', l.id, '', 'late', 10, 9 FROM partition_version i
    JOIN partition_version l ON l.model = i.model AND l.key = i.key AND l."table" = 'labels' WHERE i."table" = 'inputs';
"""


def fill(ledger_url: str, models: int) -> None:
    """Write the lives of the models."""
    from sqlalchemy import create_engine, text

    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        for statement in filter(str.strip, FILL.split(";\n")):
            connection.exec_driver_sql(statement, {"models": models})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def define(models: int, folder: Path) -> None:
    """Daily models without an end, made from the shipped one."""
    shipped = (PROJECT / "include" / "models" / "nyc_flights" / "model.yaml").read_text()
    for old, new in (
        ("period: week", "period: day"), ("start: 2013-01-07", "start: 2023-01-01"), ("  end: 2013-12-23", "  #"),
    ):  # fmt: skip
        shipped = shipped.replace(old, new)
    for number in range(1, models + 1):
        (folder / f"m{number:03d}").mkdir(parents=True)
        text = shipped.replace("name: nyc_flights", f"name: m{number:03d}", 1)
        (folder / f"m{number:03d}" / "model.yaml").write_text(text)


def timed(settings: Any, paths: dict[str, str]) -> Iterator[tuple[str, float, int]]:
    """Name, median milliseconds and bytes of each page."""
    from fastapi.testclient import TestClient

    from evergreen.web.app import create_app

    client = TestClient(create_app(settings=lambda: settings, identify=lambda: "bench", may_read=lambda *_: True))
    for name, path in paths.items():
        size, took = len(client.get(path).raise_for_status().content), []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            client.get(path).raise_for_status()
            took.append(1000 * (time.perf_counter() - begun))
        yield name, statistics.median(took), size


def main() -> None:
    """Measure and write the result."""
    models = int(number_asked("models", 100, __doc__))
    from evergreen.settings import Settings
    from evergreen.stack.config.home import Home
    from evergreen.stack.control import Stack

    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Home(Path(folder) / "stack"), only=("postgres", "databases", "ledger-migrate"))
        try:
            stack.start(tied=True)
            settings = Settings.from_env(stack.environment())
            settings = settings.model_copy(update={"models_dir": Path(folder) / "models"})
            define(models, settings.models_dir)
            fill(settings.ledger_url.get_secret_value(), models)
            paths = {
                "overview": "/", "a model": "/models/m001", "a model, 1,000 partitions": "/models/m001?last=1000",
                "its verdicts": "/models/m001/verdicts",
            }  # fmt: skip
            found = list(timed(settings, paths))
        finally:
            stack.stop()
    write(
        "pages",
        bars={
            name: {"value": round(took, 1), "bar": f"<= {BAR_MS}", "unit": "ms", "reached": took <= BAR_MS}
            for name, took, _ in found
        },
        measured={
            "models": models, "days": DAYS, "champions": CHAMPIONS, "bytes": {name: size for name, _, size in found},
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
