"""Alert rules and dashboard speak of metrics and runbooks that exist; promtool tries the rules where it is there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
RULES = PROJECT / "deploy" / "prometheus" / "evergreen.rules.yml"
TESTS = PROJECT / "deploy" / "prometheus" / "evergreen.test.yml"
DASHBOARD = PROJECT / "deploy" / "grafana" / "evergreen.json"
DOCUMENTED = set(re.findall(r"`(evergreen_\w+)`", (PROJECT / "docs" / "metrics.md").read_text()))


def load(path):
    return YAML(typ="safe").load(path.read_text())


def rules():
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def test_every_rule_and_panel_asks_for_metrics_that_are_documented():
    asked = [rule["expr"] for rule in rules()]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked += [target["expr"] for panel in panels for target in panel["targets"]]
    named = {name for expr in asked for name in re.findall(r"\bevergreen_\w+", expr)}
    assert len(named) > 10
    assert named <= DOCUMENTED


def test_every_rule_says_what_to_do():
    for rule in rules():
        runbook = rule["annotations"]["runbook"].removeprefix("/evergreen/runbooks/")
        assert (PROJECT / "docs" / "runbooks" / f"{runbook}.md").is_file(), rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_rule_is_tried():
    tried = {
        case["alertname"] for test in load(TESTS)["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]
    }
    assert tried == {rule["alert"] for rule in rules()}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's package prometheus) is not installed")
def test_the_rules_fire_when_they_should():
    done = subprocess.run(["promtool", "test", "rules", str(TESTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
