"""The simulated feed lands real rows, whole and the same each time."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.definition import load_definition
from evergreen.errors import BadInputError, DefinitionError, PartitionKeyError
from evergreen.loop.intake.landing_zone import find_drop
from evergreen.tools.simulator import flights
from evergreen.tools.simulator.land import land, land_table
from evergreen.tools.simulator.sources import last_key, rows

pytestmark = pytest.mark.xdist_group("flights")  # one worker reads the year of flights, not each

KEY = "2013-01-07"
WEEKS = ["--from", KEY, "--through", "2013-01-14"]


@pytest.fixture(scope="module")
def definition():
    return load_definition("nyc_flights")


@pytest.mark.slow
def test_every_flight_of_2013_is_there_once():
    year, truth = flights.inputs(), flights.labels()
    assert len(year) == len(truth) == 336_776
    assert year["flight_id"].is_unique
    assert year["flight_id"].equals(truth["flight_id"])
    assert year["scheduled_departure"].is_monotonic_increasing


def test_departures_are_utc_instants_of_local_plans():
    year = flights.inputs().iloc[::40]
    local = year["scheduled_departure"].dt.tz_convert("America/New_York")
    assert (local.dt.hour == year["scheduled_hour"]).all()
    assert (local.dt.strftime("%Y-%m-%d") == year["flight_date"]).all()
    summer = year[year["flight_date"] == "2013-07-01"]
    assert (summer["scheduled_departure"].dt.hour.isin([*range(9, 24), 0, 1, 2, 3])).all()


def test_planned_minutes_span_zones_and_midnight():
    year = flights.inputs()
    minutes = year.groupby("destination")["scheduled_minutes"].median()
    assert 60 <= minutes["BOS"] <= 90
    assert 350 <= minutes["SFO"] <= 420  # three zones west
    assert 620 <= minutes["HNL"] <= 680  # and over the sea
    assert 200 <= minutes["SJU"] <= 250  # not in the list of airports
    assert year["scheduled_minutes"].between(10, 720).all()


def test_cancelled_and_diverted_flights_are_late():
    truth = flights.labels()
    assert truth.loc[truth["cancelled"], "late"].all()
    diverted = truth["arrival_delay"].isna() & ~truth["cancelled"]
    assert diverted.sum() == 9430 - 8255
    assert truth.loc[diverted, "late"].all()
    on_time = truth["arrival_delay"] <= 15
    assert not truth.loc[on_time, "late"].any()


def test_a_week_runs_from_monday_to_monday_in_utc(definition):
    week = rows(definition, "inputs", KEY)
    assert len(week) == 6114
    assert list(week.columns) == list(definition.feed.tables["inputs"].columns)
    assert week["scheduled_departure"].min() >= pd.Timestamp("2013-01-07T00:00Z")
    assert week["scheduled_departure"].max() < pd.Timestamp("2013-01-14T00:00Z")


def test_a_tick_lands_inputs_and_the_labels_that_became_known(definition, tmp_path):
    url = tmp_path.as_uri()
    told = []
    done = land(definition, ["2013-01-07", "2013-01-14"], landing_url=url, progress=told.append)
    assert [(item.table, item.key) for item in done] == [("inputs", KEY), ("inputs", "2013-01-14"), ("labels", KEY)]
    assert told == done
    assert find_drop(url, "nyc_flights", "labels", KEY) is not None
    assert find_drop(url, "nyc_flights", "labels", "2013-01-14") is None
    assert {path.name for path in (tmp_path / "nyc_flights" / KEY).iterdir()} == {
        "_SUCCESS",
        "inputs.parquet",
        "labels.parquet",
    }


def test_a_key_after_the_last_partition_brings_the_last_labels(definition, tmp_path):
    (item,) = land(definition, ["2013-12-30"], landing_url=tmp_path.as_uri())
    assert (item.table, item.key) == ("labels", "2013-12-23")


def test_a_source_has_a_last_partition_where_the_calendar_has_none(definition):
    section = definition.calendar.model_copy(update={"end": None})
    assert last_key(definition.model_copy(update={"calendar": section})) == "2013-12-23"
    assert last_key(definition) == str(definition.calendar.end)


def test_labels_can_land_at_once(definition, tmp_path):
    done = land(definition, [KEY], landing_url=tmp_path.as_uri(), with_labels=True)
    assert [(item.table, item.key) for item in done] == [("inputs", KEY), ("labels", KEY)]


def test_landing_again_changes_nothing(definition, tmp_path):
    first = land_table(definition, "inputs", KEY, landing_url=tmp_path.as_uri())
    file = tmp_path / "nyc_flights" / KEY / "inputs.parquet"
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    second = land_table(definition, "inputs", KEY, landing_url=tmp_path.as_uri())
    assert (first.new, second.new) == (True, False)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_the_same_week_is_the_same_bytes(definition, tmp_path):
    for name in ("a", "b"):
        land_table(definition, "inputs", KEY, landing_url=(tmp_path / name).as_uri())
        flights.inputs.cache_clear()
    one, other = ((tmp_path / name / "nyc_flights" / KEY / "inputs.parquet").read_bytes() for name in ("a", "b"))
    assert one == other


def test_a_damaged_drop_is_landed_anew(definition, tmp_path):
    url = tmp_path.as_uri()
    land_table(definition, "inputs", KEY, landing_url=url)
    file = tmp_path / "nyc_flights" / KEY / "inputs.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    assert land_table(definition, "inputs", KEY, landing_url=url).new
    assert file.read_bytes() == whole
    assert find_drop(url, "nyc_flights", "inputs", KEY) is not None


def test_what_cannot_land_is_said(definition, tmp_path, shop):
    url = tmp_path.as_uri()
    with pytest.raises(PartitionKeyError, match="partitions from 2013-01-07 to 2013-12-23"):
        land(definition, ["2014-06-02"], landing_url=url)
    with pytest.raises(PartitionKeyError, match="did you mean 2013-01-07"):
        land(definition, ["2013-01-08"], landing_url=url)
    with pytest.raises(DefinitionError, match=r"nothing to land for shop: it has no `feed.source`"):
        land(shop, ["2024-01-01"], landing_url=url)
    with pytest.raises(BadInputError, match="has no inputs for 2015-01-05"):
        land_table(definition, "inputs", "2015-01-05", landing_url=url)
    assert not any(tmp_path.iterdir())


def test_the_command_lands_and_says_so(tmp_path):
    answer = CliRunner().invoke(app, ["feed", "land", "nyc_flights", *WEEKS, "--to", str(tmp_path), "--json"])
    assert answer.exit_code == 0, answer.output
    landed = json.loads(answer.output)["landed"]
    assert [(item["table"], item["key"], item["rows"]) for item in landed] == [
        ("inputs", KEY, 6114),
        ("inputs", "2013-01-14", 6053),
        ("labels", KEY, 6114),
    ]
    words = CliRunner().invoke(app, ["feed", "land", "nyc_flights", *WEEKS, "--to", tmp_path.as_uri()]).output
    assert "there already" in words
    assert f"0 landed below {tmp_path.as_uri()}" in words
