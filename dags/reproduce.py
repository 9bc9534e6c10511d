"""DAGs for operators: `<model>.rollback`, `<model>.replay_quarantine` and `<model>.reproduce`."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.definition import ModelDefinition
from wiring import (
    HEAVY,
    SAID,
    asset,
    body,
    call,
    dag_arguments,
    definitions,
    end_skipped,
    send_owed_mail,
)

ROLLBACK_DOC = """
Have a version serve again that has served before, from the next partition on.

1. **roll_back** makes sure that the version still loads, and records decision, deployment and mail in one transaction;
   then it sets the registry's alias. What the replaced version predicted is kept. It waits for no training: one that
   ends later finds another champion than it was compared with, and is refused.

Triggered by a person, here or as `evergreen rollback {name} --why REASON`. Rerunning a run changes nothing.
"""
REPLAY_DOC = """
Validate again what is in quarantine, after it was landed again or an expectation was corrected. What passes flows on as
if it had just arrived.

1. **find** lists the partitions of the form that are in quarantine; all of them where the form names none.
2. **validate** takes, for each, the drop in the landing zone if it is a new one, else the bytes that were kept, and
   gives the verdict that they get today. What stays in quarantine fails here with the reason; the others go on.
3. **release_inputs** emits `{name}.inputs` for what passed, and for partitions whose features were built without it:
   features, predictions and check follow. **release_labels** emits `{name}.labels`.
4. **all_released** is there for the colour of the run: red while something that was asked for is still in quarantine.

Triggered by a person, here or as `evergreen replay-quarantine {name} --all`. Rerunning a run changes nothing.
"""
REPRODUCE_DOC = """
Make a registered version again from what the ledger recorded of its training, and compare it with the registered file.

1. **reproduce** reads snapshots and labels by the recorded ids, fits anew, and compares data, model file and holdout
   predictions, bit for bit. It fails where one of them differs; its log names the first that does, and what else has
   changed since: code, libraries, machine. Nothing is written.

Triggered by a person, here or as `evergreen reproduce {name} VERSION`.
"""


@task
@body
def roll_back(model: str) -> str:
    """Have the version of the form serve; returns the reason as recorded."""
    from evergreen.champion.rollback import roll_back

    definition, common = call(model)
    context = get_current_context()
    asked, run = context["params"], context["dag_run"]
    decided = roll_back(
        definition,
        to=asked["to"],
        why=asked["why"],
        decided_by=run.triggering_user_name or "an operator",
        cause_key=f"run:{run.run_id}",
        **common,
    )
    send_owed_mail(quietly=True)
    return decided.reason


def rollback(definition: ModelDefinition) -> DAG:
    """The DAG by which a person rolls a model back."""
    name = definition.name
    with DAG(
        **{**dag_arguments(definition, "rollback", ROLLBACK_DOC.format(name=name)), "end_date": None},
        schedule=None,
        max_active_runs=1,
        params={
            "why": Param(
                type="string", minLength=3, maxLength=2000, pattern=SAID,
                description="The reason, in a sentence; kept in the ledger.",
            ),
            "to": Param(
                None, type=["null", "integer"], minimum=1, title="Version",
                description="A version that has served; empty: the one that served before the champion.",
            ),
        },
    ) as dag:  # fmt: skip
        roll_back(name)
    return dag


@task
@body
def find(model: str) -> list[dict[str, str]]:
    """What the form asks for and is in quarantine: table and key of each."""
    from evergreen.intake.replay import find

    definition, common = call(model)
    asked = get_current_context()["params"]
    return find(definition, asked["table"], asked["partitions"] or (), settings=common["settings"])


@task(map_index_template="{{ task.op_kwargs['table'] }} {{ task.op_kwargs['key'] }}")
@body
def validate(model: str, table: str, key: str) -> None:
    """Give one table of one partition its verdict again; fails where that is `quarantined`."""
    from evergreen.errors import QuarantinedError
    from evergreen.intake.replay import validate_again

    definition, common = call(model)
    context = get_current_context()
    asked_by = context["dag_run"].triggering_user_name or "an operator"
    validated = validate_again(definition, table, key, asked_by=asked_by, why=context["params"]["why"], **common)
    if validated.outcome == "quarantined":
        send_owed_mail(quietly=True)
        raise QuarantinedError(validated.reason)


@task(trigger_rule="all_done")
@body
def release(model: str, table: str) -> list[str]:
    """Emit the partitions that passed, and with the inputs those whose features were built without them."""
    from evergreen.features.stale import stale_keys
    from evergreen.intake.replay import released

    definition, common = call(model)
    context = get_current_context()
    held = context["ti"].xcom_pull(task_ids="find") or []
    keys = released(definition, table, held, settings=common["settings"])
    if held and table == "inputs":
        keys = sorted({*keys, *stale_keys(definition, settings=common["settings"])})
    if not keys:
        end_skipped(f"no {table} came out of quarantine")
    context["outlet_events"][asset(model, table)].add_partitions(keys)
    return keys


def replay_quarantine(definition: ModelDefinition) -> DAG:
    """The DAG by which a person has partitions taken out of quarantine."""
    name = definition.name
    with DAG(
        **{**dag_arguments(definition, "replay_quarantine", REPLAY_DOC.format(name=name)), "end_date": None},
        schedule=None,
        max_active_runs=1,
        params={
            "table": Param("both", enum=["both", "inputs", "labels"], description="Which table of the partitions."),
            "partitions": Param(
                [], type=["null", "array"], items={"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
                description="Their keys, one a line; empty: all that are in quarantine.",
            ),
            "why": Param(
                None, type=["null", "string"], maxLength=2000,
                description="The reason, in a sentence; kept in the ledger with the verdicts.",
            ),
        },
    ) as dag:  # fmt: skip
        validated = validate.partial(model=name).expand_kwargs(find(name))
        # A leaf that any failure above reaches: the releases are to run all the same, and would hide it.
        outcome = EmptyOperator(task_id="all_released", trigger_rule="none_failed")
        for table in ("inputs", "labels"):
            freed = release.override(task_id=f"release_{table}", outlets=[asset(name, table)])(name, table)
            validated >> freed >> outcome
        validated >> outcome
    return dag


@task(**HEAVY)
@body
def make_again(model: str) -> dict[str, Any]:
    """Make the version of the form again; what was compared. Fails where something differs."""
    from evergreen.errors import RefusedError
    from evergreen.lineage.reproduce import reproduce

    definition, common = call(model)
    asked = get_current_context()["params"]
    found = reproduce(definition, asked["version"], settings=common["settings"], tune=asked["tune"])
    if not found.reproduced:
        raise RefusedError(f"{model} version {found.version} {found.reason}")
    return {check.name: check.now for check in found.checks}


def reproduce(definition: ModelDefinition) -> DAG:
    """The DAG by which a person has a version made again."""
    name = definition.name
    with DAG(
        **{**dag_arguments(definition, "reproduce", REPRODUCE_DOC.format(name=name)), "end_date": None},
        schedule=None,
        max_active_runs=1,
        params={
            "version": Param(type="integer", minimum=1, description="A version that the ledger's trainings name."),
            "tune": Param(
                False, type="boolean", title="Tune again",
                description="Choose candidate and hyperparameters again too, instead of taking the recorded ones.",
            ),
        },
    ) as dag:  # fmt: skip
        make_again.override(task_id="reproduce")(name)
    return dag


for _definition in definitions():
    rollback(_definition)
    reproduce(_definition)
    replay_quarantine(_definition)
