"""Every route refuses an anonymous caller, and shows a reader only what they may read."""

from pathlib import Path

import pytest
from fastapi import Header, HTTPException
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from evergreen.settings import Settings
from evergreen.web.app import create_app

NOBODY = "postgresql+psycopg2://nobody@127.0.0.1:9/none"
FILLED = {
    "model": "nyc_flights", "kind": "drift", "key": "2013-04-15", "name": "drift.html", "stage": "inputs",
    "dag_id": "nyc_flights.train",
}  # fmt: skip


def identify(x_user: str | None = Header(default=None)) -> str:
    """A guard as Airflow's: no login, no page."""
    if x_user is None:
        raise HTTPException(401, "Not authenticated")
    return x_user


@pytest.fixture
def app(tmp_path):
    settings = Settings(
        ledger_url=NOBODY, store_url=f"file://{tmp_path}", landing_url="file:///x", features_git_url="g",
        features_dvc_url="d", mlflow_url="http://m", airflow_url="http://a",
        models_dir=Path(__file__).parents[3] / "include" / "models",
    )  # fmt: skip
    return create_app(settings=lambda: settings, identify=identify, may_read=lambda user, model: user == "reader")


@pytest.fixture
def client(app):
    return TestClient(app, follow_redirects=False)


def addresses(app):
    return [route.path.format(**FILLED) for route in app.routes if isinstance(route, APIRoute)]


def test_every_route_is_one_of_ours_and_only_reads(app):
    assert all(isinstance(route, APIRoute) for route in app.routes), "no docs, no static files: they escape the guard"
    assert {method for route in app.routes for method in route.methods} == {"GET"}
    assert len(addresses(app)) >= 7


def test_an_anonymous_caller_is_refused_everywhere(app, client):
    for address in addresses(app):
        answer = client.get(address)
        assert answer.status_code == 401, address
        assert "You are not logged in" in answer.text
        assert "New York" not in answer.text


def test_who_may_not_read_the_model_is_told_nothing_of_it(client):
    for address in ("/models/nyc_flights", "/reports/nyc_flights/2013-04-15/drift.html"):
        answer = client.get(address, headers={"x-user": "stranger"})
        assert answer.status_code == 404
    stranger = client.get("/models/nyc_flights", headers={"x-user": "stranger"}).text
    missing = client.get("/models/no_such_one", headers={"x-user": "reader"}).text
    assert "or you may not read it" in stranger
    assert "or you may not read it" in missing


def test_a_ledger_that_is_down_is_said_plainly(client):
    answer = client.get("/models/nyc_flights", headers={"x-user": "reader"})
    assert answer.status_code == 503
    assert "the ledger at" in answer.text
    assert "Traceback" not in answer.text


def test_every_answer_is_closed_to_scripts_and_frames_of_others(app, client):
    for address in addresses(app):
        for headers in ({}, {"x-user": "reader"}):
            answer = client.get(address, headers=headers)
            if answer.status_code in (302, 307):
                continue
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy, address
            assert "frame-ancestors 'self'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_tab_of_a_dag_leads_to_its_model(client):
    reader = {"x-user": "reader"}
    assert client.get("/dags/nyc_flights.train", headers=reader).headers["location"] == "/models/nyc_flights"
    assert client.get("/dags/evergreen.housekeeping", headers=reader).headers["location"] == "/"
    assert client.get("/dags/%2f%2fevil.example", headers=reader).headers.get("location", "/") == "/"
