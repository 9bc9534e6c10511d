"""DAG `<model>.train`: a challenger is made, compared with the champion, and promoted or refused."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.calendar import KEY_PATTERN
from wiring import (
    HEAVY,
    SAID,
    TRAINING_POOL,
    asset,
    body,
    call,
    dag_arguments,
    definitions,
    end_skipped,
    report_failure,
    send_owed_mail,
    skip,
    task_url,
)

PROMOTE, REFUSE = "Promote", "Refuse"
DOC = """
Make a challenger and let it replace the champion if the evidence says so.

1. **assemble** fixes the dataset: feature snapshots and label versions by id, newest labelled partitions held out.
   Partitions that other feature code has built are built by the code of today first.
2. **fit** tunes the candidates (Optuna, time-ordered split), fits the best, logs all of it to MLflow and registers it.
3. **compare** scores challenger and champion on labelled partitions that neither was trained on, and asks the gate.
4. **approve** waits for a person where the definition or a borderline result asks for one: the evidence stands in its
   form, a mail links to it, and no answer means refuse.
5. **conclude** promotes or refuses: decision, deployment and mail in one transaction, then the registry's alias.
6. **score_waiting** has the champion score the partitions that have features and no predictions, where there are any.

Triggered by `{name}.monitor` (drift, harm, age, changed feature code) or by a person. One run at a time (pool
`training`); a cause that already has a run is not trained again.
"""


@task(pool=TRAINING_POOL)
@body
def assemble(model: str) -> int:
    """Fix the dataset; returns the id of the training run."""
    from evergreen.errors import NotReadyError
    from evergreen.loop.training.assemble import assemble

    definition, common = call(model)
    context = get_current_context()
    asked = context["params"]
    try:
        return assemble(
            definition,
            cause=asked["cause"],
            cause_key=_cause_key(context),
            reason=_reason(context),
            as_of=asked["as_of"] or None,
            **common,
        ).training_run_id
    except NotReadyError as reason:
        end_skipped(str(reason))


@task(**HEAVY)
@body
def fit(model: str, training_run: int) -> int:
    """Tune, fit, log and register; returns the version in the registry. Skipped if the rows cannot teach."""
    from evergreen.errors import NotReadyError
    from evergreen.loop.training.fit import fit

    definition, common = call(model)
    try:
        return fit(definition, training_run, **common).version
    except NotReadyError as reason:
        record_failure(model, get_current_context())  # it has come to an end: nothing is to wait for its challenger
        end_skipped(str(reason))


@task(**HEAVY)
@body
def compare(model: str, training_run: int, version: int) -> dict[str, Any]:
    """Compare with the champion and ask the gate; returns its outcome (promote, refuse, ask), reason and form."""
    from evergreen.loop.champion.evaluate import evaluate

    definition, common = call(model)
    form_url = task_url(common["settings"], "approve", "required_actions")
    evaluated = evaluate(definition, training_run, form_url=form_url, **common)
    gate = {"outcome": evaluated.outcome, "reason": evaluated.reason, "version": version, "form": evaluated.form}
    if evaluated.outcome != "ask":
        skip(["approve"], f"the gate decided by itself: {evaluated.outcome}", result=gate)
    if evaluated.decided:
        skip(["approve"], "a person has answered before", result=gate)
    send_owed_mail(quietly=True)
    return gate


@task(trigger_rule="none_failed_min_one_success", pool=TRAINING_POOL)
@body
def conclude(model: str, training_run: int) -> str:
    """Promote or refuse; returns the reason."""
    from evergreen.loop.champion.promotion import conclude
    from evergreen.loop.scoring.backlog import unscored_keys

    definition, common = call(model)
    context = get_current_context()
    gate = context["ti"].xcom_pull(task_ids="compare")
    if gate is None:  # `assemble` has succeeded, so Airflow starts this task though `fit` was skipped
        end_skipped("no challenger was made, so there is nothing to decide")
    answer = context["ti"].xcom_pull(task_ids="approve")
    decided = conclude(definition, training_run, gate["outcome"], approval=_approval(answer), **common)
    send_owed_mail(quietly=True)
    if not unscored_keys(definition, settings=common["settings"]):
        skip(["score_waiting"], "every partition that the champion serves has its predictions", result=decided.reason)
    return decided.reason


@task
@body
def score_waiting(model: str) -> list[str]:
    """Emit the partitions that have features and no predictions, so that they are scored."""
    from evergreen.loop.scoring.backlog import unscored_keys

    definition, common = call(model)
    keys = unscored_keys(definition, settings=common["settings"])
    if not keys:
        end_skipped("the partitions have been scored meanwhile")
    get_current_context()["outlet_events"][asset(model, "features")].add_partitions([*keys])
    return [*keys]


def record_failure(model: str, context: Any) -> None:
    """Say in the ledger that a task of this training failed for good."""
    from evergreen.loop.training.record_failure import record_failure
    from evergreen.settings import Settings

    record_failure(model, _cause_key(context), settings=Settings.from_env())


def _reason(context: Any) -> str:
    """The reason of the form, with the name of the person who triggered the run, if one did.

    A run with a cause's key is the monitor's. Airflow says that it was triggered by who asked for the backfill that the
    monitor ran in; that person did not ask for a training.
    """
    asked, who = context["params"], context["dag_run"].triggering_user_name
    return f"{asked['reason']} (asked for by {who})" if who and not asked["cause_key"] else str(asked["reason"])


def _cause_key(context: Any) -> str:
    """What the training is for; one cause has one training run. Without a key it is this DAG run."""
    asked = context["params"]
    return asked["cause_key"] or f"{asked['cause']}:{context['run_id']}"


def _approval(answer: Any) -> tuple[bool, str] | None:
    """Whether a person said yes, and who; None if nobody was asked, or nobody answered in time."""
    who = (answer or {}).get("responded_by_user")
    if not who:
        return None
    return PROMOTE in answer["chosen_options"], who["name"] or who["id"]


def train(definition: ModelDefinition) -> DAG:
    """The DAG that makes challengers of a model."""
    name = definition.name

    def on_failure(context: Any) -> None:
        record_failure(name, context)

    arguments = dag_arguments(definition, "train", DOC.format(name=name))
    arguments["default_args"]["on_failure_callback"] = [on_failure, report_failure]
    with DAG(
        **{**arguments, "end_date": None},
        schedule=None,
        max_active_runs=4,
        params={
            "reason": Param(
                "asked for by hand", type="string", minLength=3, pattern=SAID, description="Why; kept in the ledger."
            ),
            "as_of": Param(
                None, type=["null", "string"], pattern=f"^({KEY_PATTERN})?$", title="As of",
                description="Newest partition whose labels may be used; empty: the newest that has landed.",
            ),
            "cause": Param("operator", enum=["first", "drift", "harm", "age", "code", "operator"]),
            "cause_key": Param(
                None, type=["null", "string"], description="One key makes one training; empty: this run's own."
            ),
        },
    ) as dag:  # fmt: skip
        training_run = assemble(name)
        version = fit(name, training_run)
        gate = compare(name, training_run, version)
        approve = HITLOperator(
            task_id="approve",
            subject=f"Promote the challenger of {name}?",
            body="{{ ti.xcom_pull(task_ids='compare')['form'] }}",
            options=[PROMOTE, REFUSE],
            defaults=REFUSE,
            response_timeout=definition.gate.approval_timeout,
        )
        scored = score_waiting.override(outlets=[asset(name, "features")])(name)
        decided = conclude(name, training_run)  # type: ignore[arg-type]  # Airflow hands the value over at run time
        gate >> approve >> decided >> scored
    return dag


for _definition in definitions():
    train(_definition)
