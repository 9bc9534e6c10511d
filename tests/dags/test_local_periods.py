"""Runs of partitions whose days are local, or that are hours: each key once, in order, at the instant it is due."""

import datetime as dt
import itertools
import shutil

import pytest

from evergreen.core.definition import Calendar
from evergreen.core.definition.load import load_definition, models_dir
from evergreen.stack.config.home import PROJECT

pytestmark = pytest.mark.xdist_group("airflow")

ZONES = {
    "America/New_York": 2015, "Europe/Berlin": 2015, "Australia/Lord_Howe": 2015, "Africa/Casablanca": 2015,
    "Pacific/Apia": 2006, "Asia/Tehran": 2013,
}  # fmt: skip
"""Zone -> first of ten years"""
DEFINITIONS = {
    "hourly": ("period: week", "period: hour\n  timezone: Europe/Berlin"),
    "daily": ("period: week", "period: day\n  timezone: America/New_York"),
    "several": ("entity: flight_id", "entity: [flight_id]"),
    "sundays": ("period: week\n  start: 2013-01-07", "period: week\n  week_start: sunday\n  start: 2013-01-06"),
}


@pytest.mark.parametrize("unit", ["day", "week", "month"])
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize(("zone", "year"), ZONES.items())
def test_ten_years_of_runs_have_each_key_once_and_in_order(dagbag, zone, year, delay, unit):
    from airflow.timetables.base import TimeRestriction

    calendar = Calendar(unit, dt.date(year, 1, 1), dt.date(year + 9, 12, 1), timezone=zone, week_start="thursday")
    keys = calendar.keys(calendar.first_key, calendar.last_key)
    first, last = (_pendulum(calendar.due(key, delay)) for key in (keys[0], keys[-1]))
    timetable, runs, run = _timetable(calendar, delay), [], None
    while run := timetable.next_dagrun_info_v2(
        last_dagrun_info=run, restriction=TimeRestriction(first, last, catchup=True)
    ):
        runs.append(run)
    assert [run.partition_key for run in runs] == keys
    assert [run.run_after for run in runs] == [calendar.due(key, delay) for key in keys]
    assert [run.partition_date for run in runs] == [calendar.period(key).start for key in keys]
    # A backfill walks the same partitions, whatever is said of their days: Airflow hands clock times over as UTC.
    begin, end = (calendar.clock_time(key) for key in (keys[0], keys[-1]))
    filled = list(timetable.iter_partition_dagrun_infos(earliest=begin, latest=end))
    assert [run.partition_key for run in filled] == keys
    assert all(timetable.resolve_partition_date(run.partition_key) == run.partition_date for run in filled)


def test_without_catch_up_a_run_is_for_the_newest_partition_that_is_due(dagbag, monkeypatch):
    import local_periods
    from airflow.timetables.base import TimeRestriction

    calendar = Calendar("day", dt.date(2015, 1, 1), timezone="Europe/Berlin")
    timetable = _timetable(calendar, 1)
    start = _pendulum(calendar.due("2015-01-01", 1))
    for now in ("2024-03-30T22:59", "2024-03-30T23:00", "2024-03-31T22:00", "2024-10-27T22:59", "2024-10-27T23:00"):
        instant = _pendulum(dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC))
        monkeypatch.setattr(local_periods, "now", lambda instant=instant: instant)
        run = timetable.next_dagrun_info_v2(
            last_dagrun_info=None, restriction=TimeRestriction(start, None, catchup=False)
        )
        assert run.partition_key == calendar.shift(calendar.key_of(instant), -2)
        assert run.run_after <= instant < calendar.due(calendar.shift(run.partition_key, 1), 1)


def test_the_scheduler_reads_back_what_the_dag_file_wrote(dagbag):
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    timetable = _timetable(Calendar("week", dt.date(2015, 1, 1), timezone="Asia/Tehran", week_start="saturday"), 3)
    again = decode_timetable(encode_timetable(timetable))
    assert again == timetable
    assert again.partitioned
    assert (again.summary, again.description) == (timetable.summary, timetable.description)


def test_a_key_that_is_none_is_refused_when_a_run_is_triggered(dagbag):
    from airflow.exceptions import InvalidPartitionKeyError

    timetable = _timetable(Calendar("week", dt.date(2015, 1, 5), timezone="Europe/Berlin"), 0)
    with pytest.raises(InvalidPartitionKeyError, match="not the first day of a week; did you mean 2015-01-05"):
        timetable.resolve_partition_date("2015-01-06")


@pytest.fixture(scope="module")
def bag_of_times(dagbag, tmp_path_factory):
    """The DAGs of `DEFINITIONS`, as the scheduler has them: through Airflow's serialisation."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    folder = tmp_path_factory.mktemp("times")
    for name, (old, new) in DEFINITIONS.items():
        shutil.copytree(models_dir() / "nyc_flights", folder / name)
        path = folder / name / "model.yaml"
        text = path.read_text()
        assert old in text
        text = text.replace("name: nyc_flights", f"name: {name}", 1).replace("\n  end: 2013-12-23", "")
        path.write_text(text.replace(old, new, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_MODELS_DIR", str(folder))
        bag = DagBag(str(PROJECT / "dags"))
        assert bag.import_errors == {}
        found = {name: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for name, dag in bag.dags.items()}
        return found, {name: load_definition(name) for name in DEFINITIONS}


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("stage", ["ingest_inputs", "ingest_labels", "monitor"])
def test_the_dags_of_such_a_definition_run_each_partition_of_its_calendar_once(bag_of_times, name, stage):
    dags, definitions = bag_of_times
    dag, definition = dags[f"{name}.{stage}"], definitions[name]
    calendar, delay = definition.partitions, definition.feed.label_delay if stage == "ingest_labels" else 0
    keys = calendar.keys(calendar.first_key, calendar.shift(calendar.first_key, 4 * 366))
    assert dag.timetable.partitioned
    found = list(itertools.islice(_after(dag, dag.start_date), len(keys)))
    assert [one.partition_key for one in found] == keys
    assert [one.run_after for one in found] == [calendar.due(key, delay) for key in keys]
    newest = calendar.shift(calendar.key_of(dt.datetime.now(dt.UTC)), -1 - delay)
    run = dag.next_dagrun_info(last_automated_run_info=None)
    assert run.partition_key in (newest, calendar.shift(newest, 1)), "without catch-up it begins with what is due now"
    # A run waits for two weeks for what never comes: as many must not stop the next.
    assert dag.max_active_runs > 14 * 24 if name == "hourly" else dag.max_active_runs == 16


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_page_of_a_dag_says_what_its_keys_are(bag_of_times, name):
    told = {
        "hourly": "key = the hour in UTC, YYYY-MM-DDTHH.",
        "daily": "key = its first day (YYYY-MM-DD), in America/New_York.",
        "several": "key = its first day (YYYY-MM-DD).",
        "sundays": "key = its first day (YYYY-MM-DD).",
    }
    assert told[name] in bag_of_times[0][f"{name}.monitor"].doc_md


def _after(dag, start):
    from airflow.timetables.base import TimeRestriction

    run = None
    while True:
        run = dag.timetable.next_dagrun_info_v2(
            last_dagrun_info=run, restriction=TimeRestriction(_pendulum(start), None, catchup=True)
        )
        yield run


def _timetable(calendar, delay):
    from local_periods import LocalPeriodTimetable

    return LocalPeriodTimetable(calendar.unit, calendar.timezone, calendar.week_start, delay)


def _pendulum(instant):
    import pendulum

    return pendulum.instance(instant)
