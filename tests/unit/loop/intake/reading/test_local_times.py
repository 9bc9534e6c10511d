"""Times without a zone are those of the calendar's clocks; what these never show, or twice, is refused by name."""

import datetime as dt
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.local_days import Clock
from evergreen.core.definition.sections import CsvSection
from evergreen.core.frames import on_the_clock
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.reading import texts
from evergreen.loop.intake.reading.convert import to_frame
from evergreen.loop.intake.reading.local_times import instants

ZONES = [
    "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "Asia/Tehran",
    "America/St_Johns",
]  # fmt: skip
SECONDS = st.integers(788_918_400, 2_082_758_400)
BERLIN = Clock("Europe/Berlin")
NOON = 1_719_835_200_000_000
"""Microseconds from 1970 to 2024-07-01 12:00"""


@given(st.sampled_from(ZONES), st.lists(SECONDS, min_size=1, max_size=20))
def test_what_the_clocks_show_is_read_as_an_instant_at_which_they_showed_it(zone, seconds):
    at = pd.Series(pd.to_datetime(seconds, unit="s", utc=True)).dt.as_unit("us")
    shown = on_the_clock(at, zone).dt.tz_localize("UTC")
    first, second = (instants("t", shown, Clock(zone, which)) for which in ("first", "second"))
    assert ((at == first) | (at == second)).all()
    assert (on_the_clock(first, zone) == on_the_clock(second, zone)).all()
    for one, wall in zip(first, shown, strict=True):
        naive = wall.to_pydatetime().replace(tzinfo=ZoneInfo(zone), fold=0)
        assert one == naive.astimezone(dt.UTC)


@pytest.mark.parametrize("when", ["2024-03-31 02:00", "2024-03-31 02:59:59.999"])
def test_a_time_that_the_clocks_skip_is_refused_by_name(when):
    with pytest.raises(UnfitFileError, match=r"at: 1 of 2 \(50 %\) rows are times that the clocks of .* skip") as e:
        _parse([when, "2024-03-31 03:00"], Clock("Europe/Berlin", "first"))
    assert list(e.value.failures[0].bad) == [0]


def test_a_time_that_the_clocks_show_twice_is_refused_unless_it_is_said_which_is_meant():
    with pytest.raises(UnfitFileError, match="show twice, such as '2024-10-27 02:30:00'; say which is meant"):
        _parse(["2024-10-27 02:30"], BERLIN)
    assert _parse(["2024-10-27 02:30"], Clock("Europe/Berlin", "first")) == ["2024-10-27T00:30"]
    assert _parse(["2024-10-27 02:30"], Clock("Europe/Berlin", "second")) == ["2024-10-27T01:30"]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-07-01", "2024-06-30T22:00"),
        ("2024-07-01 12:00", "2024-07-01T10:00"),
        ("2024/7/1 9:05", "2024-07-01T07:05"),
        ("2024-07-01T12:00Z", "2024-07-01T12:00"),
        ("2024-07-01T12:00:00.5-02", "2024-07-01T14:00"),
        ("2024-07-01 12:00:00 UTC", "2024-07-01T12:00"),
        ("2024-07-01 12:00:00 +0000", "2024-07-01T12:00"),
        ("2024-10-27 02:30:00+01:00", "2024-10-27T01:30"),
    ],
)
def test_a_time_that_says_its_zone_keeps_it(text, instant):
    assert _parse([text, None], BERLIN) == [instant, None]


@pytest.mark.parametrize(
    ("form", "text", "instant"),
    [
        ("%d.%m.%Y %H:%M", "01.07.2024 12:00", "2024-07-01T10:00"),
        ("%d.%m.%Y %H:%M %z", "01.07.2024 12:00 +0000", "2024-07-01T12:00"),
    ],
)
def test_a_declared_format_says_whether_times_have_a_zone(form, text, instant):
    assert _parse([text], BERLIN, CsvSection(time_format=form)) == [instant]


