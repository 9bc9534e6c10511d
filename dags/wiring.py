"""What the DAG files share: owners, retries, assets, and how a task reaches the package.

A task body calls one function of the package. Models, keys and ids travel between tasks, never data.
"""

from __future__ import annotations

import datetime as dt
import gc
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import quote

from airflow.sdk import Asset, CronPartitionTimetable, get_current_context
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from arrival import NO_PARTITION
from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.core.names import PartitionKey
from evergreen.errors import DefinitionError, PartitionKeyError

if TYPE_CHECKING:
    from local_periods import LocalPeriodTimetable

    from evergreen.settings import Settings

log = logging.getLogger("evergreen.dags")

BAD_DATA_FAILS_AT_ONCE = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=["evergreen.errors.BadInputError", "evergreen.errors.RefusedError"],
            action=RetryAction.FAIL,
            reason="the same bytes would fail again: see the message for what to mend",
        )
    ]
)
SAID = r"\S[\s\S]*\S"
"""A form's reason that says something: blanks alone would pass for three characters."""
TRAINING_POOL = "training"
_TRAINING_POD = os.environ.get("EVERGREEN_TRAINING_POD_TEMPLATE")
HEAVY: dict[str, Any] = {
    "pool": TRAINING_POOL,
    "queue": os.environ.get("EVERGREEN_TRAINING_QUEUE") or conf.get("operators", "default_queue"),
    "executor_config": {"pod_template_file": _TRAINING_POD} if _TRAINING_POD else None,
}
"""What tuning, fitting and comparing ask for. Only a deployment knows whether a worker of its own waits for them
(Celery), or which pod they get (KubernetesExecutor; other executors do not read it)."""
FROM_CONFIGURATION = {
    "max_active_tasks": conf.getint("core", "max_active_tasks_per_dag"),
    "max_consecutive_failed_dag_runs": conf.getint("core", "max_consecutive_failed_dag_runs_per_dag"),
    "disable_bundle_versioning": conf.getboolean("dag_processor", "disable_bundle_versioning"),
}
"""What every DAG would look up for itself, which takes longer than all else about it."""

Body = TypeVar("Body", bound=Callable[..., Any])


class Call(NamedTuple):
    """What a task hands to the package: the definition, and the keyword arguments every stage takes."""

    definition: ModelDefinition
    common: dict[str, Any]


def definitions() -> Iterator[ModelDefinition]:
    """The definitions that can be read. A broken one is an import error of broken_definitions.py, and no other model's.

    The garbage collector rests while DAGs are built from them: they stay, so each of its passes would search all that
    Airflow has imported and find nothing, and in a forked process copy that memory too.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        for name in list_models():
            try:
                yield load_definition(name)
            except DefinitionError as error:
                log.warning("no DAGs for %s: %s", name, error)
    finally:
        if collecting:
            gc.enable()


def body(function: Body) -> Body:
    """Mark the body of a task: its signature, for which Airflow asks several times a task, is kept with it."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


def call(model: str) -> Call:
    """The definition of `model`, the settings of this process, and the address of this task's log."""
    from evergreen.settings import Settings

    run_url = get_current_context()["ti"].log_url
    return Call(load_definition(model), {"settings": Settings.from_env(), "run_url": run_url})


def task_url(settings: Settings, task_id: str, page: str) -> str:
    """Address of a page of another task of this run in Airflow's UI, such as its form (`required_actions`)."""
    run = get_current_context()["dag_run"]
    path = f"dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}/tasks/{task_id}/{page}"
    return f"{settings.airflow_url.rstrip('/')}/{path}"


def partition_key() -> PartitionKey:
    """The partition of this run, which what the task emits is given too.

    Raises:
        PartitionKeyError: the run has none (it was triggered by hand without one).
    """
    context = get_current_context()
    key = _partition_key(context)
    if not key:
        raise PartitionKeyError(NO_PARTITION)
    if not context.get("partition_key"):  # it came in the run's conf, where Airflow does not look for it
        for outlet in context["task"].outlets:
            context["outlet_events"][outlet].add_partitions([key])
    return key


def _partition_key(context: Any) -> PartitionKey | None:
    """The run's own key, or the one in its conf: a run that a task triggers can be given no other."""
    key = context.get("partition_key") or (context["dag_run"].conf or {}).get("partition_key")
    return PartitionKey(str(key)) if key else None


