"""`evergreen doctor`: looks at the machine, the servers and the definitions, and names the fix for what is wrong."""

from __future__ import annotations

import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from evergreen.core.store.filesystem import url_to_fs
from evergreen.errors import EvergreenError
from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.config.ports import Ports
from evergreen.stack.control import Stack
from evergreen.stack.embedded.services import AIRFLOW_PARTS, airflow_health

_GIB = 2**30
DISK_NEEDED = 2 * _GIB
MEMORY_NEEDED = 4 * _GIB

Check = Callable[[], str]
"""Says what it found; raises if something is wrong."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        found: in words.
        fix: what to do, empty if nothing is wrong.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class Wrong(Exception):  # noqa: N818 -- reads as what it is where it is raised
    """Something is wrong; holds what, and the fix if a better one is known than the check's own."""


def examine(home: Home) -> list[Finding]:
    """Run every check. Addresses come from the shell if it sets them (a deployment), else from the stack."""
    findings = [_run(name, check, fix) for name, check, fix in _machine(home)]
    stack = Stack(home)
    try:
        env = os.environ if "EVERGREEN_LEDGER_URL" in os.environ else stack.environment()
        settings = Settings.from_env(env)
    except EvergreenError as err:
        return [*findings, Finding("environment", False, str(err).rstrip("."), "Start the stack: `evergreen up`.")]
    findings.append(Finding("environment", True, "all addresses are set"))
    return findings + [_run(name, check, fix) for name, check, fix in _servers(settings, env)]


def _run(name: str, check: Check, fix: str) -> Finding:
    try:
        return Finding(name, True, check())
    except Exception as err:
        # Whatever a client library raises for an unreachable server is a finding here, not a failure of the doctor.
        words = str(err).strip().splitlines()
        return Finding(name, False, (words[0] if words else type(err).__name__).rstrip("."), fix)


def _machine(home: Home) -> Iterator[tuple[str, Check, str]]:
    yield "python", _python, "Install Python 3.11 or later and run `make setup`."
    yield "git", _git, "Install Git 2.28 or later."
    yield "disk", lambda: _disk(home), "Free some space, or set EVERGREEN_HOME to a folder on a larger disk."
    yield "memory", _memory, "End other programs; Airflow, MLflow and four tasks need about 4 GiB."
    yield "ports", lambda: _ports(Stack(home)), "Unset the variable or choose another port."
    yield "stack", lambda: _stack(Stack(home)), "Start it: `evergreen up`; logs are in var/logs."
    yield "models", _models, "Mend the file; docs/model-definition.md describes the fields."


def _servers(settings: Settings, env: Mapping[str, str]) -> Iterator[tuple[str, Check, str]]:
    restart = "See `evergreen status`; in a deployment check the address and the network."
    yield "ledger", lambda: _ledger(settings), "Check EVERGREEN_LEDGER_URL; `evergreen up` migrates the ledger."
    yield "mlflow", lambda: _mlflow(settings, env), restart
    yield "airflow", lambda: _airflow(settings), restart
    yield "smtp", lambda: _smtp(env), "Check EVERGREEN_SMTP_HOST, _PORT, _USER and _PASSWORD."
    yield "store", lambda: _writable(settings.store_url), "Check EVERGREEN_STORE_URL and the permissions there."
    yield "landing", lambda: _readable(settings.landing_url), "Check EVERGREEN_LANDING_URL and the permissions there."
    yield "features git", lambda: _features_git(settings, env), "Check EVERGREEN_FEATURES_GIT_URL."
    yield "features dvc", lambda: _writable(settings.features_dvc_url), "Check EVERGREEN_FEATURES_DVC_URL."


def _python() -> str:
    oldest, found = (3, 11), tuple(sys.version_info[:3])
    if found < oldest:
        raise Wrong(f"Python {'.'.join(map(str, found))} is too old")
    return ".".join(map(str, found))


def _git() -> str:
    if shutil.which("git") is None:
        raise Wrong("there is no git on the PATH")
    return subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _disk(home: Home) -> str:
    folder = next(f for f in (home.root, *home.root.parents) if f.exists())
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED:
        raise Wrong(f"{free / _GIB:.1f} GiB free at {folder}, {DISK_NEEDED / _GIB:.0f} are needed")
    return f"{free / _GIB:.0f} GiB free"


def _memory() -> str:
    available = psutil.virtual_memory().available
    if available < MEMORY_NEEDED:
        raise Wrong(f"{available / _GIB:.1f} GiB available, {MEMORY_NEEDED / _GIB:.0f} are needed")
    return f"{available / _GIB:.0f} GiB available"


