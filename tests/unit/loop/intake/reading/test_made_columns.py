"""Ids of several columns and of content, and times of a date and a time of day."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.model import ModelDefinition
from evergreen.core.frames import to_frame, to_table
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.reading.joined_id import parted
from evergreen.loop.intake.reading.made_columns import id_parts, with_made

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
COLUMNS = {"shop": "string", "at": "timestamp", "till": "integer", "open": "boolean"}
ROWS = st.lists(
    st.tuples(
        st.text("a|\\é\n ", max_size=4),
        st.integers(-(2**50), 2**52).map(
            lambda micros: dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(0, 0, micros)
        ),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


def definition(entity="shop", event_time="at", columns=None, **calendar):
    columns = columns or COLUMNS
    return ModelDefinition.model_validate(
        {
            "name": "sales", "title": "Sales", "owner": "shop", "task": "regression", "target": "sold",
            "calendar": {"start": "2024-01-01", "period": "day", **calendar},
            "features": {"numeric": ["price"]}, "alerts": {"to": ["shop@example.com"]},
            "feed": {
                "name": "sales", "entity": entity, "event_time": event_time,
                "tables": {"inputs": {"columns": columns}, "labels": {"columns": {**columns, "sold": "float"}}},
            },
        }
    )  # fmt: skip


def frame(rows, columns=None):
    columns = columns or COLUMNS
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(columns)})
    return to_frame(to_table(table.to_pandas(), columns))


@given(ROWS)
def test_an_id_of_several_columns_is_parted_into_the_values_it_was_made_of(rows):
    model = definition(list(COLUMNS))
    made = with_made(frame(rows), model, "inputs")
    parts = id_parts(pa.array(made["row_id"], pa.string()), model.feed)
    assert list(parts) == ["shop", "till", "open"]  # the event time stands beside the id anyway
    told = zip(*(values.to_pylist() for values in parts.values()), strict=True)
    assert list(told) == [(shop, till, is_open) for shop, _, till, is_open in rows]
    times = parted(pa.array(made["row_id"], pa.string()), COLUMNS)["at"]
    assert times.to_pylist() == [at for _, at, _, _ in rows]
    assert made["row_id"].nunique() == len(set(rows))


@given(ROWS, st.randoms())
def test_equal_rows_stay_as_many_rows_and_order_makes_no_difference(rows, random):
    model, shuffled = definition("none"), [*rows, rows[0]]
    random.shuffle(shuffled)
    first, second = (with_made(frame(some), model, "inputs")["row_id"] for some in ([*rows, rows[0]], shuffled))
    assert first.is_unique
    assert set(first) == set(second)


def test_labels_find_their_rows_by_content_whatever_else_they_say():
    model, rows = definition("none"), [("a", dt.datetime(2024, 1, 1, tzinfo=dt.UTC), 1, True)] * 2
    inputs = with_made(frame(rows), model, "inputs")
    labels = with_made(frame(rows).assign(sold=[3.0, 4.0]), model, "labels")
    assert list(inputs["row_id"]) == list(labels["row_id"])
    assert inputs["row_id"][1] == inputs["row_id"][0] + "-2"


def test_a_column_without_a_value_changes_no_content():
    rows = [("a", dt.datetime(2024, 1, 1, tzinfo=dt.UTC), 1, True)]
    later = definition("none", columns={**COLUMNS, "tax": "float"})
    known = with_made(frame(rows), definition("none"), "inputs")["row_id"][0]
    assert with_made(frame(rows), later, "inputs")["row_id"][0] == known
    assert with_made(frame(rows).assign(tax=float("nan")), later, "inputs")["row_id"][0] == known
    assert with_made(frame(rows).assign(tax=1.0), later, "inputs")["row_id"][0] != known
    zeros = [with_made(frame(rows).assign(tax=zero), later, "inputs")["row_id"][0] for zero in (0.0, -0.0)]
    assert zeros[0] == zeros[1]


def test_an_id_of_which_a_part_is_missing_is_missing():
    rows = frame([(None, dt.datetime(2024, 1, 1, tzinfo=dt.UTC), 1, True)])
    made = with_made(rows, definition(["shop", "till"]), "inputs")
    assert made["row_id"].isna().all()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [("integer", 14, "12:00"), ("string", "14:30", "12:30"), ("string", "9:05:30", "07:05"), ("integer", None, None)],
)
def test_a_date_and_a_time_of_day_are_the_instant_at_which_the_clocks_showed_them(kind, value, expected):
    columns = {"day": "timestamp", "hour": kind}
    model = definition("none", ["day", "hour"], columns, timezone="Europe/Berlin")
    midnight = dt.datetime(2024, 6, 30, 22, tzinfo=dt.UTC)  # as `2024-07-01` is read in Berlin
    made = with_made(frame([(midnight, value)], columns), model, "inputs")["event_time"][0]
    assert expected is None if pd.isna(made) else f"{made:%Y-%m-%d %H:%M}" == f"2024-07-01 {expected}"


@pytest.mark.parametrize(
    ("value", "micros"),
    [("06:30:00.000000", 0), ("06:30:00.123456", 123_456), ("23:59:59.999999", 999_999), ("06:30:00.5", 500_000)],
)
def test_decimals_of_a_second_are_kept(value, micros):
    columns = {"day": "timestamp", "hour": "string"}
    model = definition("none", ["day", "hour"], columns, timezone="Europe/Berlin")
    midnight = dt.datetime(2024, 6, 30, 22, tzinfo=dt.UTC)
    made = with_made(frame([(midnight, value)], columns), model, "inputs")["event_time"][0]
    assert (made.microsecond, f"{made:%S}") == (micros, value[6:8])


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("integer", 24, "hour: 1 of 1 .* are not hours from 0 to 23, such as 24"),
        ("string", "25:00", "are not times of day such as 06:30, such as '25:00'"),
        ("integer", 2, "day and hour: 1 of 1 .* are times that the clocks of Europe/Berlin skip"),
    ],
)
def test_what_is_no_time_is_refused_by_the_names_of_the_columns(kind, value, told):
    columns = {"day": "timestamp", "hour": kind}
    model = definition("none", ["day", "hour"], columns, timezone="Europe/Berlin")
    with pytest.raises(UnfitFileError, match=told):
        with_made(frame([(dt.datetime(2024, 3, 30, 23, tzinfo=dt.UTC), value)], columns), model, "inputs")


PARTS = {"year": "integer", "month": "integer", "day": "integer", "hour": "integer"}


@given(st.datetimes(timezones=st.just(dt.UTC)), st.integers(1, 4))
def test_years_months_days_and_hours_are_the_first_instant_that_they_name(at, number):
    names = list(PARTS)[:number]
    first = at.replace(minute=0, second=0, microsecond=0)
    first = first.replace(**{part: 0 if part == "hour" else 1 for part in list(PARTS)[number:]})
    columns = {"shop": "string", **{name: PARTS[name] for name in names}}
    made = with_made(
        frame([("a", *(getattr(at, name) for name in names))], columns),
        definition(event_time=names, columns=columns),
        "inputs",
    )
    assert list(made["event_time"]) == [first]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((2024, 13, 1, 0), "month: 1 of 1 .* rows are not months from 1 to 12"),
        ((2023, 2, 29, 0), "day: 1 of 1 .* rows are not days of their month"),
        ((2024, 2, 29, 24), "hour: 1 of 1 .* rows are not hours from 0 to 23"),
    ],
)
def test_numbers_that_are_no_time_are_named(parts, says):
    columns = {"shop": "string", **PARTS}
    with pytest.raises(UnfitFileError, match=says):
        with_made(frame([("a", *parts)], columns), definition(event_time=list(PARTS), columns=columns), "inputs")


def test_hours_of_a_zone_are_its_clocks_and_days_begin_when_they_do():
    columns = {"shop": "string", **PARTS}
    model = definition(event_time=list(PARTS), columns=columns, timezone="America/New_York")
    made = with_made(frame([("a", 2024, 7, 1, 6)], columns), model, "inputs")
    assert list(made["event_time"]) == [pd.Timestamp("2024-07-01T10:00Z")]
    assert model.feed.date_columns == ()


def test_a_year_that_is_text_is_refused_in_the_definition():
    with pytest.raises(ValueError, match=r"'day' of feed\.event_time must have type integer: it is the day"):
        definition(event_time=["year", "month", "day"], columns={"shop": "string", **PARTS, "day": "string"})


@pytest.mark.parametrize(
    ("second", "kind", "values", "months"),
    [
        ("month", "string", ["Jan", "sept.", "DECEMBER", "7"], [1, 9, 12, 7]),
        ("quarter", "integer", [1, 2, 3, 4], [1, 4, 7, 10]),
        ("qtr", "string", ["Q1", "q4", "2", "Q3"], [1, 10, 4, 7]),
    ],
)
def test_months_by_name_and_quarters_beside_a_year(second, kind, values, months):
    columns = {"shop": "string", "year": "integer", second: kind}
    model = definition(event_time=["year", second], columns=columns)
    made = with_made(frame([("a", 2024, value) for value in values], columns), model, "inputs")
    assert list(made["event_time"]) == [pd.Timestamp(2024, month, 1, tz="UTC") for month in months]


@pytest.mark.parametrize(("second", "value"), [("month", "Ja"), ("month", "13"), ("quarter", "Q5"), ("quarter", "1.5")])
def test_texts_that_are_no_month_or_quarter_are_named(second, value):
    columns = {"shop": "string", "year": "integer", second: "string"}
    model = definition(event_time=["year", second], columns=columns)
    with pytest.raises(UnfitFileError, match=f"{second}s "):
        with_made(frame([("a", 2024, value)], columns), model, "inputs")