def skip(task_ids: list[str], why: str, *, result: Any = None) -> NoReturn:
    """End this task well, and skip those of its downstream tasks that have nothing to do: none starts a process.

    Args:
        task_ids: the tasks to skip; what follows them is skipped by its trigger rule.
        why: what the log says.
        result: what this task returns.
    """
    if result is not None:
        get_current_context()["ti"].xcom_push(key="return_value", value=result)
    log.info("Nothing to do for %s: %s", " and ".join(task_ids), why)
    raise DownstreamTasksSkipped(tasks=task_ids)


def end_skipped(why: str) -> NoReturn:
    """End this task as skipped. Airflow's own log of it says that, and not why."""
    log.info("Skipped: %s", why)
    raise AirflowSkipException(why) from None


def active_runs(definition: ModelDefinition) -> int:
    """How many runs of a DAG of partitions may be active, those that wait among them.

    A run waits for what has not landed for 14 days: as many hours must not keep the next one from coming in.
    """
    return 400 if definition.calendar.period == "hour" else 16


@cache
def asset(model: str, name: str) -> Asset:
    """The partitioned asset `name` (inputs, labels, features, predictions, drift_decision, champion) of a model."""
    return Asset(name=f"{model}.{name}", uri=f"evergreen://{model}/{name}", group=model)


def arrivals(definition: ModelDefinition, delay: int = 0) -> CronPartitionTimetable | LocalPeriodTimetable:
    """One run a partition, at the instant its table is due: the end of its period, `delay` periods later."""
    calendar = definition.partitions
    if calendar.is_local:
        from local_periods import LocalPeriodTimetable

        return LocalPeriodTimetable(calendar.unit, calendar.timezone, calendar.week_start, delay)
    return CronPartitionTimetable(calendar.cron, timezone="UTC", run_offset=-1 - delay, key_format=calendar.key_format)


def dag_arguments(definition: ModelDefinition, stage: str, doc: str, *, delay: int = 0) -> dict[str, Any]:
    """Keyword arguments of every DAG of a model: when it lives, who owns it, how it fails."""
    calendar = definition.partitions
    # Airflow makes a run at either instant, and none before or after: those are when the first and the last partition
    # are due. Backfills go by the partitions' own dates, which it does not compare with these.
    start = calendar.due(calendar.first_key, delay)
    end = calendar.due(calendar.last_key, delay) if calendar.last_key else None
    return {
        "dag_id": f"{definition.name}.{stage}",
        "dag_display_name": f"{definition.name} · {stage.replace('_', ' ')}",
        "description": next(line for line in doc.splitlines() if line.strip()).strip(),
        "doc_md": doc + _about(definition),
        "tags": ["evergreen", definition.name, stage.split("_")[0]],
        "start_date": start,
        "end_date": end,
        "catchup": False,
        "default_args": default_args(definition.owner),
        **FROM_CONFIGURATION,
    }


def default_args(owner: str) -> dict[str, Any]:
    """How tasks fail: bad data at once, everything else after nine tries; every failure is reported."""
    return {
        "owner": owner,
        # The pauses are 20 s, 40 s, 80 s, then two minutes, and up to twice that: a server may be away for ten minutes.
        "retries": 8,
        "retry_delay": dt.timedelta(seconds=20),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": dt.timedelta(minutes=2),
        "retry_policy": BAD_DATA_FAILS_AT_ONCE,
        "execution_timeout": dt.timedelta(hours=2),
        "on_failure_callback": report_failure,
        "on_success_callback": report_success,
        "on_skipped_callback": report_skipped,
    }


def report_failure(context: Any) -> None:
    """Write a mail for a task that failed for good, and try to send it; at the latest, housekeeping sends it."""
    from evergreen.loop.alerts.task_failures import owe_task_failure

    ti = context["ti"]
    owe_task_failure(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        key=_partition_key(context),
        error=context.get("exception"),
        run_url=ti.log_url,
        map_index=_map_index(ti),
    )
    send_owed_mail(quietly=True)


def report_success(context: Any) -> None:
    """Record that a task that had failed is well again; one query if none had. Housekeeping sends what is owed."""
    _report_end(context, skipped=False)


def report_skipped(context: Any) -> None:
    """Record that a task that had failed has nothing to do any more: Airflow calls no other callback of it then."""
    _report_end(context, skipped=True)


