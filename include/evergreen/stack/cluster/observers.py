"""What watches the cluster shape: Airflow's StatsD, Prometheus and Alertmanager, as docker-compose.yaml has them.

Prometheus and Alertmanager come from the machine; if it lacks one, that one is left out and all else runs. Grafana
is always left out: it comes as an image only.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping

from evergreen.stack.cluster.compose_file import ComposeService
from evergreen.stack.cluster.host_mapping import Place
from evergreen.stack.config.ports import HOST
from evergreen.stack.process.service import Service

_PROGRAMS = {"prometheus": ("prometheus",), "alertmanager": ("alertmanager", "prometheus-alertmanager")}
"""Names of each program; Debian's come last."""
_PACKAGES = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}


def left_out() -> dict[str, str]:
    """Services of the compose file that this machine cannot run, each with the reason and what would help."""
    missing = {
        name: f"no {name} on the PATH (Debian: {package})"
        for name, package in _PACKAGES.items()
        if _program(name) is None
    }
    return missing | {
        "grafana": "it comes as an image only; its dashboards' queries run against Prometheus in the tests"
    }


def _program(name: str) -> str | None:
    return next((found for found in _PROGRAMS[name] if shutil.which(found)), None)


def _statsd_exporter(service: ComposeService, place: Place) -> Service:
    mapping = place.files(service)["/etc/statsd.yml"]
    ports = (str(place.ports["statsd"]), str(place.ports["statsd_web"]))
    return place.service(service, (sys.executable, "-m", "evergreen.stack.cluster.statsd_exporter", mapping, *ports))


def _prometheus(service: ComposeService, place: Place) -> Service:
    here = place.files(service) | {"/prometheus": "data", ":9090": f"{HOST}:{place.ports['prometheus']}"}
    argv = ("prometheus", *_flags(service.command, here, place))
    return place.service(service, argv)


def _alertmanager(service: ComposeService, place: Place) -> Service:
    folder = str(place.home.part(service.name))
    files = place.files(service)
    listen = f"{HOST}:{place.ports['alertmanager']}"
    here = {"/alertmanager/alertmanager.yml": f"{folder}/alertmanager.yml", "/alertmanager": "data", ":9093": listen}
    argv = (files["/etc/alertmanager/start.sh"], folder, _program(service.name) or service.name)
    password = files[service.environment["SMTP_PASSWORD_FILE"]]
    return place.service(service, (*argv, *_flags(service.command, here, place)), SMTP_PASSWORD_FILE=password)


def _flags(command: tuple[str, ...], here: Mapping[str, str], place: Place) -> list[str]:
    """`--name=value` with this machine's folders and addresses."""
    pairs = (word.partition("=") for word in command)
    return [f"{name}{sign}{here.get(value, place.text(value))}" for name, sign, value in pairs]


MAKERS: dict[str, Callable[[ComposeService, Place], Service]] = {
    "statsd-exporter": _statsd_exporter,
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
}
