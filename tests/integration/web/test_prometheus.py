"""A real Prometheus scrapes the real endpoint over a real ledger; a real Alertmanager mails what its rules find."""

import datetime as dt
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, closing

import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from evergreen.core.ledger.tables import Alert, DriftCheck
from evergreen.loop.online import app as online
from evergreen.loop.online.answer import Online
from evergreen.loop.online.metrics import Measures
from evergreen.stack.cluster import services
from evergreen.stack.config import credentials
from evergreen.stack.config.home import PROJECT, Home
from evergreen.web.app import create_app
from helpers.grafana_queries import DASHBOARDS, EMPTY_WHEN_HEALTHY, ask, blank

MISSING = [name for name in ("prometheus", "prometheus-alertmanager", "wget") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on the PATH: {', '.join(MISSING)} (Debian packages)")

OWED_SINCE = dt.timedelta(hours=1)


@pytest.fixture
def known(lived):
    """A ledger that has something to say on each metric, and owes a mail for an hour."""
    with lived.transaction() as session:
        session.execute(sa.update(Alert).values(created_at=dt.datetime.now(dt.UTC) - OWED_SINCE))
        for check in session.scalars(sa.select(DriftCheck)):
            columns = [{**column, "effect": 0.25} for column in check.results["columns"]]
            check.results = {"columns": columns, "estimate": {"loss": 0.2}, "performance": {"relative_rise": 0.1}}
    return lived


@pytest.fixture
def watched(known, settings, smtp, tmp_path, served):
    """Prometheus and Alertmanager as the cluster shape starts them, but in a hurry. Returns Prometheus' address."""
    secrets_file = tmp_path / "secrets.env"
    services.create_secrets(secrets_file)
    secrets = credentials.load(secrets_file) | {"SMTP_PASSWORD": smtp.password.get_secret_value()}
    ports = {name: _free_port() for name in services.PORTS} | {"smtp": smtp.port}
    ports["airflow"] = served("/evergreen", _pages(settings, secrets["METRICS_TOKEN"]))
    ports["online"] = served("", _online(settings, secrets["METRICS_TOKEN"]))
    home = Home(tmp_path / "cluster")
    home.root.mkdir()
    home.root.chmod(0o711)
    made = {service.name: service for service in services.services(home, ports, secrets)}
    with ExitStack() as running:
        for name in ("alertmanager", "prometheus"):
            service = made[name]
            service.before()
            _hurry(service.folder / "files")
            log = running.enter_context((tmp_path / f"{name}.log").open("wb"))
            process = running.enter_context(
                subprocess.Popen(service.argv, env=service.env, cwd=service.folder, stdout=log, stderr=log)
            )
            running.callback(process.terminate)
            _until(
                lambda at=service: (
                    subprocess.run(at.check, env=at.env, capture_output=True, check=False).returncode == 0
                )
            )
        yield f"http://127.0.0.1:{ports['prometheus']}"


@pytest.fixture
def served():
    """Serves an application below a path; the port."""
    servers = []

    def serve(path, app):
        outer, port = FastAPI(), _free_port()
        outer.mount(path, app)
        server = uvicorn.Server(uvicorn.Config(outer, host="127.0.0.1", port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        return port

    yield serve
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)


def _pages(settings, token):
    """As Airflow serves them, to anybody who has the token."""
    return create_app(
        settings=lambda: settings,
        identify=lambda: "ada",
        may_read=lambda user, model: True,
        metrics_token=lambda: token,
    )


def _online(settings, token):
    """A server that has answered a request."""
    measures = Measures()
    measures.answered("nyc_flights", 2, 10, 0.03)
    return online.create_app(settings, Online(settings), tokens=("t" * 24,), metrics_token=token, measures=measures)


def test_what_is_scraped_answers_every_panel_and_a_mail_tells_what_fires(watched, mail_catcher):
    up = _until(lambda: [s for s in ask(watched, "up") if s["metric"]["job"] == "evergreen" and s["value"][1] == "1"])
    assert up, "the token from the file opened the endpoint"
    jobs = {"evergreen", "online", "airflow", "prometheus", "alertmanager"}
    assert _until(lambda: {s["metric"]["job"] for s in ask(watched, "up")} == jobs)

    scraped = {s["metric"]["__name__"] for s in ask(watched, '{job=~"evergreen|online"}')}
    named = set(re.findall(r"\bevergreen_\w+", "".join(p.read_text() for p in (*DASHBOARDS, *_rule_files()))))
    assert len(named) > 20
    assert named <= scraped

    empty = EMPTY_WHEN_HEALTHY.keys()
    assert _until(lambda: blank(watched, "evergreen_") <= empty), blank(watched, "evergreen_") - empty

    firing = _until(lambda: ask(watched, 'ALERTS{alertname="EvergreenMailsStuck", alertstate="firing"}'))
    assert firing[0]["metric"]["model"] == "nyc_flights"
    mail = _until(lambda: next((m for m in mail_catcher.mails() if "mails have been owed" in m.subject), None))
    assert mail.subject.startswith("[Evergreen] nyc_flights:")
    text = mail.path.read_text()
    assert "/evergreen/runbooks/mails_unsent" in text
    assert "/evergreen/models/nyc_flights" in text


def test_a_wrong_token_is_a_target_that_is_down(watched, tmp_path):
    _until(lambda: ask(watched, 'up{job="evergreen"} == 1'))
    (tmp_path / "cluster/parts/prometheus/files/metrics-token").write_text("another")
    assert _until(lambda: ask(watched, 'up{job="evergreen"} == 0'))
    targets = httpx.get(f"{watched}/api/v1/targets", trust_env=False).json()["data"]["activeTargets"]
    assert [t["lastError"] for t in targets if t["labels"]["job"] == "evergreen"] == [
        "server returned HTTP status 401 Unauthorized"
    ]


def _rule_files():
    return (PROJECT / "deploy" / "prometheus").glob("*.rules.yml")


def _hurry(folder):
    """Seconds in place of minutes: all else of the files stays."""
    for path in (*folder.glob("*.yml"), *folder.glob("*.yaml")):
        text = path.read_text()
        text = re.sub(
            r"(scrape_interval|scrape_timeout|evaluation_interval|group_wait|group_interval): \w+", r"\1: 3s", text
        )
        path.write_text(re.sub(r"(\bfor): \w+", r"\1: 0s", text))


def _free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _until(look, seconds=60):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := look():
            return found
        time.sleep(0.3)
    return look()