def _report_end(context: Any, *, skipped: bool) -> None:
    from evergreen.errors import UnavailableError
    from evergreen.loop.alerts.task_failures import end_task_failure

    ti = context["ti"]
    try:
        end_task_failure(
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            key=_partition_key(context),
            map_index=_map_index(ti),
            skipped=skipped,
            waited_for=_waited_for(context["task"]),
        )
    except UnavailableError as error:
        log.warning("%s; an incident of this task stays open until it succeeds again", error)


def _waited_for(task: Any) -> list[str]:
    """The sensors before `task` that end in the triggerer, where Airflow calls no callback for a success.

    That this task runs says that they came through, unless its rule lets it run without them.
    """
    if task.trigger_rule != "all_success":
        return []
    return sorted(before.task_id for before in task.upstream_list if getattr(before, "start_from_trigger", False))


def _map_index(ti: Any) -> int:
    return ti.map_index if ti.map_index is not None else -1


def send_owed_mail(*, quietly: bool = False) -> int:
    """Send mails through the connection `smtp_default`, then give channels what is owed; the number of mails sent.

    Mails go first: a channel may take ten seconds for each message. A mail server that is down keeps no channel
    waiting.

    Args:
        quietly: log a mail server that does not answer instead of raising; the mails stay in the outbox.
    """
    from evergreen.errors import UnavailableError
    from evergreen.loop.alerts.deliver import deliver_pending
    from evergreen.loop.alerts.send import send_pending
    from evergreen.settings import Settings

    try:
        try:
            return send_pending(settings=Settings.from_env(), smtp=_smtp_settings()).sent
        finally:
            # A channel may take ten seconds for each message: a task that has other work gives it a few, and leaves the
            # rest to housekeeping.
            few = {"limit": 5} if quietly else {}
            deliver_pending(settings=Settings.from_env(), secret_of=_channel_address, **few)
    except UnavailableError as error:
        if not quietly:
            raise
        log.warning("%s; evergreen.housekeeping will try again", error)
        return 0


def _channel_address(name: str) -> Any:
    """Address of a channel: a variable of this process, or an Airflow connection's password; None if neither is."""
    from airflow.sdk import BaseHook
    from pydantic import SecretStr

    given = os.environ.get(f"EVERGREEN_CHANNEL_{name.upper()}")
    if given:
        return SecretStr(given)
    try:
        password = BaseHook.get_connection(name).password
    except Exception as error:  # not found, in whatever class this release of Airflow says so; its words are not ours
        log.warning("no Airflow connection %s (%s)", name, type(error).__name__)
        return None
    return SecretStr(password) if password else None


def database_address(name: str) -> Any:
    """URL of a database: a variable of this process, or an Airflow connection; None if neither is."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from evergreen.core.definition.database_address import connection_url, from_environment

    given = from_environment(name)
    if given is not None:
        return given
    try:
        found = BaseHook.get_connection(name)
    except AirflowNotFoundException:  # anything else is an outage, which the next try of the task may not meet
        log.warning("no Airflow connection %s", name)
        return None
    return connection_url(
        found.conn_type or "", found.login, found.password, found.host, found.port, found.schema, found.extra_dejson
    )


def _smtp_settings() -> Any:
    from airflow.sdk import BaseHook

    from evergreen.loop.alerts.smtp import SmtpSettings

    connection = BaseHook.get_connection("smtp_default")
    extra = connection.extra_dejson
    return SmtpSettings(
        host=connection.host,
        port=connection.port or 25,
        user=connection.login or None,
        password=connection.password or None,
        sender=extra["from_email"],
        starttls=not extra.get("disable_tls", False),
        ssl=not extra.get("disable_ssl", True),
    )


def _about(definition: ModelDefinition) -> str:
    return (
        f"\n\n---\n**{definition.title}** — {definition.description}\n\n"
        f"Owner: {definition.owner}. One partition a {definition.calendar.period}, key = {_key(definition)}. "
        f"Definition: `include/models/{definition.name}/model.yaml`. "
        f"[Life of the model](/evergreen/models/{definition.name}) · [Runbooks](/evergreen/runbooks/)"
    )


def _key(definition: ModelDefinition) -> str:
    """What the key of a partition is, and by which clock."""
    calendar = definition.partitions
    if calendar.unit == "hour":
        return calendar.key_in_words
    zone = f", in {calendar.timezone}" if calendar.is_local else ""
    return f"its first day (YYYY-MM-DD){zone}"
