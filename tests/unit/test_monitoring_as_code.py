"""Rules and dashboards speak of metrics and runbooks that exist; promtool and amtool try them if they are there."""

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from airflow._shared.observability.metrics.metrics_registry import MetricsRegistry

from evergreen.stack.cluster import services
from evergreen.stack.config import credentials
from evergreen.stack.config.home import Home

PROJECT = Path(__file__).parents[2]
RULE_FILES = sorted((PROJECT / "deploy" / "prometheus").glob("*.rules.yml"))
TEST_FILES = sorted((PROJECT / "deploy" / "prometheus").glob("*.test.yml"))
DASHBOARDS = sorted((PROJECT / "deploy" / "grafana").glob("*.json"))
DOCUMENTED = set(re.findall(r"`(evergreen_\w+)`", (PROJECT / "docs" / "metrics.md").read_text()))
needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} (Debian's package {package}) is not installed")
    for name, package in (("promtool", "prometheus"), ("amtool", "prometheus-alertmanager"))
}


def load(path):
    return yaml.safe_load(path.read_text())


def rules():
    return [rule for path in RULE_FILES for group in load(path)["groups"] for rule in group["rules"]]


def panels(path):
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def queries():
    found = [rule["expr"] for rule in rules()]
    return found + [t["expr"] for path in DASHBOARDS for panel in panels(path) for t in panel["targets"]]


def airflows_names():
    """What Airflow's own registry of metrics becomes in the StatsD exporter."""
    found = set()
    for name, metric in MetricsRegistry()._metrics.items():
        plain = "airflow_" + re.sub(r"\W", "_", name)
        timed = metric["type"] == "timer"
        found |= {f"{plain}_{part}" for part in ("sum", "count", "bucket")} if timed else {plain}
    return found


def test_every_rule_and_panel_asks_for_metrics_that_are_documented():
    named = {name for expr in queries() for name in re.findall(r"\bevergreen_\w+", expr)}
    assert len(named) > 15
    assert named <= DOCUMENTED


def test_every_rule_and_panel_asks_for_metrics_that_this_airflow_has():
    named = {name for expr in queries() for name in re.findall(r"\bairflow_\w+", expr)}
    assert len(named) > 15
    assert named <= airflows_names()


def test_every_rule_says_what_to_do():
    for rule in rules():
        runbook = rule["annotations"]["runbook"].removeprefix("/evergreen/runbooks/")
        assert (PROJECT / "docs" / "runbooks" / f"{runbook}.md").is_file(), rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_rule_is_tried():
    tried = {
        case["alertname"]
        for path in TEST_FILES
        for test in load(path)["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tried == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_has_one_panel_a_place_and_links_that_lead_somewhere(path):
    board, taken = json.loads(path.read_text()), set()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    uids = {json.loads(other.read_text())["uid"] for other in DASHBOARDS}
    text = path.read_text()
    assert set(re.findall(r'"/d/([\w-]+)"', text)) == uids - {board["uid"]}
    for runbook in re.findall(r"\$\{airflow\}/evergreen/runbooks/(\w+)", text):
        assert (PROJECT / "docs" / "runbooks" / f"{runbook}.md").is_file()
    sources = {source["uid"] for source in load(PROJECT / "deploy/grafana/datasources.yml")["datasources"]}
    assert {panel["datasource"]["uid"] for panel in panels(path)} <= sources


def test_the_compose_file_mounts_every_dashboard_where_grafana_looks():
    service = load(PROJECT / "docker-compose.yaml")["services"]["grafana"]
    folder = load(PROJECT / "deploy/grafana/dashboards.yml")["providers"][0]["options"]["path"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    for path in DASHBOARDS:
        assert mounted[f"./deploy/grafana/{path.name}"] == f"{folder}/{path.name}"
    assert service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted.values()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder of the services' files as the cluster shape writes them."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.root.chmod(home.root.stat().st_mode | stat.S_IXOTH)
    services.create_secrets(home.secrets)
    services.services(home, services.PORTS, credentials.load(home.secrets))
    return home.parts


def run(*command, env=None):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs["promtool"]
def test_the_rules_fire_when_they_should():
    run("promtool", "test", "rules", *TEST_FILES)


@needs["promtool"]
def test_prometheus_takes_its_configuration(files):
    said = run("promtool", "check", "config", files / "prometheus" / "files" / "prometheus.yml")
    assert said.count("rules found") == len(RULE_FILES)


@needs["amtool"]
@pytest.mark.parametrize(("disable_tls", "required"), [("true", False), ("false", True)])
def test_alertmanager_takes_its_configuration_and_asks_for_tls_unless_told_otherwise(
    files, tmp_path, disable_tls, required
):
    env = {
        "PATH": "/usr/bin:/bin", "EVERGREEN_SMTP_HOST": "mail.example.com", "EVERGREEN_SMTP_PORT": "587",
        "EVERGREEN_SMTP_USER": "us&er|x", "EVERGREEN_SMTP_DISABLE_TLS": disable_tls,
        "EVERGREEN_MAIL_FROM": "a@example.com",
        "EVERGREEN_MAIL_TO": "b@example.com, c@example.com", "EVERGREEN_AIRFLOW_URL": "https://airflow.example.com",
        "SMTP_PASSWORD_FILE": str(files / "alertmanager" / "files" / "smtp-password"),
    }  # fmt: skip
    written = tmp_path / "alertmanager.yml"
    start = PROJECT / "deploy" / "alertmanager" / "start.sh"
    assert "SUCCESS" in run(start, tmp_path, "amtool", "check-config", written, env=env)
    config = load(written)
    assert config["global"]["smtp_smarthost"] == "mail.example.com:587"
    assert config["global"]["smtp_auth_username"] == "us&er|x"
    assert config["global"]["smtp_require_tls"] is required
    assert not re.search("@[A-Z_]+@", written.read_text() + (tmp_path / "evergreen.tmpl").read_text())
