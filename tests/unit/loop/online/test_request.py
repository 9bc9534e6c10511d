"""Rows in JSON become the table that the same rows in a landed file would be, or are refused in words."""

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.core.frames import to_frame, to_table
from evergreen.errors import BadInputError
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.online.predict import beside
from evergreen.loop.online.request import PARTITIONS, ROWS, keys_of, read_rows, to_inputs

FLIGHTS = load_definition("nyc_flights")
TYPES = FLIGHTS.feed.tables["inputs"].columns
INSTANTS = st.integers(0, 28_000_000).map(
    lambda seconds: dt.datetime(2013, 1, 7, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
VALUES = {
    "string": st.none() | TEXT,
    "integer": st.none() | st.integers(-(10**17), 10**17),
    "float": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "timestamp": INSTANTS.map(dt.datetime.isoformat),
}


def row(number=0, **changes):
    """A flight as a client sends it."""
    known = dict.fromkeys(TYPES) | {"flight_id": f"flight-{number}", "scheduled_departure": "2013-06-03T10:00:00Z"}
    return known | changes


def rows_of(count=3):
    drawn = st.fixed_dictionaries({name: VALUES[kind] for name, kind in TYPES.items()})
    lists = st.lists(drawn, min_size=1, max_size=count)
    return lists.map(lambda rows: [r | {"flight_id": f"{n}"} for n, r in enumerate(rows)])


@given(rows_of())
def test_a_row_sent_is_the_row_that_a_file_would_hold(rows):
    sent = read_rows(json.dumps({"rows": rows}).encode())
    asked = to_inputs(FLIGHTS, sent)
    columns = {name: [r[name] for r in rows] for name in TYPES}
    columns["scheduled_departure"] = pd.to_datetime(columns["scheduled_departure"], utc=True, format="ISO8601")
    for name, kind in TYPES.items():
        if kind == "integer":
            columns[name] = pd.array(columns[name], dtype="Int64")
        elif kind == "float":
            columns[name] = np.array([math.nan if v is None else v for v in columns[name]], dtype="float64")
        elif kind == "string":
            columns[name] = pd.Series(columns[name], dtype=object)
    landed = to_frame(to_table(pd.DataFrame(columns), TYPES))
    pd.testing.assert_frame_equal(asked, landed, check_exact=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"distance": 12.5}, "distance: .* not a whole number"),
        ({"distance": "12"}, r"distance: 1 of 1 \(100 %\) rows hold something else than a number"),
        ({"distance": True}, r"distance: 1 of 1 \(100 %\) rows hold something else than a number"),
        ({"temperature": 1e999}, "temperature: .* infinite"),
        ({"distance": 10**30}, "distance: .* do not fit 64 bits"),
        ({"carrier": 5}, "carrier: .* something else than text"),
        ({"carrier": ["UA"]}, "carrier: .* something else than text"),
        ({"carrier": "\ud800"}, "carrier: holds half of a surrogate pair"),
        ({"carrier": "U\x00A"}, "carrier: .* control characters"),
        ({"carrier": "U" * 20_000}, "carrier: "),
        ({"scheduled_departure": "yesterday"}, "scheduled_departure: .* not a timestamp"),
        ({"scheduled_departure": None}, "scheduled_departure: .* have no value"),
        ({"flight_id": None}, "flight_id: .* have no value"),
    ],
)
def test_a_value_that_does_not_fit_is_told_by_its_column(changes, said):
    with pytest.raises(UnfitFileError, match=said):
        to_inputs(FLIGHTS, [row(**changes)])


def test_a_whole_number_may_be_written_as_a_float():
    assert to_inputs(FLIGHTS, [row(distance=12.0)])["distance"].tolist() == [12]


def test_a_field_that_is_missing_is_no_unknown_value():
    lacking = row()
    del lacking["carrier"]
    with pytest.raises(UnfitFileError, match=r"carrier: 1 of 2 \(50 %\) rows have no such field; send null"):
        to_inputs(FLIGHTS, [row(), lacking])


def test_more_rows_than_the_batch_is_better_at():
    with pytest.raises(BadInputError, match="1,001 rows; send 1 to 1,000"):
        read_rows(json.dumps({"rows": [{}] * (ROWS + 1)}).encode())


@pytest.mark.parametrize("when", ["2012-12-31T10:00:00Z", "2014-06-01T10:00:00Z", "1700-01-01T00:00:00Z", "2200-12-31"])
def test_rows_outside_the_calendar(when):
    with pytest.raises(UnfitFileError, match="lie outside the calendar of nyc_flights"):
        keys_of(FLIGHTS, to_inputs(FLIGHTS, [row(scheduled_departure=when)]))


def test_each_row_knows_its_partition():
    rows = [
        row(0),
        row(1, scheduled_departure="2013-06-10T00:00:00Z"),
        row(2, scheduled_departure="2013-06-09T23:59:59Z"),
    ]
    assert keys_of(FLIGHTS, to_inputs(FLIGHTS, rows)) == ["2013-06-03", "2013-06-10", "2013-06-03"]


def test_an_entity_comes_once_in_a_partition():
    again = [row(0), row(0, scheduled_departure="2013-06-10T00:00:00Z")]
    assert len(keys_of(FLIGHTS, to_inputs(FLIGHTS, again))) == 2
    with pytest.raises(UnfitFileError, match="repeat the identifier"):
        keys_of(FLIGHTS, to_inputs(FLIGHTS, [row(0), row(0)]))


def test_rows_of_too_many_partitions():
    weeks = [
        row(n, scheduled_departure=f"{dt.date(2013, 1, 7) + dt.timedelta(weeks=n)}") for n in range(PARTITIONS + 1)
    ]
    with pytest.raises(BadInputError, match="9 partitions; send those of at most 8"):
        keys_of(FLIGHTS, to_inputs(FLIGHTS, weeks))


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=20),
    st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=10),
)
def test_asked_rows_take_the_place_of_their_own(there, asked):
    others = pd.DataFrame({"id": [f"{n}" for n in there], "new": False})
    rows = pd.DataFrame({"id": [f"{n}" for n in asked], "new": True})
    table, places = beside("id", rows, others)
    assert table["id"].tolist() == [*others["id"], *(name for name in rows["id"] if name not in set(others["id"]))]
    assert table["id"].iloc[places].tolist() == rows["id"].tolist()
    assert table["new"].sum() == len(asked)
    assert table["new"].iloc[places].all()
