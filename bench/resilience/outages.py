"""R4: SMTP, MLflow and the DVC remote are away for ten minutes each, while a week comes in and a model is trained.

Servers are not stopped: their network is cut, so that every packet from and to them vanishes and nobody is refused.
The embedded shape keeps the DVC remote in a folder; there an empty file system, read only, is mounted over it, as a
lost network drive looks. Afterwards everything has to end by itself, and an independent audit (`evergreen verify`)
compares all that is kept and every mail that arrived. Needs root and iptables.

    python -m bench.resilience.outages [--shape cluster] [--seconds 600]     writes bench/results/outages.json
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.lib.figures import RESULTS
from bench.lib.report import write
from bench.resilience.chaos import check
from bench.resilience.faults import network
from bench.resilience.faults.recovery import recover
from bench.resilience.faults.replay import HISTORY, Replay, again
from bench.resilience.faults.result import ending
from evergreen.core.definition import load_definition
from evergreen.core.ledger.tables import DriftCheck, Prediction
from evergreen.core.names import PartitionKey
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from evergreen.stack.process import state as states

AWAY = {"embedded": ("mail", "mlflow", "dvc"), "cluster": ("mailpit", "mlflow", "features-git", "s3")}
"""What is cut off, one after the other; `dvc` is a folder, and `s3` in the cluster shape the DVC remote and more."""
STAGES = ("ingest_inputs", "ingest_labels", "monitor")


@contextmanager
def away(stack: Stack, service: str) -> Iterator[None]:
    """The service cannot be reached in here."""
    if service == "dvc":
        folder = str(stack.home.features_dvc)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=4k", "tmpfs", folder], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        return
    cuts = network.Cuts(states.read(stack.home.state).ports)
    cuts.cut(service)
    try:
        yield
    finally:
        cuts.mend(service)


def outage(replay: Replay, service: str, key: PartitionKey, seconds: float) -> dict[str, Any]:
    """One week and one training while the service is away; what waited, and how long it took afterwards."""
    label_key = replay.definition.partitions.shift(key, -replay.definition.feed.label_delay)
    again(lambda: replay.story.land([key]))
    replay.say(f"{service} is away; {key} comes in")
    with away(replay.stack, service):
        for stage in STAGES:
            of = label_key if stage == "ingest_labels" else key
            replay.trigger(stage, {}, f"{service}__{of}", of)
        asked = {"cause": "operator", "cause_key": service, "reason": f"{service} is away", "as_of": label_key}
        replay.trigger("train", asked, f"train-{service}")
        time.sleep(seconds)
        waiting = states_of(replay)
        replay.say(f"after {seconds:.0f} s: {waiting}")
    begun = time.monotonic()
    replay.wait(lambda: replay.missing(Prediction, [key]), "predictions")
    replay.wait(lambda: replay.missing(DriftCheck, [key]), "checks")
    replay.wait(lambda: [] if replay.judged(service) else ["a verdict"], "training")
    replay.wait_until_idle()
    took = round(time.monotonic() - begun)
    replay.say(f"all done {took} s after it was back")
    return {"away": service, "seconds": seconds, "when_it_came_back": waiting, "all_done_after_seconds": took}


def states_of(replay: Replay) -> dict[str, int]:
    """Task instances of the model's runs that have not ended, or failed, by state."""
    runs = [run for run in again(lambda: replay.airflow.dag_runs()) if run["state"] not in ("success",)]
    ours = [run for run in runs if run["dag_id"].startswith(f"{replay.definition.name}.")]
    found = Counter[str]()
    for run in ours:
        tasks = again(partial(replay.airflow.task_instances, run["dag_id"], run["dag_run_id"]))
        found.update(str(task["state"]) for task in tasks if task["state"] not in ("success", "skipped", None))
    return dict(sorted(found.items()))


def failed(replay: Replay) -> tuple[list[str], list[str]]:
    """Runs of the model that failed, and others: a run of the housekeeping that fails has the next one do its work."""
    runs = again(lambda: replay.airflow.dag_runs(state="failed"))
    ours, others = list[str](), list[str]()
    for run in runs:
        of_the_model = run["dag_id"].startswith(f"{replay.definition.name}.")
        (ours if of_the_model else others).append(f"{run['dag_id']} {run['dag_run_id']}")
    return ours, others


def measure(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """One stack, one outage after the other, and the audit."""
    definition = load_definition("nyc_flights")
    calendar = definition.partitions
    first, begun = calendar.key_of(definition.calendar.start), time.monotonic()
    stack = Stack(Home(folder / "stack"), shape=options.shape)
    stack.start(tied=True)
    try:
        os.environ.update(stack.environment())
        services = options.away or AWAY[stack.shape.name]
        keys = calendar.keys(first, calendar.shift(first, HISTORY + len(services) - 1))
        replay = Replay(stack, definition, keys[:HISTORY], say)
        replay.begin()
        outages = [outage(replay, s, key, options.seconds) for s, key in zip(services, keys[HISTORY:], strict=True)]
        broken, others = failed(replay)
        recovered = recover(replay)
        found = again(lambda: check(definition, stack))
        return {
            "topology": stack.shape.name,
            "outages": outages,
            "failed_runs": broken,
            "other_failed_runs": others,
            "runs_started_by_housekeeping": recovered.by_housekeeping,
            "runs_cleared_by_a_person": recovered.by_a_person,
            **ending(found, begun, say),
        }
    finally:
        stack.stop()


def report(run: dict[str, Any]) -> None:
    """Write the result, in place of the one of the same shape."""
    path = RESULTS / "outages.json"
    runs = json.loads(path.read_text())["runs"] if path.exists() else []
    runs = [one for one in runs if one["topology"] != run["topology"]] + [run]
    bars = {}
    for one in runs:
        wrong = len(one["disagreements"]) + len(one["failed_runs"]) + one["compared"]["mails that arrived twice"]
        who = ", ".join(f"{o['away']} {o['seconds']:.0f} s" for o in one["outages"])
        long = all(o["seconds"] >= 600 for o in one["outages"])
        others = len(one["other_failed_runs"])
        unit = f"disagreements, failed runs, mails twice ({who}; {others} runs of the housekeeping failed)"
        bars[f"R4, {one['topology']}"] = {"value": wrong, "bar": 0, "unit": unit, "reached": not wrong and long}
    write("outages", bars=bars, measured={}, runs=runs)


def main() -> None:
    """Measure one shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("embedded", "cluster"), default=None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--away", nargs="+", help="only these")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    if not network.possible():
        raise SystemExit("outages: needs root and iptables, to cut a network (Debian: iptables)")
    begun = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {words}", flush=True)

    with tempfile.TemporaryDirectory(prefix="evergreen-outages-") as folder:
        Path(folder).chmod(0o755)
        report(measure(Path(folder), options, say))


if __name__ == "__main__":
    main()
