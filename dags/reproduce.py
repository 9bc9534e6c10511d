"""DAG `<model>.reproduce`: a person has a version made again and compared, bit for bit."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.core.definition import ModelDefinition
from wiring import HEAVY, body, call, dag_arguments, definitions

DOC = """
Make a registered version again from what the ledger recorded of its training, and compare it with the registered file.

1. **reproduce** reads snapshots and labels by the recorded ids, trains again, and compares data, model file and holdout
   predictions, bit for bit. It fails if one of them differs; its log names the first that does, and what else has
   changed since: code, libraries, machine. Nothing is written.

Triggered by a person, here or as `evergreen reproduce {name} VERSION`.
"""


@task(**HEAVY)
@body
def make_again(model: str) -> dict[str, Any]:
    """Make the version of the form again; what was compared. Fails if something differs."""
    from evergreen.errors import RefusedError
    from evergreen.operations.reproduce import reproduce

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
        **{**dag_arguments(definition, "reproduce", DOC.format(name=name)), "end_date": None},
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
    reproduce(_definition)
