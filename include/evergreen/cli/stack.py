"""`up`, `down` and `status`: the embedded stack."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evergreen.cli.shared import HomeOption, JsonOption, ShapeOption, console, print_json, stack_of
from evergreen.errors import UnavailableError
from evergreen.stack.control import Stack
from evergreen.stack.process.state import StackState

_COLOURS = {"healthy": "green", "done": "green", "failed": "red", "restarting": "yellow", "stopped": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)


def up(
    home: HomeOption = None,
    shape: ShapeOption = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and end the stack when this command ends (Ctrl-C, or killed).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start PostgreSQL, MLflow, a mail catcher, Airflow and predictions on request; return when each of them serves.

    Everything lies in one folder (`var/`), and passwords are generated at the first start. Preferred ports that are
    taken are replaced by the next free ones; demand one with EVERGREEN_PORT_AIRFLOW, _MLFLOW, _ONLINE, _POSTGRES or
    _SMTP. `--shape cluster` starts what docker-compose.yaml describes, without Docker, in `var/cluster/`: Celery
    workers, Redis, S3 and the rest.
    """
    stack = stack_of(home, shape)
    stopped = threading.Event()
    if foreground:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, lambda *_: _stop_waiting(stopped))
    try:
        started = start(stack, foreground, quiet=as_json)
        answer = describe(stack)
        if as_json:
            print_json({**answer, "started": started})
        else:
            console().print("The stack is up." if started else "The stack is up already.")
            _show(answer, stack)
        if foreground and started:
            _stay(stack, stopped)
    finally:
        if foreground:
            stack.stop()


def down(home: HomeOption = None, shape: ShapeOption = None, as_json: JsonOption = False) -> None:
    """End every process of the stack. Data, logs and passwords stay for the next `up`."""
    stack = stack_of(home, shape)
    begun = time.monotonic()
    ran = stack.stop()
    if as_json:
        print_json({"stopped": ran, "seconds": round(time.monotonic() - begun, 1)})
    else:
        console().print(f"Stopped in {time.monotonic() - begun:.1f} s." if ran else "Nothing was running.")


def status(
    home: HomeOption = None,
    shape: ShapeOption = None,
    logins: Annotated[bool, typer.Option("--logins", help="Show the passwords of the web pages.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what runs, where, and since how many restarts. Exit code 1 unless all of it is up."""
    stack = stack_of(home, shape)
    answer = describe(stack)
    if as_json:
        print_json(answer)
    else:
        _show(answer, stack, logins)
    if answer["phase"] != "ready" or _down(answer):
        raise typer.Exit(1)


def _down(answer: dict[str, Any]) -> list[str]:
    """The services that are not up; those that ended by themselves are started again for as long as it takes."""
    return [name for name, s in answer["services"].items() if s["condition"] not in ("healthy", "done")]


def start(stack: Stack, tied: bool, quiet: bool = False) -> bool:
    """Start a stack and say on the terminal what is being waited for. Returns whether it was started now."""
    if quiet:
        return stack.start(tied)
    screen = Console(stderr=True, highlight=False)
    begun = time.monotonic()
    with screen.status("starting") as line:
        said: set[str] = set()

        def progress(state: StackState) -> None:
            open_ones = [n for n, s in state.services.items() if s.condition not in ("healthy", "done")]
            active = [n for n in open_ones if state.services[n].condition != "waiting"]
            line.update(f"waiting for {', '.join(active or open_ones) or 'the supervisor'}")
            for name in [n for n in state.services if n not in open_ones and n not in said]:
                said.add(name)
                screen.print(f"[dim]{time.monotonic() - begun:5.1f} s[/]  {name}")

        return stack.start(tied, progress)


def describe(stack: Stack) -> dict[str, Any]:
    """The state of a stack as `--json` gives it (no passwords)."""
    state = stack.status()
    return {
        "phase": state.phase,
        "error": state.error,
        "home": str(stack.home.root),
        "urls": stack.urls,
        "ports": state.ports,
        "services": {
            name: {
                "condition": s.condition,
                "pid": s.process.pid if s.process else None,
                "restarts": s.restarts,
                "log": str(stack.home.log_of(name)),
            }
            for name, s in state.services.items()
        },
        "left_out": {name: why for name, why in stack.shape.left_out().items() if name not in state.services},
    }


def _show(answer: dict[str, Any], stack: Stack, logins: bool = False) -> None:
    screen = console()
    if answer["phase"] != "ready":
        then = answer["error"] or ("Start it: `evergreen up`." if answer["phase"] == "stopped" else "")
        screen.print(f"The stack in {answer['home']} is {answer['phase']}. {then}".rstrip(), markup=False)
    elif down := _down(answer):
        log = stack.home.log_of("supervisor")
        screen.print(f"Not up: {', '.join(down)}. The supervisor starts them again; {log}", markup=False)
    table = Table("service", "condition", "process", "restarts", box=None, pad_edge=False)
    for name, service in answer["services"].items():
        if service["condition"] == "done":
            continue
        colour = _COLOURS.get(service["condition"], "white")
        pid, restarts = service["pid"], service["restarts"]
        table.add_row(name, f"[{colour}]{service['condition']}[/]", str(pid or ""), str(restarts or ""))
    if table.row_count:
        screen.print(table)
        for name, why in answer["left_out"].items():
            screen.print(f"[yellow]left out:[/] {name}: {why}", soft_wrap=True)
    if answer["phase"] == "ready":
        show_pages(stack, logins)


def show_pages(stack: Stack, logins: bool = False, *, model: str | None = None) -> None:
    """Print where the servers, mails and logs are, and the page of `model`; passwords to a terminal only."""
    screen = console()
    # A terminal is the owner's; a pipe may end in a log.
    shown = logins or sys.stdout.isatty()
    for name, (user, password) in {"airflow": stack.airflow_login, "mlflow": stack.mlflow_login}.items():
        secret = password if shown else "(evergreen status --logins)"
        screen.print(f"{name:8} {stack.urls[name]}  user {user}  password {secret}", soft_wrap=True)
    if logins and stack.metrics_token:
        address = f"{stack.urls['airflow']}/evergreen/metrics"
        screen.print(f"{'metrics':8} {address}  token {stack.metrics_token}", soft_wrap=True)
    if "online" in stack.urls:
        secret = f"token {stack.online_token}" if logins else "(evergreen status --logins)"
        screen.print(f"{'online':8} {stack.urls['online']}/v1/models/MODEL/predictions  {secret}", soft_wrap=True)
    for name in ("prometheus", "alertmanager"):
        if name in stack.urls:
            screen.print(f"{name:8} {stack.urls[name]}", soft_wrap=True)
    if model is not None:
        screen.print(f"{'model':8} {stack.urls['airflow']}/evergreen/models/{model}", soft_wrap=True)
    screen.print(f"{'mails':8} evergreen mail")
    screen.print(f"{'logs':8} {stack.home.logs}", markup=False, soft_wrap=True)


def _stop_waiting(stopped: threading.Event) -> None:
    if stopped.is_set():
        return
    stopped.set()
    raise KeyboardInterrupt


def _stay(stack: Stack, stopped: threading.Event) -> None:
    while not stopped.wait(1):
        state = stack.status()
        if state.phase != "ready":
            raise UnavailableError(f"the stack is {state.phase}. {state.error or ''}".rstrip())
