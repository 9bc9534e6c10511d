"""DAGs for operators: `<model>.rollback`, and `evergreen.housekeeping`, which sees to what must not be forgotten."""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.definition import ModelDefinition, list_models, load_definition
from wiring import body, call, dag_arguments, default_args, definitions, send_owed_mail

DOC = """
Send the mails that are still owed (the mail server was down, a process died before it could send), and set the
registry's aliases to what the ledger says.
"""
ROLLBACK_DOC = """
Have a version serve again that has served before, from the next partition on.

1. **roll_back** makes sure that the version still loads, and records decision, deployment and mail in one transaction;
   then it sets the registry's alias. What the replaced version predicted is kept. It waits for no training: one that
   ends later finds another champion than it was compared with, and is refused.

Triggered by a person, here or as `evergreen rollback {name} --why REASON`. Rerunning a run changes nothing.
"""


@task(retries=0)
def send_owed_mails() -> int:
    """Send what the outbox still holds; the number of mails sent."""
    return send_owed_mail()


@task
def reconcile_aliases() -> list[str]:
    """Set the registry's aliases to what the ledger says; the models where they differed."""
    from evergreen.champion.serving import reconcile
    from evergreen.settings import Settings

    settings = Settings.from_env()
    return [name for name in list_models() if reconcile(load_definition(name), settings=settings)]


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
            "why": Param(type="string", minLength=3, description="The reason, in a sentence; kept in the ledger."),
            "to": Param(
                None, type=["null", "integer"], minimum=1, title="Version",
                description="A version that has served; empty: the one that served before the champion.",
            ),
        },
    ) as dag:  # fmt: skip
        roll_back(name)
    return dag


with DAG(
    dag_id="evergreen.housekeeping",
    dag_display_name="evergreen · housekeeping",
    description="Send owed mails, reconcile aliases with the ledger.",
    doc_md=DOC,
    tags=["evergreen"],
    schedule=dt.timedelta(minutes=10),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    default_args=default_args("evergreen"),
):
    send_owed_mails()
    reconcile_aliases()

for _definition in definitions():
    rollback(_definition)
