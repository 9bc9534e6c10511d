"""Values of a database in the definition's types: by the calendar's clocks, and personal ones in no error."""

import datetime as dt

import pyarrow as pa
import pytest

from evergreen.core.definition.local_days import Clock
from evergreen.errors import BadInputError
from evergreen.loop.intake.database.mariadb import _in_utc
from evergreen.loop.intake.database.rows import Rows, refusal
from evergreen.loop.intake.database.values import converted

NEW_YORK, BERLIN = Clock("America/New_York"), Clock("Europe/Berlin")


def column(values, kind, **more):
    batch = pa.RecordBatch.from_arrays([values], ["x"])
    (found,) = converted(Rows({"x": "any"}, iter([batch]), lambda: None), {"x": kind}, **more)
    return found.column("x").to_pylist()


def utc(*parts):
    return [dt.datetime(*parts, tzinfo=dt.UTC)]


DAY = pa.array([dt.date(2024, 10, 20)])
NAIVE = pa.array([dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)]).cast(pa.timestamp("us"))


@pytest.mark.parametrize(
    ("values", "clock", "expected"),
    [
        (DAY, Clock(), utc(2024, 10, 20)),
        (DAY, NEW_YORK, utc(2024, 10, 20, 4)),
        (NAIVE, Clock(), utc(2024, 7, 1, 12)),
        (NAIVE, BERLIN, utc(2024, 7, 1, 10)),
        (pa.array(["2024-07-01 12:00:00"]), BERLIN, utc(2024, 7, 1, 10)),
        (pa.array(["2024-07-01 12:00:00+00:00"]), BERLIN, utc(2024, 7, 1, 12)),
        (NAIVE.cast(pa.timestamp("us", "UTC")), BERLIN, utc(2024, 7, 1, 12)),
    ],
)
def test_a_time_without_a_zone_is_one_of_the_calendar(values, clock, expected):
    assert column(values, "timestamp", clock=clock) == expected


@pytest.mark.parametrize("values", [["2024-04-26 00:00:00"], [dt.datetime(2024, 4, 26)]])  # noqa: DTZ001
def test_of_a_date_only_the_day_counts_where_midnight_does_not_exist(values):
    given = pa.array(values)
    assert column(given, "timestamp", clock=Clock("Africa/Cairo"), dates=("x",)) == utc(2024, 4, 25, 22)
    with pytest.raises(BadInputError, match="column x"):
        column(given, "timestamp", clock=Clock("Africa/Cairo"))


def test_a_timestamp_of_mariadb_is_an_instant():
    assert _in_utc(["2024-07-01 12:00:00", None]) == ["2024-07-01 12:00:00+00:00", None]


@pytest.mark.parametrize(
    ("values", "kind", "rule"),
    [
        (["alice\x07@example.com", "bob"], "string", "1 of 2 (50 %) rows hold control characters"),
        (["alice", "7"], "integer", "1 of 2 (50 %) rows are not a whole number"),
        (["alice", "7"], "timestamp", "are not"),
        (["12345678901234567891", "7"], "float", "more digits than a float has"),
    ],
)
def test_no_value_of_a_personal_column_is_in_an_error(values, kind, rule):
    with pytest.raises(BadInputError) as shown:
        column(pa.array(values), kind)
    with pytest.raises(BadInputError) as hidden:
        column(pa.array(values), kind, personal=("x",))
    secret = values[0][:5]
    assert secret in str(shown.value), "of another column some are shown"
    assert secret not in str(hidden.value)
    assert rule in str(hidden.value)
    assert "column x" in str(hidden.value)


def test_the_words_of_a_server_are_kept_back_if_they_could_hold_personal_values():
    words = 'invalid input syntax for type integer: "alice"'
    assert "alice" in str(refusal("PostgreSQL", words, ()))
    said = str(refusal("PostgreSQL", words, ("email",), "22P02"))
    assert "alice" not in said
    assert "22P02" in said
