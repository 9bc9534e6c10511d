"""DAG `<model>.replay_quarantine`: a person has partitions in quarantine validated again."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.calendar import KEY_PATTERN
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from wiring import asset, body, call, dag_arguments, definitions, end_skipped, send_owed_mail

DOC = """
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


@task
@body
def find(model: str) -> list[dict[str, str]]:
    """What the form asks for and is in quarantine: table and key of each."""
    from evergreen.loop.intake.revalidate import find

    definition, common = call(model)
    asked = get_current_context()["params"]
    return find(definition, asked["table"], asked["partitions"] or (), settings=common["settings"])


@task(map_index_template="{{ task.op_kwargs['table'] }} {{ task.op_kwargs['key'] }}")
@body
def validate(model: str, table: TableName, key: PartitionKey) -> None:
    """Give one table of one partition its verdict again; fails if that is `quarantined`."""
    from evergreen.errors import QuarantinedError
    from evergreen.loop.intake.revalidate import validate_again

    definition, common = call(model)
    context = get_current_context()
    asked_by = context["dag_run"].triggering_user_name or "an operator"
    validated = validate_again(definition, table, key, asked_by=asked_by, why=context["params"]["why"], **common)
    if validated.outcome == "quarantined":
        send_owed_mail(quietly=True)
        raise QuarantinedError(validated.reason)


@task(trigger_rule="all_done")
@body
def release(model: str, table: TableName) -> list[str]:
    """Emit the partitions that passed, and with the inputs those whose features were built without them."""
    from evergreen.loop.features.stale import stale_keys
    from evergreen.loop.intake.revalidate import released

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
        **{**dag_arguments(definition, "replay_quarantine", DOC.format(name=name)), "end_date": None},
        schedule=None,
        max_active_runs=1,
        params={
            "table": Param("both", enum=["both", "inputs", "labels"], description="Which table of the partitions."),
            "partitions": Param(
                [], type=["null", "array"], items={"type": "string", "pattern": f"^{KEY_PATTERN}$"},
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


for _definition in definitions():
    replay_quarantine(_definition)
