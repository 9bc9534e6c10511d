"""Inside a deployment commands call Airflow by its name there, not at the address of people's browsers."""

import http.server
import json
import threading
from pathlib import Path

import pytest

from evergreen.cli import shared
from evergreen.settings import Settings
from evergreen.stack import doctor
from evergreen.stack.embedded.services import AIRFLOW_PARTS

NOWHERE = "http://127.0.0.1:9"


class Health(http.server.BaseHTTPRequestHandler):
    """An api-server of which all parts are well."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({entry: {"status": "healthy"} for entry in AIRFLOW_PARTS.values()}).encode())

    def log_message(self, *words):
        """Nothing."""


@pytest.fixture
def inside():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_doctor_asks_where_airflow_listens(inside):
    settings = Settings(
        ledger_url="l", store_url="s", landing_url="l", features_git_url="g", features_dvc_url="d", mlflow_url="m",
        models_dir=Path(), airflow_url=NOWHERE, airflow_internal_url=inside,
    )  # fmt: skip
    assert doctor._airflow(settings) == f"{inside}, all parts healthy"
    with pytest.raises(doctor.Wrong, match="does not answer"):
        doctor._airflow(settings.model_copy(update={"airflow_internal_url": None}))


def test_a_client_calls_where_airflow_listens(monkeypatch):
    for name in ("USER", "PASSWORD"):
        monkeypatch.setenv(f"EVERGREEN_AIRFLOW_{name}", "x")
    monkeypatch.setenv("EVERGREEN_AIRFLOW_URL", "http://localhost:8080")
    assert shared.airflow().url == "http://localhost:8080"
    monkeypatch.setenv("EVERGREEN_AIRFLOW_INTERNAL_URL", "http://api-server:8080")
    assert shared.airflow().url == "http://api-server:8080"
