"""What a week of New York flights looks like. `critical` quarantines a partition, `warning` accepts it and says so.

Ranges stand well outside what 2013 ever showed and well inside what a broken feed shows; the comments give the year's
extremes by week. Structure (columns, types, unique `flight_id`, times within the week) is checked before, for every
feed: see docs/guarantees.md.
"""

from typing import Any

import great_expectations.expectations as gxe

from evergreen.expectations import Categories, MatchesInputs, Nulls, Numbers, PeriodCovered, RowCount

WARNING = "warning"
AIRPORTS = ["EWR", "JFK", "LGA"]
FLIGHT_ID = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9A-Z]{2}-[0-9]{1,4}-(?:EWR|JFK|LGA)$"


def inputs() -> list[Any]:
    """Expectations on the planned flights and their weather."""
    return [
        *_rows(),
        *_plan(),
        *_weather(),
        # Against the eight weeks before. The weather has its seasons: drift is what the monitor watches it for.
        RowCount(),
        PeriodCovered(),
        Nulls(),
        Numbers(columns=["scheduled_hour", "scheduled_minutes", "distance"]),
        Categories(columns=["carrier", "origin", "destination"]),
    ]


def labels() -> list[Any]:
    """Expectations on how the flights went."""
    return [
        *_rows(),
        gxe.ExpectColumnMeanToBeBetween(column="late", min_value=0.02, max_value=0.9),  # 0.10 to 0.50
        gxe.ExpectColumnMeanToBeBetween(column="cancelled", max_value=0.6),  # at most 0.15, in a blizzard
        gxe.ExpectColumnMeanToBeBetween(column="cancelled", max_value=0.3, severity=WARNING),
        *_number("arrival_delay", -180, 2880, known=0.4),  # -86 to 1272; null where cancelled or diverted
        gxe.ExpectColumnMedianToBeBetween(column="arrival_delay", min_value=-60, max_value=180),  # -21 to 7
        RowCount(),
        PeriodCovered(),
        Nulls(),
        Numbers(columns=["arrival_delay"]),
        Categories(columns=["late", "cancelled"]),
        MatchesInputs(),
    ]


def features() -> list[Any]:
    """Expectations on what `features.py` builds."""
    ranges: dict[str, tuple[float, float]] = {
        "hour": (0, 23),
        "weekday": (0, 6),
        "scheduled_minutes": (10, 1200),
        "distance": (10, 6000),
        "departures_in_hour": (1, 200),
    }
    rates = ["late_rate_carrier", "late_rate_route", "late_rate_origin", "late_rate_hour"]
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=5000, max_value=8500),
        *(e for name, (low, high) in ranges.items() for e in _number(name, low, high)),
        *(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=1) for name in rates),
        gxe.ExpectColumnValuesToNotBeNull(column="carrier"),
        gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=AIRPORTS),
    ]


def _rows() -> list[Any]:
    """A whole week: 6,034 to 6,760 flights in 2013."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=5000, max_value=8500),
        gxe.ExpectTableRowCountToBeBetween(min_value=5800, max_value=7500, severity=WARNING),
        gxe.ExpectColumnValuesToMatchRegex(column="flight_id", regex=FLIGHT_ID),
    ]


def _plan() -> list[Any]:
    return [
        *_text("flight_date", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        # A UTC week touches eight local days; fewer than seven means that days are missing.
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="flight_date", min_value=7, max_value=8),
        *_number("scheduled_hour", 0, 23),
        *_number("scheduled_minutes", 10, 1200),  # 18 to 700
        *_text("carrier", r"^[0-9A-Z]{2}$"),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="carrier", min_value=8, max_value=30),  # 15 or 16
        *_number("flight_number", 1, 9999),
        # Unknown for many a cancelled flight: 5.6 % of the worst week.
        *_text("tail_number", r"^[A-Z][0-9A-Z]{2,5}$", known=0.7),
        gxe.ExpectColumnValuesToNotBeNull(column="origin"),
        gxe.ExpectColumnDistinctValuesToEqualSet(column="origin", value_set=AIRPORTS),
        *_text("destination", r"^[A-Z]{3}$"),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="destination", min_value=60, max_value=150),  # 86 to 95
        *_number("distance", 10, 6000),  # 17 to 4,983
        gxe.ExpectColumnMeanToBeBetween(column="distance", min_value=700, max_value=1400),  # miles: 1,000 to 1,070
    ]


def _weather() -> list[Any]:
    """Stations fail for hours: up to 3.3 % of a week's flights lack all weather, up to 30 % lack pressure."""
    return [
        *_number("temperature", -40, 130, known=0.85),  # 11 to 100
        *_number("dew_point", -60, 95, known=0.85),  # -10 to 78
        *_number("humidity", 0, 100, known=0.85),
        gxe.ExpectColumnMeanToBeBetween(column="humidity", min_value=10, max_value=100),  # per cent, no fraction
        *_number("wind_direction", 0, 360, known=0.7),  # null in calm air
        *_number("wind_speed", 0, 150, known=0.85),  # 0 to 42
        *_number("precipitation", 0, 10, known=0.85),  # 0 to 1.21
        *_number("pressure", 900, 1080, known=0.5),  # 984 to 1,042
        *_number("visibility", 0, 50, known=0.85),  # 0 to 10
    ]


def _number(column: str, low: float, high: float, known: float = 1.0) -> list[Any]:
    """Values between `low` and `high`; at least the share `known` of them is there."""
    return [
        gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=known),
        gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high),
    ]


def _text(column: str, regex: str, known: float = 1.0) -> list[Any]:
    """Values that match `regex`; at least the share `known` of them is there."""
    return [
        gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=known),
        gxe.ExpectColumnValuesToMatchRegex(column=column, regex=regex),
    ]