@pytest.mark.parametrize(
    ("values", "hour"),
    [
        (pa.array([NOON], pa.timestamp("us")).cast(pa.timestamp("ns")), "2024-07-01T10:00"),
        (pa.array([NOON], pa.timestamp("us", "UTC")).cast(pa.timestamp("ms", "UTC")), "2024-07-01T12:00"),
        (pa.array([dt.date(2024, 7, 1)]), "2024-06-30T22:00"),
    ],
)
def test_parquet_times_without_a_zone_are_local_too(values, hour):
    frame = to_frame(pa.table({"at": values}), {"at": "timestamp"}, LIMITS, from_text=False, clock=BERLIN)
    assert frame["at"].dtype == "datetime64[us, UTC]"
    assert f"{frame['at'][0]:%Y-%m-%dT%H:%M}" == hour


def test_the_ends_of_time_have_no_zone_and_raise_nothing():
    values = pa.array([-62_135_596_800_000_000, 253_402_300_799_000_000], pa.timestamp("us"))
    frame = to_frame(pa.table({"at": values}), {"at": "timestamp"}, LIMITS, from_text=False, clock=BERLIN)
    assert frame["at"].notna().all()


def _parse(values, clock, form=texts.DEFAULT):
    found = texts.parse("at", pa.array(values, pa.string()), "timestamp", form, clock).to_pylist()
    return [None if one is None else f"{one:%Y-%m-%dT%H:%M}" for one in found]


DATES = [
    ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00"),
    ("America/Santiago", "2024-09-08", "2024-09-08T04:00"),
    ("Asia/Beirut", "2024-03-31", "2024-03-30T22:00"),
    ("America/Havana", "2024-11-03", "2024-11-03T05:00"),
]
"""Zone, day, and the instant at which it begins: the clocks skip its midnight, or show it twice"""


@pytest.mark.parametrize(("zone", "day", "begins"), DATES)
def test_a_date_is_the_begin_of_its_day_whatever_the_clocks_do_at_midnight(zone, day, begins):
    clock = Clock(zone)
    assert _parse([day], clock) == [begins]
    assert _parse([day.replace("-", "")], clock, CsvSection(time_format="%Y%m%d")) == [begins]
    values = pa.table({"at": pa.array([dt.date.fromisoformat(day), None, dt.date(2024, 7, 1)])})
    frame = to_frame(values, {"at": "timestamp"}, LIMITS, from_text=False, clock=clock)
    assert f"{frame['at'][0]:%Y-%m-%dT%H:%M}" == begins
    assert pd.isna(frame["at"][1])
    with pytest.raises(UnfitFileError, match=r"skip|twice"):
        _parse([f"{day} 00:00"], clock)
    with pytest.raises(UnfitFileError, match=r"skip|twice"):
        _parse([f"{day} 00:00"], clock, CsvSection(time_format="%Y-%m-%d %H:%M"))


@pytest.mark.parametrize(("zone", "day", "begins"), DATES)
def test_of_a_column_that_says_days_the_time_does_not_count(zone, day, begins):
    at = pd.Series(pd.to_datetime([f"{day} 00:00", "2024-07-01 12:00"])).dt.as_unit("us")
    for values, from_text in ((pa.array(at), False), (pa.array(at.astype(str)), True)):
        table = pa.table({"at": values})
        frame = to_frame(table, {"at": "timestamp"}, LIMITS, from_text=from_text, clock=Clock(zone), dates=["at"])
        assert f"{frame['at'][0]:%Y-%m-%dT%H:%M}" == begins
        assert on_the_clock(frame["at"], zone)[1] == pd.Timestamp("2024-07-01 12:00")


def test_a_date_that_never_was_is_refused():
    with pytest.raises(UnfitFileError, match="skip"):
        _parse(["2011-12-30"], Clock("Pacific/Apia"))
