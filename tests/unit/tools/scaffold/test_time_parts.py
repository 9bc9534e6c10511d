"""Times of several columns: a year with its month, day and hour, or a date with its hour."""

import numpy as np
import pandas as pd
import pytest

from evergreen.core.definition import load_definition
from evergreen.errors import BadInputError
from evergreen.tools.check_drops import check_folder
from evergreen.tools.data_file import DataFile
from evergreen.tools.scaffold.new import new
from evergreen.tools.scaffold.plan import Asked
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.past_rows import PastRows


def hourly(days=20):
    """Hours of two stations, in columns of numbers, as meteorological services write them."""
    at = pd.date_range("2013-12-20", periods=24 * days, freq="h").repeat(2)
    dice = np.random.default_rng(1)
    return {
        "station": ["north", "south"] * (24 * days),
        "year": at.year, "month": at.month, "day": at.day, "hour": at.hour,
        "wind": dice.normal(5, 1, len(at)).round(2), "y": dice.normal(9, 2, len(at)).round(2),
    }  # fmt: skip


def test_month_day_and_hour_beside_a_year_are_found_and_make_the_time(planned):
    plan = planned(hourly(), time="year")
    assert plan.asked.time_parts == ("year", "month", "day", "hour")
    assert plan.period == "day"
    assert plan.joined == ("year", "month", "day", "hour", "station")
    assert "year" in plan.left_out
    assert "event_time" not in plan.inputs
    assert any("(month, day, hour found beside it)" in note.text for note in plan.notes)


def test_the_model_works_on_its_file(tmp_path):
    path, models = tmp_path / "data.csv", tmp_path / "models"
    pd.DataFrame(hourly()).to_csv(path, index=False)
    new(Asked("wind", "y", "year", period="day"), path, folder=models)
    definition, file = load_definition("wind", models), DataFile(path)
    assert definition.feed.made.event_time == ("year", "month", "day", "hour")
    keys = definition.partitions.keys("2013-12-30", "2014-01-02")
    rows = PastRows(definition, file).partition
    land(definition, keys, landing_url=(tmp_path / "landing").as_uri(), rows=rows, with_labels=True)
    checks = check_folder(definition, tmp_path / "landing" / "wind")
    assert {check.rows for check in checks} == {48}
    assert all(check.accepted for check in checks), [check.reason for check in checks]


def test_years_alone_are_the_first_instant_of_the_year(planned):
    years = {"id": [f"{land}{year}" for year in range(1950, 1990) for land in "abcdefgh"]}
    years |= {"year": np.repeat(np.arange(1950, 1990), 8), "y": np.random.default_rng(2).normal(size=320)}
    plan = planned(years, time="year")
    assert (plan.asked.time_parts, plan.period, str(plan.start)) == (("year",), "month", "1950-01-01")
    assert any("a year apart" in note.text for note in plan.notes)


@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_an_hour_beside_a_date_makes_the_time(planned, timezone):
    at = pd.date_range("2024-01-01", periods=24 * 30, freq="h")
    rows = {"day": at.strftime("%Y-%m-%d"), "hr": at.hour, "y": np.random.default_rng(3).normal(size=len(at))}
    assert planned(rows, time="day", timezone=timezone).asked.time_parts == ("day", "hr")


def test_a_month_with_impossible_numbers_is_no_part(planned):
    rows = hourly()
    rows["month"] = np.arange(len(rows["y"]))
    assert planned(rows | {"id": range(len(rows["y"]))}, time="year").asked.time_parts == ("year",)


@pytest.mark.parametrize(
    ("time", "says"),
    [
        ("year,month,dy", "has no column dy"),
        ("station,month", "station is string"),
        ("year,month,day,hour,y", "four columns are the most"),
    ],
)
def test_columns_that_make_no_time_are_refused_in_words(planned, time, says):
    with pytest.raises(BadInputError, match=says):
        planned(hourly(), time=time)
