"""The dashboards' queries, put to a Prometheus as Grafana would."""

import json

import httpx

from evergreen.stack.config.home import PROJECT

DASHBOARDS = sorted((PROJECT / "deploy" / "grafana").glob("*.json"))
EMPTY_WHEN_HEALTHY = {
    "Columns that count as drifted": "shows what has drifted only",
    "Alerts firing": "none fires",
}
"""Panels that have nothing to show on a healthy stack, each with the reason."""


def panels():
    """Title and query of each panel, for all models."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield panel["title"], target["expr"].replace("$model", ".+").replace("$__rate_interval", "1m")


def ask(address, query):
    """The series that answer a query now."""
    answer = httpx.get(f"{address}/api/v1/query", params={"query": query}, trust_env=False, timeout=30)
    assert answer.status_code == 200, f"{query}: {answer.text}"
    return answer.json()["data"]["result"]


def blank(address, source=""):
    """Titles of the panels that ask for metrics of a source (a part of their names) and have nothing to show."""
    return {title for title, expr in panels() if source in expr and not ask(address, expr)}
