"""DAG `<model>.rollback`: a person has a version serve again that has served before."""

from __future__ import annotations

from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.core.definition import ModelDefinition
from wiring import SAID, body, call, dag_arguments, definitions, send_owed_mail

DOC = """
Have a version serve again that has served before, from the next partition on.

1. **roll_back** makes sure that the version still loads, and records decision, deployment and mail in one transaction;
   then it sets the registry's alias. What the replaced version predicted is kept. It waits for no training: one that
   ends later finds another champion than it was compared with, and is refused.

Triggered by a person, here or as `evergreen rollback {name} --why REASON`. Rerunning a run changes nothing.
"""


@task
@body
def roll_back(model: str) -> str:
    """Have the version of the form serve; returns the reason as recorded."""
    from evergreen.loop.champion.rollback import roll_back

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
        **{**dag_arguments(definition, "rollback", DOC.format(name=name)), "end_date": None},
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


for _definition in definitions():
    rollback(_definition)
