"""Features of planned flights out of New York: their plan, the weather, and how late their like have lately been."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

# Rows at which a group's own late rate counts as much as the overall one. Two thirds of the routes have more than 50
# flights in four weeks; those with a handful stay near the overall rate.
PRIOR_ROWS = 50.0

LATE_RATES = {
    "late_rate_carrier": ["carrier"],
    "late_rate_route": ["origin", "destination"],
    "late_rate_origin": ["origin"],
    "late_rate_hour": ["scheduled_hour"],
}
AS_THEY_ARE = [
    "scheduled_minutes", "distance", "temperature", "humidity", "wind_speed", "precipitation", "pressure",
    "visibility", "carrier", "origin",
]  # fmt: skip


def build(inputs: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Features of the flights in `inputs`, one row each, in the same order.

    Args:
        inputs: accepted inputs of one partition.
        history: labelled flights of the partitions looked back on, with the columns of `features.history`; may have
            no rows.
    """
    features = inputs[["flight_id", "scheduled_departure", *AS_THEY_ARE]].reset_index(drop=True)
    features["hour"] = inputs["scheduled_hour"].to_numpy(dtype="float64", na_value=float("nan"))
    features["weekday"] = _weekday(inputs["flight_date"])
    features["departures_in_hour"] = _departures_in_hour(inputs)
    return features.assign(**late_rates(inputs, history))


def late_rates(inputs: pd.DataFrame, history: pd.DataFrame) -> dict[str, np.ndarray]:
    """Share of late flights in `history` of each row's groups, shrunk towards the overall share; float64, (rows,).

    The m-estimate of target encoding (D. Micci-Barreca, 2001, "A preprocessing scheme for high-cardinality
    categorical attributes"): (late + m * overall) / (flights + m) with m = `PRIOR_ROWS`. A group that history does
    not know gets the overall share. Without any history there is none: NaN, which the models handle, says "unknown",
    where a made-up number would look like an ordinary week.
    """
    if history.empty:
        return {name: np.full(len(inputs), np.nan) for name in LATE_RATES}
    late = history["late"].to_numpy(dtype="float64")
    rates = {}
    for name, group in _groups(inputs, history).items():
        past, now, groups = group[: len(late)], group[len(late) :], group.max() + 1
        flights, late_flights = np.bincount(past, minlength=groups), np.bincount(past, weights=late, minlength=groups)
        rates[name] = ((late_flights + PRIOR_ROWS * late.mean()) / (flights + PRIOR_ROWS))[now]
    return rates


def _groups(inputs: pd.DataFrame, history: pd.DataFrame) -> dict[str, np.ndarray]:
    """Number of the group that each row of `history`, then of `inputs`, is in, for each late rate.

    Each column is numbered once for all rates; grouping frames by text anew for each takes four times as long.
    """
    columns = sorted({column for by in LATE_RATES.values() for column in by})
    # pandas numbers what is missing -1; here it is group 0 like any other.
    number = {c: pd.factorize(pd.concat([history[c], inputs[c]]))[0] + 1 for c in columns}
    groups = {}
    for name, (first, *others) in LATE_RATES.items():
        groups[name] = number[first]
        for column in others:
            groups[name] = groups[name] * (number[column].max() + 1) + number[column]
    return groups


def _weekday(flight_date: pd.Series) -> pd.Series:
    """0 is Monday; from the local date at the origin, which a late evening flight shares with its own evening."""
    days = {day: dt.date.fromisoformat(day).weekday() for day in flight_date.unique()}
    return flight_date.map(days).reset_index(drop=True)


def _departures_in_hour(inputs: pd.DataFrame) -> pd.Series:
    """Planned flights from the same origin in the same local hour, this one included."""
    slot = inputs.groupby(["origin", "flight_date", "scheduled_hour"])["flight_id"]
    return slot.transform("count").reset_index(drop=True)