def _ports(stack: Stack) -> str:
    state = stack.status()
    if state.running():
        return ", ".join(f"{name} {port}" for name, port in state.ports.items())
    first = stack.shape.ports
    chosen = Ports(state.ports, preferred=first)
    chosen.release()
    moved = [f"{name} (instead of {first[name]})" for name, p in chosen.chosen.items() if p != first[name]]
    found = ", ".join(f"{name} {port}" for name, port in chosen.chosen.items())
    return f"{found} would be used" + (f"; moved: {', '.join(moved)}" if moved else "")


def _stack(stack: Stack) -> str:
    if "EVERGREEN_LEDGER_URL" in os.environ:
        return "not asked: the shell names the servers"
    state = stack.status()
    if state.phase != "ready":
        raise Wrong(f"the stack is {state.phase}" + (f": {state.error.splitlines()[0]}" if state.error else ""))
    down = [name for name, s in state.services.items() if s.condition not in ("healthy", "done")]
    if down:
        raise Wrong(f"not healthy: {', '.join(down)}")
    healthy = f"{sum(s.condition == 'healthy' for s in state.services.values())} services are healthy"
    left_out = [f"{name} ({why})" for name, why in stack.shape.left_out().items() if name not in state.services]
    return f"{healthy}; left out: {', '.join(left_out)}" if left_out else healthy


def _models() -> str:
    from evergreen.core.definition.load import list_models, load_definition

    names = list_models()
    for name in names:
        definition = load_definition(name)
        for candidate in definition.training.own_candidates:
            from evergreen.loop.training.estimators.own import load_own

            load_own(definition, candidate)
    return f"{', '.join(names) or 'none yet'}"


def _ledger(settings: Settings) -> str:
    from evergreen.core.ledger.migrate import at_head

    if not at_head(settings.ledger_url.get_secret_value()):
        raise Wrong("reachable, but its migrations are not at head")
    return "reachable, migrations at head"


def _mlflow(settings: Settings, env: Mapping[str, str]) -> str:
    import httpx

    user, password = env.get("MLFLOW_TRACKING_USERNAME"), env.get("MLFLOW_TRACKING_PASSWORD")
    url = f"{settings.mlflow_url}/api/2.0/mlflow/experiments/search"
    login = (user, password) if user and password else None
    answer = httpx.post(url, json={"max_results": 1}, auth=login, timeout=10, trust_env=False)
    if not answer.is_success:
        raise Wrong(f"{settings.mlflow_url} answers HTTP {answer.status_code}")
    return f"{settings.mlflow_url} takes our login"


def _airflow(settings: Settings) -> str:
    health = airflow_health(settings.airflow_client_url)
    if health is None:
        raise Wrong(f"{settings.airflow_client_url} does not answer")
    ill = [name for name, entry in AIRFLOW_PARTS.items() if (health.get(entry) or {}).get("status") != "healthy"]
    if ill:
        raise Wrong(f"not healthy: {', '.join(ill)}")
    return f"{settings.airflow_client_url}, all parts healthy"


def _smtp(env: Mapping[str, str]) -> str:
    missing = [n for n in ("EVERGREEN_SMTP_HOST", "EVERGREEN_SMTP_PORT") if not env.get(n)]
    if missing:
        raise Wrong(f"{', '.join(missing)} not set")
    host, port = env["EVERGREEN_SMTP_HOST"], int(env["EVERGREEN_SMTP_PORT"])
    with smtplib.SMTP(host, port, timeout=10) as server:
        if env.get("EVERGREEN_SMTP_DISABLE_TLS", "false").lower() != "true":
            server.starttls()
        if env.get("EVERGREEN_SMTP_USER"):
            server.login(env["EVERGREEN_SMTP_USER"], env.get("EVERGREEN_SMTP_PASSWORD", ""))
    return f"{host}:{port} takes our login"


def _writable(url: str) -> str:
    filesystem, path = url_to_fs(url)
    probe = f"{path}/.doctor-{os.getpid()}"
    filesystem.makedirs(path, exist_ok=True)
    filesystem.pipe_file(probe, b"")
    filesystem.rm_file(probe)
    return f"{url} can be written"


def _readable(url: str) -> str:
    filesystem, path = url_to_fs(url)
    return f"{len(filesystem.ls(path))} feeds at {url}"


def _features_git(settings: Settings, env: Mapping[str, str]) -> str:
    url = settings.features_git_url.get_secret_value()
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            ["git", "ls-remote", "--heads", url], capture_output=True, text=True, check=False, timeout=30,
            cwd=Path(scratch), env={**env, "GIT_TERMINAL_PROMPT": "0"},
        )  # fmt: skip
    if done.returncode != 0:
        raise Wrong(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "git ls-remote failed")
    return f"reachable, {len(done.stdout.splitlines())} branch"
