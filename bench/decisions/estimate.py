"""How well the estimated loss foretells the realised one: on real weeks, and on streams whose drift is known.

For each champion of a history, each later partition's loss is estimated without its labels and then compared with what
it was. The interval should cover 95 %; where the concept changes it cannot, and that is measured too.

    python -m bench.decisions.estimate           writes bench/results/estimate.json
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.decisions.decisions_policy import flights
from bench.lib.report import nothing_asked, write
from evergreen.core.names import PartitionKey
from evergreen.loop.monitoring.loss.estimated import estimate_loss
from evergreen.stack.config.home import Home
from evergreen.tools.backtest.challengers import Fits, fit_all
from evergreen.tools.backtest.policies import reference
from evergreen.tools.backtest.synthetic_streams import KINDS, stream

EVERY = 4
"""Every fourth challenger is taken for a champion: neighbours are nearly the same model."""
AHEAD = 12
"""Partitions that each champion is followed for"""
SEED = 11


def follow(fits: Fits, as_of: PartitionKey) -> list[dict[str, float]]:
    """Estimate and truth of the partitions that follow the making of one champion."""
    history, held_out = fits.history, reference(fits, as_of)
    held_out = held_out[held_out["part"] == "holdout"]
    found = []
    for key in [p.key for p in history if p.key > as_of and len(p.examples)][:AHEAD]:
        rows = history[key].examples
        current = rows.features.assign(prediction=fits.labelled_predictions(as_of, key), cluster=rows.cluster)
        estimated = estimate_loss(history.definition, held_out, current)
        if estimated is not None:
            truth = float(fits.losses(as_of, key).mean())
            found.append(
                {
                    "truth": truth,
                    "estimated": estimated.loss,
                    "holdout": estimated.holdout,
                    "covered": float(estimated.low <= truth <= estimated.high),
                }
            )
    return found


def measure(fits: Fits) -> dict[str, float]:
    """Over all champions: coverage, and the mean error beside that of expecting the holdout's loss again."""
    rows = pd.DataFrame([row for as_of in list(fits.by_as_of)[::EVERY] for row in follow(fits, as_of)])
    return {
        "partitions": len(rows),
        "covered": float(rows.covered.mean()),
        "mean_error": float((rows.estimated - rows.truth).abs().mean() / rows.truth.mean()),
        "mean_error_of_holdout": float((rows.holdout - rows.truth).abs().mean() / rows.truth.mean()),
        "correlation": float(np.corrcoef(rows.estimated, rows.truth)[0, 1]),
    }


def main() -> None:
    """Measure and write."""
    nothing_asked(__doc__)
    cache = Home.find().root / "replay"
    measured = {"flights": measure(flights())}
    for kind in KINDS:
        measured[kind] = measure(fit_all(stream(kind, SEED), cache=cache))
        print(kind, measured[kind])
    steady = measured["stationary"]["covered"]
    bars = {
        "coverage where the concept stands still": {"value": steady, "bar": ">= 0.9", "reached": steady >= 0.9},
    }
    write("estimate", bars=bars, measured=measured | {"seed": SEED})


if __name__ == "__main__":
    main()
