"""The features of the shipped model, against figures worked out by hand."""

import importlib.util

import pandas as pd
import pytest

from evergreen.core.definition import load_definition

FLIGHTS = load_definition("nyc_flights")
_spec = importlib.util.spec_from_file_location("nyc_flights_features", FLIGHTS.folder / "features.py")
shipped = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(shipped)


def flights(rows: list[tuple[str, str, str, str, int]]) -> pd.DataFrame:
    """Flights of (carrier, origin, destination, local date, local hour)."""
    frame = pd.DataFrame(rows, columns=["carrier", "origin", "destination", "flight_date", "scheduled_hour"])
    frame["scheduled_hour"] = frame["scheduled_hour"].astype("Int64")
    frame["flight_id"] = [str(n) for n in range(len(frame))]
    frame["scheduled_departure"] = pd.Timestamp("2013-03-04 12:00", tz="UTC")
    for name in FLIGHTS.feed.tables["inputs"].columns:
        if name not in frame:
            frame[name] = 1.0
    return frame


MONDAY = [
    ("UA", "EWR", "ORD", "2013-03-04", 8),
    ("AA", "EWR", "ORD", "2013-03-04", 8),
    ("UA", "JFK", "SFO", "2013-03-10", 9),
]


def history(late: int, on_time: int) -> pd.DataFrame:
    rows = [("UA", "EWR", "ORD", "2013-02-11", 8)] * (late + on_time)
    return flights(rows).assign(late=[True] * late + [False] * on_time)


def test_a_group_seen_as_often_as_the_prior_weighs_lies_half_way_to_the_overall_rate():
    past = pd.concat([history(50, 0), flights([("AA", "JFK", "SFO", "2013-02-11", 9)] * 50).assign(late=False)])
    rate = shipped.late_rates(flights(MONDAY), past)["late_rate_carrier"]
    assert rate.tolist() == [0.75, 0.25, 0.75]


def test_a_group_that_history_does_not_know_has_the_overall_rate():
    rates = shipped.build(flights(MONDAY), history(10, 30))
    assert rates["late_rate_route"].tolist() == [0.25, 0.25, 0.25]
    assert rates["late_rate_origin"].iloc[2] == 0.25


def test_without_history_late_rates_are_unknown():
    built = shipped.build(flights(MONDAY), history(0, 0).assign(late=pd.Series(dtype=bool)))
    assert built[list(shipped.LATE_RATES)].isna().all(axis=None)


def test_a_rare_group_stays_near_the_overall_rate():
    past = pd.concat([history(0, 500), flights([("AA", "JFK", "SFO", "2013-02-11", 9)]).assign(late=True)])
    rate = shipped.late_rates(flights(MONDAY), past)["late_rate_carrier"][1]
    assert rate == pytest.approx((1 + 50 * 1 / 501) / 51)


def test_calendar_features_are_local():
    built = shipped.build(flights(MONDAY), history(1, 1))
    assert built["weekday"].tolist() == [0, 0, 6]
    assert built["hour"].tolist() == [8, 8, 9]


def test_departures_in_hour_counts_planned_flights_of_the_same_origin_date_and_hour():
    assert shipped.build(flights(MONDAY), history(1, 1))["departures_in_hour"].tolist() == [2, 2, 1]


def test_build_returns_what_the_definition_names():
    built = shipped.build(flights(MONDAY), history(1, 1))
    assert {"flight_id", "scheduled_departure", *FLIGHTS.features.columns} == set(built.columns)
