"""Starting, stopping and asking a stack: what the command line, the demo and the tests use."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path

from evergreen.errors import SettingsError, UnavailableError
from evergreen.stack.airflow_client import AirflowApi
from evergreen.stack.config import credentials
from evergreen.stack.config import environment as environments
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.config.ports import HOST
from evergreen.stack.process import logs, processes
from evergreen.stack.process import state as states
from evergreen.stack.process.processes import ProcessRef
from evergreen.stack.process.shutdown import end_stack
from evergreen.stack.process.state import StackState
from evergreen.stack.shapes import SHAPES, Shape
from evergreen.stack.supervisor import BUSY, RELEASE

log = logging.getLogger("evergreen.stack")

Progress = Callable[[StackState], None]
"""Called again and again during a start with what is known."""

_START_LIMIT = 900.0
_STOP_LIMIT = 60.0


class Stack:
    """The stack in one folder.

    Example:
        >>> stack = Stack(Home.find())
        >>> stack.start()
        >>> stack.airflow.wait_until_dags_parsed(["nyc_flights.score"])
        >>> stack.stop()
    """

    def __init__(self, home: Home, only: Collection[str] = (), shape: str | None = None) -> None:
        """A stack.

        Args:
            home: its folder.
            only: names of the services to start, each with those it needs; all by default. Tests that want a database
                wait for nothing else.
            shape: `embedded` (by default) or `cluster`. A folder keeps the shape of its first start.
        """
        self.home = home
        self._asked_shape = shape
        self._only = only
        self._owner_pipe: int | None = None

    def start(self, tied: bool = False, progress: Progress | None = None) -> bool:
        """Start the stack and return when every service serves.

        Args:
            tied: whether the stack ends when this process ends, however that ends; else it stays.
            progress: called some times a second.

        Returns:
            Whether it was started; False if it ran already.

        Raises:
            UnavailableError: a service did not come up; the message quotes its log. Nothing is left running.
            SettingsError: ports, secrets or `airflow_settings.yaml` are wrong, or the folder holds the other shape.
        """
        self.home.create(self.shape.folders(self.home))
        while not self._runs_already(progress):
            if self._wait_ready(self._spawn(tied), progress):
                return True
        return False

    @property
    def shape(self) -> Shape:
        """What the stack consists of.

        Raises:
            SettingsError: another shape was asked for than the folder was first started with.
        """
        state = states.read(self.home.state)
        known = state.shape if state.ports else None
        if known and self._asked_shape and known != self._asked_shape:
            raise SettingsError(
                f"the stack in {self.home.root} has the shape {known}, and its data lie where that one keeps them: "
                f"give another folder (--home DIR) for the shape {self._asked_shape}."
            )
        return SHAPES[known or self._asked_shape or "embedded"]

    def release(self) -> None:
        """Let a stack that was started `tied` outlive this process."""
        if self._owner_pipe is not None:
            os.write(self._owner_pipe, RELEASE)
            self._close_pipe()

    def stop(self) -> bool:
        """End the stack, also one whose supervisor is gone or hangs. Returns whether anything ran."""
        if not self.home.state.exists():
            return False
        state = states.read(self.home.state)
        ran = state.running() or any(s.process and s.process.alive() for s in state.services.values())
        if state.running() and state.supervisor:
            self._stop_supervisor(state.supervisor)
        end_stack(state)
        if state.watchdog and (watchdog := state.watchdog.process()):
            processes.wait_gone([watchdog], 20)
        self._close_pipe()
        state = states.read(self.home.state)
        if state.phase not in ("stopped", "failed"):
            state.phase, state.supervisor, state.watchdog, state.services = "stopped", None, None, {}
            try:
                states.write(self.home.state, state)
            except OSError as err:  # what ran has ended all the same, and the next start sees that
                log.warning("could not write %s: %s", self.home.state, err)
        return ran

    def status(self) -> StackState:
        """What is known; the phase of a stack whose supervisor is gone is `stopped` (or `failed`)."""
        state = states.read(self.home.state)
        if not state.running() and state.phase not in ("stopped", "failed"):
            state.phase, state.error = "failed", "its supervisor is gone. `evergreen up` recovers it."
        for service in state.services.values():
            if service.process and not service.process.alive():
                service.process, service.condition = None, "stopped"
        return state

    def environment(self) -> dict[str, str]:
        """The full environment of a task here. It holds secrets: hand it to processes, never to a log.

        Raises:
            SettingsError: the stack has never been started.
        """
        ports = states.read(self.home.state).ports
        if not ports:
            raise SettingsError(f"no stack has been started in {self.home.root}: run `evergreen up`.")
        return self.shape.environment(self.home, ports, credentials.load(self.home.secrets))

    @property
    def airflow_login(self) -> tuple[str, str]:
        """User and password of Airflow's administrator."""
        return environments.AIRFLOW_USER, credentials.load(self.home.secrets)["AIRFLOW_ADMIN_PASSWORD"]

    @property
    def metrics_token(self) -> str | None:
        """What a scraper of the metrics sends; None if this stack was last started before there were metrics."""
        return credentials.load(self.home.secrets).get("METRICS_TOKEN")

    @property
    def online_token(self) -> str | None:
        """What a client of the predictions on request sends; None if this stack was last started before them."""
        return credentials.load(self.home.secrets).get("ONLINE_TOKEN")

    @property
    def mlflow_login(self) -> tuple[str, str]:
        """User and password of MLflow's administrator."""
        return environments.MLFLOW_USER, credentials.load(self.home.secrets)["MLFLOW_ADMIN_PASSWORD"]

    @property
    def mlflow_places(self) -> dict[str, str]:
        """Where the MLflow server keeps its rows and artifacts, as variables for a backup; empty before a start.

        It holds a password: hand it to nobody else.
        """
        ports = states.read(self.home.state).ports
        if not ports:
            return {}
        password = credentials.load(self.home.secrets)["MLFLOW_DB_PASSWORD"]
        return {
            "EVERGREEN_MLFLOW_DATABASE_URL": environments.database_url("mlflow", ports, password),
            "EVERGREEN_MLFLOW_ARTIFACTS_URL": self.shape.mlflow_artifacts(self.home),
        }

    @property
    def urls(self) -> dict[str, str]:
        """Addresses for people: `airflow`, `mlflow`; `online`, `prometheus` and `alertmanager` if they run."""
        state = states.read(self.home.state)
        where_they_run = (name for name in ("online", "prometheus", "alertmanager") if name in state.services)
        shown = ("airflow", "mlflow", *where_they_run)
        return {name: f"http://{HOST}:{state.ports[name]}" for name in shown if name in state.ports}

    @cached_property
    def airflow(self) -> AirflowApi:
        """Client of the running stack's Airflow."""
        return AirflowApi(self.urls["airflow"], *self.airflow_login)

    def _locked(self) -> bool:
        lock = states.try_lock(self.home.lock)
        if lock is None:
            return True
        lock.close()
        return False

    def _spawn(self, tied: bool) -> subprocess.Popen[bytes]:
        logs.rotate(self.home.log_of("supervisor"))
        argv = [sys.executable, "-m", "evergreen.stack.supervisor", str(self.home.root), "--shape", self.shape.name]
        inherited: tuple[int, ...] = ()
        if tied:
            reading, self._owner_pipe = os.pipe()
            inherited = (reading,)
            argv += ["--owner", str(reading)]
        if self._only:
            argv += ["--only", ",".join(self._only)]
        unwanted = (processes.MARKER, "PYTHONDONTWRITEBYTECODE")
        env = {k: v for k, v in os.environ.items() if k not in unwanted} | {"PYTHONPATH": str(PROJECT / "include")}
        with self.home.log_of("supervisor").open("ab") as output:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=self.home.root, pass_fds=inherited, env=env,
            )  # fmt: skip
        for descriptor in inherited:
            os.close(descriptor)
        return child

    def _runs_already(self, progress: Progress | None) -> bool:
        """Whether another supervisor runs this stack; waits while that one is starting or stopping."""
        deadline = time.monotonic() + _START_LIMIT
        while self._locked():
            state = states.read(self.home.state)
            if state.phase == "ready" and state.running():
                return True
            if time.monotonic() > deadline:
                raise UnavailableError(f"the stack has been {state.phase} for {_START_LIMIT:.0f} s: `evergreen down`.")
            if progress:
                progress(state)
            time.sleep(0.1)
        return False

    def _wait_ready(self, supervisor: subprocess.Popen[bytes], progress: Progress | None) -> bool:
        """Wait until our supervisor's stack is up. False: another supervisor was faster than ours."""
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline:
            code = supervisor.poll()
            state = states.read(self.home.state)
            if state.supervisor is not None and state.supervisor.pid == supervisor.pid:
                if progress:
                    progress(state)
                if state.phase == "ready":
                    return True
            if code == BUSY:
                return False
            if code is not None:
                raise UnavailableError(self._failure(state))
            time.sleep(0.1)
        raise UnavailableError(f"the stack was not up after {_START_LIMIT:.0f} s: see {self.home.logs}.")

    def _failure(self, state: StackState) -> str:
        log = self.home.log_of("supervisor")
        return f"the stack did not start: {state.error or f'{log} ends with:' + chr(10) + logs.tail(log)}"

    def _stop_supervisor(self, ref: ProcessRef) -> None:
        process = ref.process()
        if process is None:
            return
        processes.send([process], 15)
        if processes.wait_gone([process], _STOP_LIMIT):
            processes.end([process], 1)

    def _close_pipe(self) -> None:
        if self._owner_pipe is not None:
            os.close(self._owner_pipe)
            self._owner_pipe = None


def join(home: Path | None = None) -> None:
    """Take over a stack's environment, unless the shell says already where everything is (as in a container).

    Does nothing if no stack was ever started there: the settings then say what is missing.
    """
    stack = Stack(Home.find(home))
    if "EVERGREEN_LEDGER_URL" not in os.environ and states.read(stack.home.state).ports:
        os.environ.update(stack.environment())
