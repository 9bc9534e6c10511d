"""Reports from the store: no path leads out, and no report is trusted."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from evergreen.core.store import Store, layout
from evergreen.settings import Settings
from evergreen.web.app import create_app


@pytest.fixture
def client(tmp_path):
    store = f"file://{tmp_path}/store"
    (tmp_path / "secret.txt").write_text("secret")
    Store(store).write(layout.report("nyc_flights", "2013-04-15", "drift.html"), b"<script>draw()</script>")
    Store(store).write(layout.report("nyc_flights", "2013-04-15", "numbers.parquet"), b"PAR1")
    Store(store).write("validation/nyc_flights/inputs/2013-04-15/aa-bb.json", b'{"a": "<script>"}')
    Store(store).write("validation/nyc_flights/inputs/2013-04-15/cc-dd.html", b"<p>holds</p>")
    Store(store).write("raw/nyc_flights/inputs/2013-04-15/x.csv", b"secret")
    settings = Settings(
        ledger_url="postgresql://x", store_url=store, landing_url="file:///x", features_git_url="g",
        features_dvc_url="d", mlflow_url="http://m", airflow_url="http://a",
        models_dir=Path(__file__).parents[3] / "include" / "models",
    )  # fmt: skip
    app = create_app(settings=lambda: settings, identify=lambda: "someone", may_read=lambda user, model: True)
    return TestClient(app)


def test_a_report_is_shown_in_a_sandbox_of_its_own(client):
    answer = client.get("/reports/nyc_flights/2013-04-15/drift.html")
    assert answer.content == b"<script>draw()</script>"
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy


def test_a_validation_result_is_json(client):
    answer = client.get("/validation/nyc_flights/inputs/2013-04-15/aa-bb.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"a": "<script>"}


def test_the_page_of_a_validation_may_run_nothing_and_load_nothing(client):
    answer = client.get("/validation/nyc_flights/inputs/2013-04-15/cc-dd.html")
    assert answer.content == b"<p>holds</p>"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline';")
    assert "script" not in policy


def test_a_validation_without_a_page_leads_to_its_result(client):
    answer = client.get("/validation/nyc_flights/inputs/2013-04-15/aa-bb.html")
    assert answer.json() == {"a": "<script>"}
    assert client.get("/validation/nyc_flights/inputs/2013-04-15/no-ne.html").status_code == 404


def test_an_unknown_type_is_a_download(client):
    answer = client.get("/reports/nyc_flights/2013-04-15/numbers.parquet")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "address",
    [
        "/reports/nyc_flights/2013-04-15/none.html",
        "/reports/nyc_flights/2013-04-15/..",
        "/reports/nyc_flights/2013-04-15/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret.txt",
        "/reports/nyc_flights/%2e%2e/drift.html",
        "/reports/nyc_flights/..%5c..%5c/secret.txt",
        "/reports/nyc_flights/2013-04-15/.hidden",
        "/reports/nyc_flights/2013-04-15/a%00b.html",
        "/reports/%2e%2e/2013-04-15/drift.html",
        "/reports/no_such_model/2013-04-15/drift.html",
        "/validation/nyc_flights/%2e%2e/2013-04-15/aa-bb.json",
        "/validation/nyc_flights/inputs/2013-04-15",
        "/validation/nyc_flights/%2e%2e/2013-04-15/aa-bb.html",
        "/raw/nyc_flights/inputs/2013-04-15/x.csv",
        "/reports/nyc_flights/2013-04-15",
    ],
)
def test_no_path_leads_out(client, address):
    answer = client.get(address)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")
