"""`evergreen replay-quarantine MODEL`: what is in quarantine is validated again, and flows on where it passes."""

from __future__ import annotations

import dataclasses
import uuid
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from evergreen.cli.shared import HomeOption, JsonOption, airflow, console, join_stack, print_json
from evergreen.core.definition import ModelDefinition, load_definition
from evergreen.errors import EvergreenError, UnavailableError
from evergreen.settings import Settings
from evergreen.stack.airflow_client import AirflowApi

STILL_QUARANTINED = 3


class Table(StrEnum):
    """A table of the feed."""

    INPUTS = "inputs"
    LABELS = "labels"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay-quarantine")(replay_quarantine)


def replay_quarantine(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    table: Annotated[Table | None, typer.Option("--table", help="Only this table. Default: both.")] = None,
    partition: Annotated[
        list[str] | None, typer.Option("--partition", metavar="KEY", help="A partition's key; may be given again.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All partitions that are in quarantine.")] = False,
    why: Annotated[
        str | None, typer.Option("--why", help="The reason, in a sentence; kept in the ledger with the verdicts.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="How long the run is followed.")] = 900,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate again what is in quarantine, after it was landed again or an expectation was corrected.

    What passes flows on as if it had just arrived. It is the DAG MODEL.replay_quarantine that does it: this command
    triggers it and follows its run. Exit code 0: all of it was accepted; 3: something is still in quarantine.
    """
    if bool(partition) == everything:
        raise typer.BadParameter("give the keys of partitions (--partition KEY), or --all", param_hint="--partition")
    join_stack(home)
    from evergreen.loop.intake.revalidate import Tables, find

    definition, settings = load_definition(model), Settings.from_env()
    only: Tables = table.value if table else "both"
    held, run_url = find(definition, only, partition or (), settings=settings), None
    if held:
        conf = {"table": only, "partitions": partition or [], "why": (why or "").strip() or None}
        with airflow(home) as api:
            held, run_url = _run(api, f"{model}.replay_quarantine", conf, timeout)
    _report(definition, held, run_url, settings, as_json)


def _run(api: AirflowApi, dag_id: str, conf: dict[str, Any], timeout: float) -> tuple[list[dict[str, str]], str]:
    """Trigger the DAG and wait for the end of its run; what it found to validate, and its address.

    Raises:
        EvergreenError: a task failed, and not because of a verdict.
        UnavailableError: Airflow does not answer, the DAG is paused, or the run did not end in time.
    """
    if api.dag(dag_id)["is_paused"]:
        raise UnavailableError(f"{dag_id} is paused: switch it on in Airflow ({api.url}/dags/{dag_id}) and try again")
    run_id = api.trigger(dag_id, conf, run_id=f"cli__{uuid.uuid4()}")
    api.wait_for_run(dag_id, run_id, timeout)
    for task in api.task_instances(dag_id, run_id):
        if task["state"] == "failed":
            name, index = task["task_id"], task["map_index"]
            said = api.task_log(dag_id, run_id, name, task["try_number"], index)
            if "QuarantinedError" not in said:
                about = f"{name} ({task['rendered_map_index']})" if index >= 0 else name
                raise EvergreenError(
                    f"the task {about} of {dag_id} failed, what it had to do is not done; its log says why: "
                    f"{api.run_url(dag_id, run_id, name)}"
                )
    return api.xcom(dag_id, run_id, "find"), api.run_url(dag_id, run_id)


def _report(
    definition: ModelDefinition, held: list[dict[str, str]], run_url: str | None, settings: Settings, as_json: bool
) -> None:
    from evergreen.loop.intake.revalidate import outcomes

    found = outcomes(definition, held, settings=settings)
    accepted = [item for item in found if item.outcome == "accepted"]
    if as_json:
        lines = [dataclasses.asdict(item) for item in found]
        print_json({"model": definition.name, "run": run_url, "accepted": len(accepted), "partitions": lines})
    elif not found:
        console().print("Nothing of what you asked for is in quarantine.")
    else:
        for item in found:
            verdict = Text("accepted   ", "green") if item in accepted else Text("quarantined", "bold red")
            said = f"{item.key} {item.table}, version {item.version}: {item.reason}"
            console().print(verdict, Text(said), soft_wrap=True)
        console().print(Text(f"{len(accepted)} of {len(found)} accepted. Run: {run_url}", "dim"), soft_wrap=True)
    if len(accepted) < len(found):
        raise typer.Exit(STILL_QUARANTINED)
