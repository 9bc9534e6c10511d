"""R1, R3, R5: processes of every kind are killed, stopped and starved while weeks of real flights go by.

Each run brings a stack up in a folder of its own, replays weeks through it under faults drawn from a seed, has two
backfills, a retrain and a rollback run at once, waits for the system to recover, and audits everything that is kept
(`evergreen verify`). What a seed fixes is which faults come in which order after which pauses; which task they meet is
the machine's affair.

    python -m bench.resilience.chaos [--seeds 1 2 3] [--faults 60] [--weeks 15]     writes bench/results/chaos.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.lib.figures import RESULTS
from bench.lib.report import write
from bench.performance.year import SERVERS
from bench.resilience.faults.calls import Calls
from bench.resilience.faults.calls import replay as replay_calls
from bench.resilience.faults.clock import Clock, compiler
from bench.resilience.faults.injector import Injector
from bench.resilience.faults.recovery import recover
from bench.resilience.faults.replay import HISTORY, Replay, again
from bench.resilience.faults.result import ending
from bench.resilience.faults.schedule import KINDS, USUAL, faults
from evergreen.cli.verify import read_runs
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.operations.audit.audit import Audit, audit
from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack

DISK = "4g"
"""Size of the file system that a run gets for itself, if this process may mount one"""
KILLS = 50


def run(definition: ModelDefinition, seed: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One stack, one seed; what was done to it and what disagreed afterwards."""
    begun = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {words}", flush=True)

    calendar = definition.partitions
    first = calendar.key_of(definition.calendar.start)
    if options.calls:
        return run_calls(definition, seed, options, folder, say)
    kinds = frozenset(options.kinds or USUAL)
    clock = preload_clock(folder, options.shape) if "clock" in kinds else None
    stack = Stack(Home(folder / "stack"), shape=options.shape)
    stack.start(tied=True)
    try:
        os.environ.update(stack.environment())
        replay = Replay(stack, definition, calendar.keys(first, calendar.shift(first, options.weeks - 1)), say)
        drawn = faults(seed, stack.shape.name, kinds)
        injector = Injector(stack, drawn, replay.duplicate, options.faults, say, clock)
        injector.start()
        try:
            replay.run()
            replay.all_at_once()
            replay.wait_until_idle()
        finally:
            injector.finish()
        recovered = recover(replay)
        found = again(lambda: check(definition, stack))
        return {
            "topology": stack.shape.name,
            "seed": seed,
            "weeks": options.weeks,
            "at_once": True,
            "faults": dict(sorted(injector.done.items())),
            "kills": injector.kills,
            "stack_starts": injector.starts,
            "restarts_by_the_supervisor": sum(s.restarts for s in stack.status().services.values()),
            "runs_started_by_housekeeping": recovered.by_housekeeping,
            "runs_cleared_by_a_person": recovered.by_a_person,
            **ending(found, begun, say),
        }
    finally:
        stack.stop()


def preload_clock(folder: Path, shape: str | None) -> Clock:
    """A clock that can be set, for all processes that are started from now on."""
    if compiler() is None or shape == "cluster":
        raise SystemExit("chaos: the kind `clock` needs a C compiler (Debian: gcc) and the embedded shape")
    clock = Clock(folder)
    os.environ.update(clock.environment())
    return clock


