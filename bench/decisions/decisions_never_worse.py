"""D9: what evergreen loses beside the better of *never retrain* and *retrain each partition*, stream by stream.

Real streams and made-up ones (`bench/lib/own_streams.py`), half of which may be looked at while a default is chosen;
the other half is held out. Which is which follows from the name alone. A fast candidate stands for the search.
Beside the defaults, `monitoring.learned_pace` is measured on the same challengers.

python -m bench.decisions.decisions_never_worse [WHICH]
    0: the development half, 1: the held-out one, 2: both (default); writes bench/results/decisions_never_worse.json
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from typing import Any

from bench.lib.own_streams import at_learned_pace, challengers, followed, half, streams
from bench.lib.packaged import VERSIONS
from bench.lib.report import number_asked, write
from evergreen.tools.backtest.challengers import Fits
from evergreen.tools.backtest.oracle import Losses, oracle
from evergreen.tools.backtest.policies import Evergreen, Every, Never
from evergreen.tools.backtest.simulate import simulate

LIMIT = 1.02
RETURNS = "recurring"
"""Streams whose change recurs: below both simple ways"""


def measure(fits: Fits) -> dict[str, Any]:
    """Mean losses of the ways, and how often each trained and promoted."""
    never, each, ours = (simulate(fits, policy) for policy in (Never(), Every(), Evergreen()))
    paced = simulate(at_learned_pace(fits), Evergreen())
    best = min(never.mean_loss, each.mean_loss)
    return {
        "partitions": len(ours.steps),
        "never": never.mean_loss,
        "each": each.mean_loss,
        "evergreen": ours.mean_loss,
        "oracle": oracle(Losses.of(fits), 0.0).mean_loss,
        "ratio": ours.mean_loss / best,
        "trainings": ours.trainings,
        "promotions": ours.promotions,
        "rollbacks": ours.rollbacks,
        "learned_pace": {
            "loss": paced.mean_loss, "ratio": paced.mean_loss / best, "trainings": paced.trainings,
            "promotions": paced.promotions,
        },
    }  # fmt: skip


def main() -> None:
    """Measure and write the result."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    which, started = int(number_asked("0 development half, 1 held-out half, 2 both", 2, __doc__)), time.monotonic()
    wanted = (("development",), ("held out",), ("development", "held out"))[which]
    found: dict[str, dict[str, Any]] = {}
    for name, make in streams().items():
        if half(name) in wanted:
            found[name] = measure(challengers(followed(make()))) | {"half": half(name)}
            print(name, json.dumps(found[name]), flush=True)
    write("decisions_never_worse", bars=bars(found), measured={
        "streams": found, "seconds": round(time.monotonic() - started),
    }, packages=VERSIONS)  # fmt: skip


def bars(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One bar a stream."""
    made: dict[str, dict[str, Any]] = {}
    for name, one in found.items():
        limit = 1.0 if name.startswith(RETURNS) else LIMIT
        best = min(one["never"], one["each"])
        usual = {way: one[way] / best for way in ("never", "each", "oracle")}
        usual |= {"learned pace": one["learned_pace"]["ratio"]}
        made[f"D9 {name} ({one['half']})"] = {
            "value": one["ratio"], "bar": f"<= {limit:g}", "reached": one["ratio"] <= limit, "usual": usual,
        }  # fmt: skip
    return made


if __name__ == "__main__":
    main()
