"""Predictions on request: how long an answer takes over HTTP, and whether it is the batch's.

A champion is made of nine weeks of flights; the tenth has landed and been scored. Its rows are then asked for from the
stack's own server, by one client that waits for each answer and by eight at once: as `model.yaml` says, with the week's
6,500 flights beside each request (`online.context: partition`), and without. Clients run on the same cores. Each
answer is on record in PostgreSQL before it is given.

    python -m bench.performance.online [REQUESTS]   (default 200 of each size) writes bench/results/online.json
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd

from bench.lib.report import number_asked, write
from bench.performance.year import SERVERS, bring_in, train
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import decisions, partitions
from evergreen.core.names import PartitionKey
from evergreen.settings import Settings
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.control import Stack
from evergreen.tools.demo.story import HISTORY

MODEL = "nyc_flights"
SIZES = (1, 10, 100, 1000)
CLIENTS, SECONDS = 8, 10
OWN_BARS = {"partition": 100, "request": 60}
"""Milliseconds within which 95 % of the answers to one row should be there. Ours: no bar was set for this."""


def main(requests: int) -> None:
    """Measure with and without context, and write the result."""
    measured: dict[str, Any] = {}
    bars: dict[str, dict[str, Any]] = {}
    for context, own in OWN_BARS.items():
        with tempfile.TemporaryDirectory(prefix="evergreen-online-") as folder:
            found = measured[context] = measure(context, requests, Path(folder))
        title = {"partition": "one row beside its partition", "request": "one row alone"}[context]
        p95 = found["one client, ms"]["1"]["p95"]
        bars[f"{title}, 95 % of answers within"] = {"value": p95, "bar": own, "unit": "ms", "reached": p95 <= own}
    differing = measured["partition"]["differing"]
    bars["rows that the batch predicts otherwise"] = {
        "value": differing, "bar": 0, "unit": f"of {measured['partition']['rows']}", "reached": differing == 0,
    }  # fmt: skip
    write("online", bars=bars, measured=measured)


def measure(context: str, requests: int, folder: Path) -> dict[str, Any]:
    """What the server of a stack of its own takes."""
    os.environ["EVERGREEN_MODELS_DIR"] = str(models(context, folder))
    stack = Stack(Home(folder / "stack"), only=(*SERVERS, "online"))
    stack.start(tied=True)
    try:
        os.environ.update(stack.environment())
        definition, settings = load_definition(MODEL), Settings.from_env()
        key = live(definition, settings)
        rows, batch = landed(definition, settings, key)
        address = f"{stack.urls['online']}/v1/models/{MODEL}/predictions"
        with httpx.Client(headers={"Authorization": f"Bearer {stack.online_token}"}, timeout=60) as client:
            ask(client, address, rows, 1000, 0)  # loads the model
            waits = {str(size): one_by_one(client, address, rows, size, requests) for size in SIZES}
            rate = at_once(client, address, rows)
            compared = ask(client, address, rows, min(len(batch), 1000), 1)["predictions"]
        given = {row["flight_id"]: row["prediction"] for row in compared}
        differing = sum(abs(value - batch[name]) > 1e-9 for name, value in given.items())
        return {
            "one client, ms": waits,
            "eight clients, answers a second": rate,
            "rows": len(given),
            "differing": differing,
        }
    finally:
        stack.stop()


def models(context: str, folder: Path) -> Path:
    """The shipped definitions, with this context."""
    copied = folder / "models"
    shutil.copytree(PROJECT / "include" / "models", copied, ignore=shutil.ignore_patterns("__pycache__"))
    path = copied / MODEL / "model.yaml"
    path.write_text(path.read_text().replace("context: partition", f"context: {context}"))
    return copied


def live(definition: ModelDefinition, settings: Settings) -> PartitionKey:
    """Nine weeks, a champion, and a tenth that is scored; the key of that."""
    from evergreen.loop.scoring.score import score
    from evergreen.tools.simulator.land import land

    calendar = definition.partitions
    first = calendar.key_of(definition.calendar.start)
    keys = calendar.keys(first, calendar.shift(first, HISTORY))
    land(definition, keys, landing_url=settings.landing_url)
    for number, key in enumerate(keys):
        bring_in(definition, key, settings, labels=number > 0)
    cause = {"cause": "first", "cause_key": "first", "reason": "bench", "as_of": keys[HISTORY - 2]}
    train(definition, settings, cause)
    score(definition, keys[-1], settings=settings)
    return keys[-1]


def landed(
    definition: ModelDefinition, settings: Settings, key: PartitionKey
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The partition's rows as a client sends them, and what the batch predicted for each."""
    from evergreen.loop.intake.accepted_rows import read_clean
    from evergreen.loop.scoring.score import read_predictions

    with Ledger.from_settings(settings).transaction() as session:
        current = partitions.current(session, definition.name, "inputs", key)
        batch = decisions.current_predictions(session, definition.name, key)[key]
    assert current is not None
    frame = read_clean(current[1], settings).astype(object)
    rows = json.loads(
        json.dumps(
            [{c: None if pd.isna(v) else v for c, v in row.items()} for row in frame.to_dict("records")], default=str
        )
    )
    made = read_predictions(batch, settings)
    return rows, dict(zip(made["flight_id"], made["prediction"], strict=True))


def ask(client: httpx.Client, address: str, rows: list[dict[str, Any]], size: int, seed: int) -> dict[str, Any]:
    """The answer to `size` of the rows, drawn by `seed`."""
    chosen = np.random.default_rng(seed).choice(len(rows), size, replace=False)
    answer = client.post(address, json={"rows": [rows[n] for n in chosen]})
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def one_by_one(
    client: httpx.Client, address: str, rows: list[dict[str, Any]], size: int, requests: int
) -> dict[str, float]:
    """Milliseconds until an answer, of a client that waits for each: quantiles."""
    taken = []
    for seed in range(requests):
        begun = time.perf_counter()
        ask(client, address, rows, size, seed)
        taken.append(1000 * (time.perf_counter() - begun))
    quantiles = pd.Series(taken).quantile([0.5, 0.95, 0.99])
    return {f"p{round(100 * q)}": round(float(ms), 1) for q, ms in zip(quantiles.index, quantiles, strict=True)}


def at_once(client: httpx.Client, address: str, rows: list[dict[str, Any]]) -> float:
    """Answers to one row each that eight clients together get in a second."""
    until = time.perf_counter() + SECONDS

    def keep_asking(first: int) -> int:
        count = 0
        while time.perf_counter() < until:
            ask(client, address, rows, 1, first + count)
            count += 1
        return count

    with ThreadPoolExecutor(CLIENTS) as pool:
        answered = sum(pool.map(keep_asking, range(0, CLIENTS * 1000, 1000)))
    return round(answered / SECONDS, 1)


if __name__ == "__main__":
    main(int(number_asked("requests of each size", 200, __doc__)))
