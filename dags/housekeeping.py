"""DAG `evergreen.housekeeping`: sees to what must not be forgotten, for all models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.core.values import TABLES
from wiring import default_args, definitions, end_skipped, send_owed_mail

DOC = """
See to what must not be forgotten, for all models.

- **send_owed_mails** sends the mails that are still owed: the mail server was down, a process died before it could
  send, or nobody was there to send (a late feed is found by a trigger, which sends none). Before that it owes the
  all-clear of incidents that have been well for long enough, what a silence held back, and on Mondays the digest. What
  is owed to a channel whose secret has another name now goes by that; to one that is gone, it is given up.
- **reconcile_aliases** sets the registry's aliases to what the ledger says.
- **find_drops** compares the landing zone with the ledger: partitions landed again, history, what no run has brought
  in; **bring_in** starts their ingest runs (`arrived__...`). A drop younger than ten minutes is left to the run that
  waits for it, and for six hours where ingest runs are queued. Names that are no partitions are reported by mail, once.
- **find_stuck** compares what the ledger has of each partition: accepted inputs without current features, features
  without predictions, predictions without a check, for three hours; **restart** starts one run of it (`stuck__...`).
  What has not moved three hours later is reported by mail.

With the parameter `dry_run` the two say in their logs what they found, and nothing is started, recorded or owed.
"""


@task(retries=0)
def send_owed_mails() -> int:
    """Owe what has become due by now, and send what the outbox still holds; the number of mails sent."""
    from evergreen.loop.alerts.channels_now import follow_definitions
    from evergreen.operations.housekeeping.messages import settle_all
    from evergreen.settings import Settings

    settings = Settings.from_env()
    try:
        if not get_current_context()["params"]["dry_run"]:
            follow_definitions(settings=settings)
            settle_all(definitions(), settings=settings, now=dt.datetime.now(dt.UTC))
    finally:  # what is owed already is sent, whatever went wrong with a model
        sent = send_owed_mail()
    return sent


@task
def reconcile_aliases() -> list[str]:
    """Set the registry's aliases to what the ledger says; the models if they differed."""
    from evergreen.operations.housekeeping.all_models import reconcile_aliases
    from evergreen.settings import Settings

    return reconcile_aliases(definitions(), settings=Settings.from_env())


@task
def find_drops() -> list[dict[str, Any]]:
    """The ingest runs to start, as arguments of `bring_in`."""
    from evergreen.operations.housekeeping.unscheduled_drops import discover

    ti = get_current_context()["ti"]

    def find(definition: ModelDefinition, **common: Any) -> Iterable[dict[str, Any]]:
        queued = any(ti.get_dr_count(f"{definition.name}.ingest_{table}", states=["queued"]) for table in TABLES)
        for found in discover(definition, queued=queued, **common):
            yield _run(f"{definition.name}.ingest_{found.table}", found.run_id, found.key, found.reason)

    return _find_in_each(find)


@task
def find_stuck() -> list[dict[str, Any]]:
    """The runs to start again, as arguments of `restart`."""
    from evergreen.operations.housekeeping.stuck_partitions import mend

    def find(definition: ModelDefinition, **common: Any) -> Iterable[dict[str, Any]]:
        for found in mend(definition, **common):
            yield _run(f"{definition.name}.{found.step}", found.run_id, found.key, found.reason)

    return _find_in_each(find)


def _run(dag_id: str, run_id: str, key: PartitionKey, reason: str) -> dict[str, Any]:
    conf = {"partition_key": key, "reason": reason}
    return {"trigger_dag_id": dag_id, "trigger_run_id": run_id, "conf": conf, "note": reason}


def _find_in_each(find: Callable[..., Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What `find` gives for each model; empty in a dry run.

    Skipped if servers did not answer and there is nothing to start: the next look is in ten minutes, and a mail for
    each would only repeat the mails that the outage causes elsewhere.
    """
    from evergreen.errors import UnavailableError
    from evergreen.operations.housekeeping.all_models import find_in_each
    from evergreen.settings import Settings

    dry_run = bool(get_current_context()["params"]["dry_run"])
    common = {"settings": Settings.from_env(), "now": dt.datetime.now(dt.UTC), "dry_run": dry_run}
    try:
        found = find_in_each(list(definitions()), lambda model, limit: find(model, limit=limit, **common))
    except UnavailableError:
        end_skipped("the next look may find it answering")
    send_owed_mail(quietly=True)
    return [] if dry_run else found


def start(task_id: str) -> Any:
    """A mapped operator that starts the runs it is given; a run that exists is left alone."""
    return TriggerDagRunOperator.partial(
        task_id=task_id,
        logical_date=None,
        skip_when_already_exists=True,
        map_index_template="{{ task.trigger_run_id }}",
    )


with DAG(
    dag_id="evergreen.housekeeping",
    dag_display_name="evergreen · housekeeping",
    description="Send owed mails, reconcile aliases, find drops outside the schedule and partitions that are stuck.",
    doc_md=DOC,
    tags=["evergreen"],
    schedule=dt.timedelta(minutes=10),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    params={"dry_run": Param(False, type="boolean", description="Only say what was found; start and record nothing.")},
    default_args=default_args("evergreen"),
):
    send_owed_mails()
    reconcile_aliases()
    start("bring_in").expand_kwargs(find_drops())
    start("restart").expand_kwargs(find_stuck())
