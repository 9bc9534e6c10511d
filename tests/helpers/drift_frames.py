"""Frames and a definition of the size of a test."""

import numpy as np
import pandas as pd

from evergreen.core.definition import ModelDefinition, load_definition

FLIGHTS = load_definition("nyc_flights")
NUMERIC = ("temperature", "distance", "delay_rate")
CATEGORICAL = ("carrier", "origin")
SMALL: ModelDefinition = FLIGHTS.model_copy(
    update={"features": FLIGHTS.features.model_copy(update={"numeric": NUMERIC, "categorical": CATEGORICAL})}
)
"""The flights' definition with five features."""


def batch(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Rows without any dependence between them: skewed, tied, rare and missing values."""
    return pd.DataFrame(
        {
            "temperature": rng.normal(60, 15, rows),
            "distance": np.where(rng.random(rows) < 0.1, np.nan, np.round(rng.lognormal(6, 1, rows))),
            "delay_rate": rng.choice([0.0, 0.0, 0.0, 1.0, 2.0], rows),
            "carrier": rng.choice(list("ABCDEFGHIJKLMNOP"), rows, p=_zipf(16)),
            "origin": rng.choice(["EWR", "JFK", None], rows, p=[0.5, 0.45, 0.05]),
        }
    )


def _zipf(k: int) -> np.ndarray:
    weights = 1 / np.arange(1, k + 1) ** 1.5
    return weights / weights.sum()
