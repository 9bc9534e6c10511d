"""Features of planned flights out of New York: their plan, the weather, and how late their like have lately been."""

from __future__ import annotations

import datetime as dt

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
        history: labelled flights of the partitions looked back on; may have no rows.
    """
    features = inputs[["flight_id", "scheduled_departure", *AS_THEY_ARE]].reset_index(drop=True)
    features["hour"] = inputs["scheduled_hour"].to_numpy(dtype="float64", na_value=float("nan"))
    features["weekday"] = _weekday(inputs["flight_date"])
    features["departures_in_hour"] = _departures_in_hour(inputs)
    for name, by in LATE_RATES.items():
        features[name] = late_rate(inputs, history, by)
    return features


def late_rate(inputs: pd.DataFrame, history: pd.DataFrame, by: list[str]) -> pd.Series:
    """Share of late flights in `history` of each row's group, shrunk towards the overall share.

    The m-estimate of target encoding (D. Micci-Barreca, 2001, "A preprocessing scheme for high-cardinality
    categorical attributes"): (late + m * overall) / (flights + m) with m = `PRIOR_ROWS`. A group that history does
    not know gets the overall share. Without any history there is none: NaN, which the models handle, says "unknown",
    where a made-up number would look like an ordinary week.
    """
    if history.empty:
        return pd.Series(float("nan"), index=range(len(inputs)))
    late = history["late"].astype("int64")
    overall = late.sum() / len(late)
    groups = late.groupby([history[column] for column in by]).agg(["sum", "count"])
    rate = (groups["sum"] + PRIOR_ROWS * overall) / (groups["count"] + PRIOR_ROWS)
    own = inputs[by].merge(rate.rename("rate").reset_index(), on=by, how="left")["rate"]
    return own.fillna(overall)


def _weekday(flight_date: pd.Series) -> pd.Series:
    """0 is Monday; from the local date at the origin, which a late evening flight shares with its own evening."""
    days = {day: dt.date.fromisoformat(day).weekday() for day in flight_date.unique()}
    return flight_date.map(days).reset_index(drop=True)


def _departures_in_hour(inputs: pd.DataFrame) -> pd.Series:
    """Planned flights from the same origin in the same local hour, this one included."""
    slot = inputs.groupby(["origin", "flight_date", "scheduled_hour"])["flight_id"]
    return slot.transform("count").reset_index(drop=True)
