"""A client of Airflow's REST API (v2), as the demo and the tests use it. It rides over a restarting api-server."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import httpx

from evergreen.errors import EvergreenError, UnavailableError

PATIENCE = 90.0
"""Seconds for which a request is tried again while the server does not answer."""
_BUSY = {502, 503, 504}
_PAGE = 100

Reprocess = Literal["none", "failed", "completed"]


class AirflowApiError(EvergreenError):
    """Airflow refused a request.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """A session with one Airflow. Answers are the API's own JSON objects."""

    def __init__(self, url: str, user: str, password: str, patience: float = PATIENCE) -> None:
        self.url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._patience = patience
        self._token: str | None = None
        self._http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Requests ---------------------------------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """One request below `/api/v2`; logs in if needed, tries again while the server is away.

        Returns:
            The JSON answer, None if there is none.

        Raises:
            AirflowApiError: Airflow refused it.
            UnavailableError: the server did not answer for as long as our patience lasts.
        """
        deadline = time.monotonic() + self._patience
        while True:
            problem: object
            try:
                response = self._send(method, f"/api/v2{path}", body, query)
                if response.status_code not in _BUSY:
                    return _answer(response)
                problem = f"HTTP {response.status_code}"
            except httpx.TransportError as err:
                problem = repr(err)
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"Airflow at {self.url} did not answer {method} {path} for {self._patience:.0f} s ({problem}). "
                    "`evergreen status` shows whether it runs."
                )
            time.sleep(0.5)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, Any] | None
    ) -> httpx.Response:
        for fresh in (False, True):
            headers = {"Authorization": f"Bearer {self._access_token(fresh)}"}
            response = self._http.request(method, path, json=body, params=query, headers=headers)
            if response.status_code != httpx.codes.UNAUTHORIZED:
                break
        return response

    def _access_token(self, fresh: bool) -> str:
        if self._token is None or fresh:
            response = self._http.post("/auth/token", json=self._login)
            if response.status_code in _BUSY:
                raise httpx.ConnectError(f"HTTP {response.status_code}")
            self._token = str(_answer(response)["access_token"])
        return self._token

    def _pages(self, path: str, key: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self.request("GET", path, query={**query, "limit": _PAGE, "offset": len(found)})
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    # DAGs -------------------------------------------------------------------------------------------------------------

    def dags(self) -> list[dict[str, Any]]:
        """All DAGs that were parsed."""
        return self._pages("/dags", "dags", {})

    def dag(self, dag_id: str) -> dict[str, Any]:
        """One DAG."""
        found: dict[str, Any] = self.request("GET", f"/dags/{quote(dag_id)}")
        return found

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that do not import, each with `filename` and `stack_trace`."""
        return self._pages("/importErrors", "import_errors", {})

    def wait_until_dags_parsed(self, dag_ids: Collection[str], timeout: float = 120) -> None:
        """Wait until Airflow knows the DAGs.

        Raises:
            UnavailableError: it does not in time; the message quotes the import errors there are.
        """

        def known() -> bool:
            return set(dag_ids) <= {dag["dag_id"] for dag in self.dags()}

        if not _wait(known, timeout):
            missing = sorted(set(dag_ids) - {dag["dag_id"] for dag in self.dags()})
            errors = "\n".join(f"{e['filename']}:\n{e['stack_trace']}" for e in self.import_errors())
            raise UnavailableError(
                f"not parsed within {timeout:.0f} s: {', '.join(missing)}. {errors or 'There are no import errors.'}"
            )

    def unpause(self, dag_ids: Collection[str], paused: bool = False) -> None:
        """Let DAGs run (or, with `paused`, stop new runs)."""
        for dag_id in dag_ids:
            self.request("PATCH", f"/dags/{quote(dag_id)}", body={"is_paused": paused})

    def set_pool(self, name: str, slots: int, description: str = "") -> None:
        """Create a pool or change its size."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        if any(pool["name"] == name for pool in self._pages("/pools", "pools", {})):
            self.request("PATCH", f"/pools/{quote(name)}", body=body)
        else:
            self.request("POST", "/pools", body=body)

    # Backfills --------------------------------------------------------------------------------------------------------

    def backfill(
        self,
        dag_id: str,
        from_date: datetime,
        to_date: datetime,
        max_active_runs: int = 4,
        reprocess: Reprocess = "none",
        conf: Mapping[str, Any] | None = None,
    ) -> int:
        """Create a backfill over the runs between two dates (both included); returns its id.

        Raises:
            AirflowApiError: refused, say because one of this DAG is running (409).
        """
        body = {
            "dag_id": dag_id,
            "from_date": from_date.isoformat(),
            "to_date": to_date.isoformat(),
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
            "dag_run_conf": dict(conf or {}),
        }
        return int(self.request("POST", "/backfills", body=body)["id"])

    def backfill_state(self, backfill_id: int) -> dict[str, Any]:
        """A backfill; `completed_at` is null while it runs."""
        state: dict[str, Any] = self.request("GET", f"/backfills/{backfill_id}")
        return state

    def wait_for_backfill(self, backfill_id: int, timeout: float = 600) -> dict[str, Any]:
        """Wait until a backfill is complete (its runs may have failed).

        Raises:
            UnavailableError: it is not in time.
        """
        if not _wait(lambda: self.backfill_state(backfill_id)["completed_at"] is not None, timeout):
            raise UnavailableError(f"backfill {backfill_id} was not complete after {timeout:.0f} s: see {self.url}")
        return self.backfill_state(backfill_id)

    # Runs and tasks ---------------------------------------------------------------------------------------------------

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        partition_key: str | None = None,
    ) -> str:
        """Start a run; returns its id. A run that has the given id already is left alone."""
        body = {
            "dag_run_id": run_id,
            "logical_date": None,
            "conf": dict(conf or {}),
            "partition_key": partition_key,
        }
        try:
            run = self.request("POST", f"/dags/{quote(dag_id)}/dagRuns", body=body)
        except AirflowApiError as err:
            if err.status == httpx.codes.CONFLICT and run_id is not None:
                return run_id
            raise
        return str(run["dag_run_id"])

    def dag_runs(self, dag_id: str = "~", **query: Any) -> list[dict[str, Any]]:
        """Runs of a DAG (`~`: of all), oldest first; `query` holds the API's own filters, such as `state`."""
        return self._pages(f"/dags/{quote(dag_id)}/dagRuns", "dag_runs", {"order_by": "id", **query})

    def newest_runs(self, dag_id: str, **query: Any) -> list[dict[str, Any]]:
        """The newest runs of a DAG, one page of them, newest first; `query` as of `dag_runs`."""
        asked = {"order_by": "-id", "limit": _PAGE, **query}
        found: list[dict[str, Any]] = self.request("GET", f"/dags/{quote(dag_id)}/dagRuns", query=asked)["dag_runs"]
        return found

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run."""
        run: dict[str, Any] = self.request("GET", f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}")
        return run

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 300) -> dict[str, Any]:
        """Wait until a run has ended, well or not.

        Raises:
            UnavailableError: it has not in time.
        """
        if not _wait(lambda: self.dag_run(dag_id, run_id)["state"] in ("success", "failed"), timeout):
            raise UnavailableError(f"run {run_id} of {dag_id} had not ended after {timeout:.0f} s: see {self.url}")
        return self.dag_run(dag_id, run_id)

    def wait_until_idle(self, dag_ids: Collection[str], timeout: float = 600, quiet: float = 2.0) -> None:
        """Wait until none of the DAGs has had an unfinished run for `quiet` seconds.

        Raises:
            UnavailableError: some have still.
        """
        idle_since: float | None = None

        def idle() -> bool:
            nonlocal idle_since
            active = self._pages("/dags/~/dagRuns", "dag_runs", {"state": ["queued", "running"]})
            if any(run["dag_id"] in dag_ids for run in active):
                idle_since = None
                return False
            idle_since = idle_since or time.monotonic()
            return time.monotonic() - idle_since >= quiet

        if not _wait(idle, timeout):
            raise UnavailableError(f"runs had not ended after {timeout:.0f} s: see {self.url}")

    def task_instances(self, dag_id: str = "~", run_id: str = "~", **query: Any) -> list[dict[str, Any]]:
        """Task instances of a run (`~`: of all); `query` holds the API's own filters."""
        path = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='~')}/taskInstances"
        return self._pages(path, "task_instances", query)

    def clear(self, dag_id: str, run_id: str, task_ids: Collection[str] | None = None) -> None:
        """Run tasks of a run again (all by default), as the button in the UI does."""
        body: dict[str, Any] = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
        if task_ids is not None:
            body["task_ids"] = list(task_ids)
        self.request("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", body=body)

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task of a run returned."""
        run = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
        path = f"{run}/taskInstances/{quote(task_id)}/xcomEntries/return_value"
        return self.request("GET", path, query={"deserialize": "false", "stringify": "false"})["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Log of a task's try, a line for each event; `map_index` says which of a mapped task's instances."""
        run = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
        path = f"{run}/taskInstances/{quote(task_id)}/logs/{try_number}"
        content = self.request("GET", path, query={"full_content": "true", "map_index": map_index})["content"]
        return "\n".join(_words(line) if isinstance(line, dict) else str(line) for line in content)

    def run_url(self, dag_id: str, run_id: str, task_id: str | None = None) -> str:
        """Address of a run (or a task of it) in the UI."""
        url = f"{self.url}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"
        return f"{url}/tasks/{quote(task_id)}" if task_id else url

    def login_url(self, path: str = "/") -> str:
        """Address of the login page that leads on to a page."""
        return f"{self.url}/auth/login?{urlencode({'next': self.url + path})}"


def _words(line: Mapping[str, Any]) -> str:
    """A line of a structured log, with the message of the exception it reports."""
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or []]
    return "\n".join([str(line.get("event", line)), *errors])


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        detail = response.json().get("detail", response.text)
    except ValueError:
        detail = response.text
    where = f"{response.request.method} {response.request.url.path}"
    raise AirflowApiError(f"Airflow refused {where}: HTTP {response.status_code}, {detail}", response.status_code)


def _wait(condition: Callable[[], bool], timeout: float, interval: float = 0.5) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True
