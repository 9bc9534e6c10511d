"""Metrics are only for those who know the token."""

import datetime as dt

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.definition.sections import CalendarSection
from evergreen.settings import Settings
from evergreen.web import metrics


@pytest.fixture
def settings(tmp_path):
    return Settings(
        ledger_url="postgresql+psycopg2://nobody@127.0.0.1:9/none", store_url=f"file://{tmp_path}",
        landing_url="file:///x", features_git_url="g", features_dvc_url="d", mlflow_url="http://m",
        airflow_url="http://a", models_dir=tmp_path,
    )  # fmt: skip


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic right", "right", "bearer right", "Bearer rïght"]
)
def test_a_wrong_token_is_refused_and_told_what_to_send(settings, said):
    answer = metrics.answer(settings, said, "right")
    assert answer.status_code == 401
    assert b"EVERGREEN_METRICS_TOKEN" in answer.body
    assert b"right" not in answer.body


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("said", ["", "Bearer ", "Bearer None"])
def test_without_a_token_nobody_is_let_in(settings, token, said):
    answer = metrics.answer(settings, said, token)
    assert answer.status_code == 401
    assert b"Metrics are off" in answer.body


def test_a_ledger_that_is_down_is_an_error_and_not_an_empty_answer(settings):
    answer = metrics.answer(settings, "Bearer right", "right")
    assert answer.status_code == 503
    assert b"the ledger at" in answer.body


def definition(*, delay=1, grace=24, end=None):
    found = load_definition("nyc_flights")
    feed = found.feed.model_copy(update={"label_delay": delay, "grace": dt.timedelta(hours=grace)})
    calendar = CalendarSection(period="week", start=dt.date(2013, 1, 7), end=end)
    return found.model_copy(update={"feed": feed, "calendar": calendar})


@pytest.mark.parametrize(
    ("table", "delay", "newest", "late"),
    [
        ("inputs", 2, "2013-01-14", "2013-01-29"),
        ("labels", 0, "2013-01-14", "2013-01-29"),
        ("labels", 1, "2013-01-14", "2013-02-05"),
        ("labels", 2, "2013-01-14", "2013-02-12"),
        ("labels", 1, None, "2013-01-22"),
    ],
)
def test_a_feed_is_late_when_its_next_partition_is(table, delay, newest, late):
    assert metrics.next_late(definition(delay=delay), table, newest) == dt.datetime.fromisoformat(f"{late}T00:00Z")


def test_no_feed_is_late_after_the_end_of_the_calendar():
    ended = definition(end=dt.date(2013, 1, 14))
    assert metrics.next_late(ended, "labels", "2013-01-07") == dt.datetime(2013, 1, 29, tzinfo=dt.UTC)
    assert metrics.next_late(ended, "labels", "2013-01-14") is None
