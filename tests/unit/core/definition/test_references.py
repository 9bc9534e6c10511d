"""References, stamps and spans of look-backs in a definition."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evergreen.core.definition.calendar import Calendar
from evergreen.core.definition.load import load_definition
from evergreen.core.definition.model import FeaturesSection, ModelDefinition
from evergreen.core.definition.references import ReferenceSection, read_stamp
from evergreen.errors import BadInputError

DAILY = Calendar("day", dt.date(2024, 1, 1))


@pytest.mark.parametrize(
    ("text", "instant", "revision"),
    [
        ("2024-03-01", dt.datetime(2024, 3, 1, tzinfo=dt.UTC), 1),
        ("2024-03-01T06", dt.datetime(2024, 3, 1, 6, tzinfo=dt.UTC), 1),
        ("2024-03-01T0630.12", dt.datetime(2024, 3, 1, 6, 30, tzinfo=dt.UTC), 12),
        ("2024-03-01T063015", dt.datetime(2024, 3, 1, 6, 30, 15, tzinfo=dt.UTC), 1),
    ],
)  # fmt: skip
def test_a_stamp_says_an_instant_in_utc(text, instant, revision):
    assert read_stamp(DAILY, text) == (instant, revision, text)


def test_a_day_begins_when_it_does_in_the_calendars_zone():
    berlin = Calendar("day", dt.date(2024, 1, 1), timezone="Europe/Berlin")
    assert read_stamp(berlin, "2024-07-01").known_from == dt.datetime(2024, 6, 30, 22, tzinfo=dt.UTC)
    assert read_stamp(berlin, "2024-07-01T06").known_from == dt.datetime(2024, 7, 1, 6, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "text",
    ["", "2024", "2024-3-1", "2024-02-30", "2024-03-01T25", "2024-03-01T6", "2024-03-01.1", "2024-03-01.02",
     "0001-01-01", "2024-03-01T06:30", "yesterday", "2024-03-01Z", "2024-03-01\n"],
)  # fmt: skip
def test_what_is_no_stamp_is_refused_with_what_one_is(text):
    with pytest.raises(BadInputError, match="write YYYY-MM-DD"):
        read_stamp(DAILY, text)


def test_corrections_come_after_what_they_correct_and_before_what_was_known_later():
    stamps = ["2024-03-01", "2024-03-01.2", "2024-03-01.10", "2024-03-01T0001", "2024-03-02"]
    assert [s.text for s in sorted(read_stamp(DAILY, text) for text in reversed(stamps))] == stamps


COLUMNS = {"shop": "string", "since": "timestamp", "size": "integer"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"key": "store"}, "no column of the reference"),
        ({"key": ["shop", "shop"]}, "each column of the key once"),
        ({"key": "since", "valid_from": "since"}, "valid_from apart"),
        ({"key": "shop", "valid_from": "size"}, "must have type timestamp"),
        ({"key": []}, "at least 1"),
    ],
)  # fmt: skip
def test_a_reference_that_contradicts_itself_is_refused(said, words):
    with pytest.raises(ValidationError, match=words):
        ReferenceSection(columns=COLUMNS, **said)
    assert ReferenceSection(columns=COLUMNS, key="shop").key == ("shop",)


@pytest.mark.parametrize("value", [54, 400, -1, 2.5, True, "much", "P0D", "-P1D", "P4000D", None])
def test_a_look_back_is_a_number_of_partitions_or_a_duration(value):
    with pytest.raises(ValidationError, match="look"):
        FeaturesSection(numeric=["x"], look_back=value)


def test_durations_are_no_numbers_and_numbers_are_no_seconds():
    section = FeaturesSection(numeric=["x"], look_back="P400D", recent_inputs=53)
    assert (section.look_back, section.recent_inputs) == (dt.timedelta(days=400), 53)
    assert FeaturesSection.model_validate_json(section.model_dump_json()) == section
    assert "recent" not in FeaturesSection(numeric=["x"], look_back=4).model_dump_json()


@given(
    unit=st.sampled_from(["hour", "day", "week", "month"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    days=st.integers(0, 1100),
    minutes=st.integers(0, 1439),
    span=st.timedeltas(dt.timedelta(seconds=1), dt.timedelta(days=70)),
    delay=st.integers(0, 4),
)
def test_a_duration_reaches_every_partition_that_it_meets_and_no_other(unit, zone, days, minutes, span, delay):
    calendar = Calendar(unit, dt.date(2021, 11, 1), timezone=zone)
    at = dt.datetime(2022, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=days, minutes=minutes)
    key = calendar.key_of(at)
    begin = calendar.period(key).start
    found = calendar.look_back(key, span, delay)
    assert found == sorted(set(found))
    assert len(calendar.look_back(key, span, 0)) <= calendar.most_partitions(span)
    for k in found:
        assert calendar.due(k, delay) <= begin
        assert calendar.period(k).end > begin - span
    oldest = found[0] if found else None
    if oldest is not None and oldest != calendar.first_key:
        assert calendar.period(calendar.shift(oldest, -1)).end <= begin - span
    newest = calendar.shift(key, -1 - delay)
    # Before the calendar's first partition there is none.
    reaches = newest >= calendar.first_key and calendar.period(newest).end > begin - span
    assert (newest in found) == reaches


def test_a_look_back_as_it_was_written_before_is_read_as_before():
    assert [FeaturesSection(numeric=["x"], look_back=value).look_back for value in ("4", 4.0, 4)] == [4, 4, 4]


@pytest.mark.parametrize(("span", "reaches"), [("P7D", False), ("P8D", True), ("P14D", True)])
def test_a_duration_that_ends_before_labels_are_due_is_refused(span, reaches):
    """Flights have weeks, and labels one week later: the newest that are due end a week before the partition begins."""
    raw = load_definition("nyc_flights").model_dump()
    raw["features"]["look_back"] = span
    if reaches:
        assert ModelDefinition.model_validate(raw).features.look_back == dt.timedelta(days=int(span[1:-1]))
    else:
        with pytest.raises(ValueError, match="reaches no labels"):
            ModelDefinition.model_validate(raw)