def run_calls(
    definition: ModelDefinition, seed: int, options: argparse.Namespace, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """One replay without Airflow: the calls that its tasks make, killed and begun again."""
    from evergreen.preload import preload

    begun, calendar = time.monotonic(), definition.partitions
    first = calendar.key_of(definition.calendar.start)
    stack = Stack(Home(folder / "stack"), only=SERVERS)
    stack.start(tied=True)
    try:
        os.environ.update(stack.environment())
        preload()
        settings, calls = Settings.from_env(), Calls(stack, seed, options.faults, say)
        replay_calls(
            calls, definition, calendar.keys(first, calendar.shift(first, options.weeks - 1)), HISTORY, settings
        )
        now = dt.datetime.now(dt.UTC)
        found = again(lambda: audit(definition, settings=settings, now=now, mail_folder=stack.home.mail))
        return {
            "topology": "calls of the tasks, without Airflow",
            "seed": seed,
            "weeks": options.weeks,
            "at_once": False,
            "faults": dict(sorted(calls.done.items())),
            "kills": calls.kills,
            "restarts_by_the_supervisor": sum(s.restarts for s in stack.status().services.values()),
            **ending(found, begun, say),
        }
    finally:
        stack.stop()


def check(definition: ModelDefinition, stack: Stack) -> Audit:
    """The audit, of a stack in which nothing runs: nothing is in progress."""
    runs = read_runs(stack.airflow, definition.name)
    now = dt.datetime.now(dt.UTC)
    return audit(definition, settings=Settings.from_env(), now=now, mail_folder=stack.home.mail, airflow=runs)


@contextmanager
def folder(seed: int, keep: bool) -> Iterator[Path]:
    """A folder for one run, on a file system of its own if this process may mount one."""
    path = Path(tempfile.mkdtemp(prefix=f"evergreen-chaos-{seed}-"))
    path.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(path)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    try:
        yield path
    finally:
        if keep and mounted.returncode == 0:
            shutil.copytree(path, f"{path}-kept", symlinks=True, dirs_exist_ok=True)
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(path)], check=False)
        shutil.rmtree(path, ignore_errors=True)


def bars_of(topology: str, runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the runs of one topology reached."""
    wrong, kills = sum(len(one["disagreements"]) for one in runs), sum(one["kills"] for one in runs)
    unit = f"disagreements after {kills} kills (of {KILLS})"
    bars = {f"R1, {topology}": {"value": wrong, "bar": 0, "unit": unit, "reached": not wrong and kills >= KILLS}}
    if any(one["at_once"] for one in runs):
        # If one version has served alone the rollback is refused: there is nothing to go back to.
        back = sum(one["compared"]["deployments"] > 1 for one in runs if one["at_once"])
        unit = f"disagreements, {back} rollbacks carried out"
        bars[f"R3, {topology}"] = {"value": wrong, "bar": 0, "unit": unit, "reached": bool(back) and not wrong}
    return bars


def report(run: dict[str, Any], *, append: bool) -> None:
    """Write the result, with `run` after those that it holds already if they are to be kept."""
    path = RESULTS / "chaos.json"
    runs = list(json.loads(path.read_text())["runs"]) if append and path.exists() else []
    runs.append(run)
    counts = Counter[str]()
    for one in runs:
        counts.update(one["faults"])
    bars: dict[str, Any] = {}
    for topology in dict.fromkeys(one["topology"] for one in runs):
        bars |= bars_of(topology, [one for one in runs if one["topology"] == topology])
    kills = sum(one["kills"] for one in runs)
    write("chaos", bars=bars, measured={"kills": kills, "faults": dict(sorted(counts.items()))}, runs=runs)


def main() -> None:
    """Run, and write the result after each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--faults", type=int, default=60, help="of one run, at most")
    parser.add_argument("--weeks", type=int, default=15)
    parser.add_argument("--shape", choices=("embedded", "cluster"), default=None)
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), help="only these; clock only where named")
    parser.add_argument("--calls", action="store_true", help="without Airflow: the calls that its tasks make")
    parser.add_argument("--append", action="store_true", help="keep the runs that the result holds already")
    parser.add_argument("--keep", action="store_true", help="keep a copy of each stack's folder")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    outside = dict(os.environ)
    for number, seed in enumerate(options.seeds):
        print(f"seed {seed}", flush=True)
        with folder(seed, options.keep) as path:
            made = run(load_definition("nyc_flights"), seed, options, path)
        os.environ.clear()
        os.environ.update(outside)
        report(made, append=options.append or number > 0)


if __name__ == "__main__":
    main()
