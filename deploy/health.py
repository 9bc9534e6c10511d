"""Health checks that import next to nothing: they run every few seconds.

`health.py PART [ARGUMENT]`; exit code 0 is healthy.

`airflow jobs check` and `celery inspect ping` do the same and import Airflow each time, which costs CPU seconds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.request

# Part and its entry in the health answer of Airflow's API.
AIRFLOW_PARTS = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}


def airflow(entry: str) -> bool:
    """Whether Airflow's API calls this part healthy (by its heartbeat)."""
    inside = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].rstrip("/").removesuffix("/execution")
    with urllib.request.urlopen(f"{inside}/api/v2/monitor/health", timeout=8) as response:  # nosec B310  # noqa: S310 -- our own address
        return bool(json.load(response)[entry]["status"] == "healthy")


def worker(name: str) -> bool:
    """Whether the Celery worker `name` of this host answers a ping over the broker."""
    from celery import Celery

    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    return bool(app.control.ping(destination=[f"{name}@{socket.gethostname()}"], timeout=8))


def serves(port: str) -> bool:
    """Whether the server on this port of this host, MLflow's or that of the predictions on request, serves."""
    with urllib.request.urlopen(f"http://localhost:{port}/health", timeout=8) as response:  # nosec B310 -- our own address
        return bool(response.status == 200)


def main(part: str, *argument: str) -> int:
    """Exit code for `part`; the argument is a worker's name, or a server's port."""
    try:
        if part in AIRFLOW_PARTS:
            healthy = airflow(AIRFLOW_PARTS[part])
        else:
            healthy = {"worker": worker, "mlflow": serves, "online": serves}[part](*argument)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{part}: {error}\n")
        healthy = False
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
