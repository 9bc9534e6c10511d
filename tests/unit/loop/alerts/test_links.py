"""Addresses in mails: all can be opened by a person with a browser."""

from pathlib import Path

import pytest

from evergreen.core.ledger.outbox import Links
from evergreen.loop.alerts.links import complete, report
from evergreen.settings import Settings

SETTINGS = Settings(
    ledger_url="postgresql://x", store_url="s3://bucket/evergreen/", landing_url="s3://landing", features_git_url="g",
    features_dvc_url="d", mlflow_url="http://mlflow", models_dir=Path(), airflow_url="https://airflow.example.com/a/",
)  # fmt: skip
PAGES = "https://airflow.example.com/a/evergreen"


def completed(**links):
    return complete(Links(**links), kind="drift", model="nyc_flights", settings=SETTINGS)


def test_runbook_and_page_are_filled_in():
    links = completed()
    assert links == Links(runbook=f"{PAGES}/runbooks/drift", page=f"{PAGES}/models/nyc_flights")


def test_what_is_given_stays():
    given = Links(
        form="http://a/form",
        log="http://a/log",
        report="http://a/r",
        model="https://m/1",
        runbook="https://wiki/r",
        page="http://p",
    )
    assert complete(given, kind="drift", model="nyc_flights", settings=SETTINGS) == given


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "//host/x", ""])
def test_what_a_browser_should_not_open_is_left_out(url):
    links = completed(form=url, log=url, report=url, model=url)
    assert (links.form, links.log, links.report, links.model) == (None, None, None, None)


def test_a_report_in_the_store_is_addressed_by_its_page():
    uri = "s3://bucket/evergreen/reports/nyc_flights/2013-04-15/drift.html"
    assert report(uri, SETTINGS) == f"{PAGES}/reports/nyc_flights/2013-04-15/drift.html"
    uri = "s3://bucket/evergreen/validation/nyc_flights/inputs/2013-04-15/aa-bb.json"
    assert report(uri, SETTINGS) == f"{PAGES}/validation/nyc_flights/inputs/2013-04-15/aa-bb.json"


@pytest.mark.parametrize("uri", ["s3://bucket/evergreen/raw/x/y/z", "s3://other/reports/a/b/c", None])
def test_other_objects_have_no_page(uri):
    assert report(uri, SETTINGS) is None
