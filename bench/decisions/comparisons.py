"""How often comparisons with earlier partitions warn where nothing has changed: rows of the flights dealt at random.

Each partition is a random draw from the year, so whatever warns is chance. Measured with the partition's number of rows
known to the comparisons, as it is when a file is judged, and without it: what they did before they reckoned with it.

    python -m bench.decisions.comparisons [PARTITIONS]       writes bench/results/comparisons.json
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bench.lib.report import number_asked, write
from evergreen.core.definition import load_definition
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.comparisons.past import no_past
from evergreen.loop.intake.comparisons.profile import profile
from evergreen.loop.intake.comparisons.rules import Categories, Nulls, Numbers, RowCount, ask
from evergreen.loop.intake.validation.suite import run_suite
from evergreen.tools.simulator.flights import inputs

FLIGHTS = load_definition("nyc_flights")
COLUMNS = FLIGHTS.feed.tables["inputs"].columns
NUMBERS = [
    "scheduled_hour", "scheduled_minutes", "distance", "temperature",
    "humidity", "wind_speed", "pressure", "visibility",
]  # fmt: skip
COMPARED = [Nulls(), Numbers(columns=NUMBERS), Categories(columns=["carrier", "origin", "destination"])]
SIZES = (50, 200)
SPREADS = {"alike": 0.0, "of all sizes": 0.5}
"""Standard deviation of the logarithm of a partition's rows"""
LAST, SEED = 8, 7


def main() -> None:
    """Measure and write the result."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    partitions = int(number_asked("partitions of each kind", 60, __doc__))
    found = []
    for rows in SIZES:
        for kind, spread in SPREADS.items():
            dealt = deal(rows, spread, partitions)
            # How many rows there are may be compared only if they are meant to be alike.
            rules = [*COMPARED, RowCount()] if not spread else COMPARED
            for known in (True, False):
                warned, columns = measure(dealt, rules, known=known)
                found.append(
                    {"rows": rows, "kind": kind, "rows_known": known, "warned": warned, "columns": columns}
                )  # fmt: skip
                print(found[-1], flush=True)
    write("comparisons", bars={}, measured={"partitions": partitions, "seed": SEED, "warned": found})


def deal(rows: int, spread: float, partitions: int) -> list[pd.DataFrame]:
    """Partitions of about `rows` rows, no row twice."""
    dice, data = np.random.default_rng(SEED), inputs()[list(COLUMNS)]
    sizes = np.maximum(5, rows * np.exp(spread * dice.standard_normal(LAST + partitions))).astype(int)
    shuffled = data.iloc[dice.permutation(len(data))[: sizes.sum()]]
    return [
        shuffled.iloc[end - size : end].reset_index(drop=True) for size, end in zip(sizes, sizes.cumsum(), strict=True)
    ]


def measure(dealt: Sequence[pd.DataFrame], rules: Sequence[Any], *, known: bool) -> tuple[float, dict[str, int]]:
    """Share of partitions of which something is said, and of which columns."""
    profiles, warned, columns = [profile(frame, COLUMNS) for frame in dealt], 0, Counter[str]()
    for number, frame in enumerate(dealt[LAST:], LAST):
        accepted = {PartitionKey(str(n)): profiles[n] for n in range(number - LAST, number)}
        past = no_past(FLIGHTS, "inputs", FLIGHTS.partitions.key_of(FLIGHTS.calendar.start))
        past = replace(past, keys=tuple(accepted), accepted=accepted, decided=tuple(accepted))
        asked = ask(rules, replace(past, rows=len(frame)) if known else past)
        failures = run_suite(frame, asked.expectations, "nyc_flights.inputs").found
        warned += bool(failures)
        columns.update(failure.column or "" for failure in failures)
    return warned / (len(dealt) - LAST), dict(columns)


if __name__ == "__main__":
    main()
