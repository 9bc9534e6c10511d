"""DAG `evergreen.housekeeping`: sees to what must not be forgotten, for all models."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, get_current_context, task

from evergreen.core.definition import ModelDefinition
from wiring import default_args, definitions, end_skipped, send_owed_mail

log = logging.getLogger("evergreen.dags")

DOC = """
See to what must not be forgotten, for all models.

- **send_owed_mails** sends the mails that are still owed: the mail server was down, a process died before it could
  send, or nobody was there to send (a late feed is found by a trigger, which sends none).
- **reconcile_aliases** sets the registry's aliases to what the ledger says.
- **find_drops** compares the landing zone with the ledger: partitions landed again, history, what no run has brought
  in; **bring_in** starts their ingest runs (`arrived__...`). A drop younger than ten minutes is left to the run that
  waits for it, and for six hours where ingest runs are queued. Names that are no partitions are reported by mail, once.
- **find_stuck** compares what the ledger has of each partition: accepted inputs without current features, features
  without predictions, predictions without a check, for three hours; **restart** starts one run of it (`stuck__...`).
  What has not moved three hours later is reported by mail.

With the parameter `dry_run` the two say in their logs what they found, and nothing is started, recorded or owed.
"""
FIND_LIMIT = 1000
"""Runs started at one look: Airflow maps a task over 1,024 things by default."""


@task(retries=0)
def send_owed_mails() -> int:
    """Send what the outbox still holds; the number of mails sent."""
    return send_owed_mail()


@task
def reconcile_aliases() -> list[str]:
    """Set the registry's aliases to what the ledger says; the models where they differed.

    Raises:
        EvergreenError: it failed for the models that are named, after all others have had their turn.
    """
    from evergreen.errors import EvergreenError
    from evergreen.loop.champion.alias import reconcile
    from evergreen.settings import Settings

    settings, moved, errors = Settings.from_env(), list[str](), dict[str, EvergreenError]()
    for definition in definitions():
        try:
            if reconcile(definition, settings=settings):
                moved.append(definition.name)
        except EvergreenError as error:
            log.error("%s: %s", definition.name, error)
            errors[definition.name] = error
    if errors:
        first = next(iter(errors.values()))
        raise type(first)(f"the registry's alias was not reconciled for {', '.join(errors)}: {first}")
    return moved


@task
def find_drops() -> list[dict[str, Any]]:
    """The ingest runs to start, as arguments of `bring_in`."""
    from evergreen.operations.housekeeping.unscheduled_drops import TABLES, discover

    def of(definition: ModelDefinition, **common: Any) -> Iterable[dict[str, Any]]:
        ti = get_current_context()["ti"]
        queued = any(ti.get_dr_count(f"{definition.name}.ingest_{table}", states=["queued"]) for table in TABLES)
        for found in discover(definition, queued=queued, **common):
            yield _run(f"{definition.name}.ingest_{found.table}", found.run_id, found.key, found.reason)

    return _of_all_models(of)


@task
def find_stuck() -> list[dict[str, Any]]:
    """The runs to start again, as arguments of `restart`."""
    from evergreen.operations.housekeeping.stuck_partitions import mend

    def of(definition: ModelDefinition, **common: Any) -> Iterable[dict[str, Any]]:
        for found in mend(definition, **common):
            yield _run(f"{definition.name}.{found.step}", found.run_id, found.key, found.reason)

    return _of_all_models(of)


def _run(dag_id: str, run_id: str, key: str, reason: str) -> dict[str, Any]:
    conf = {"partition_key": key, "reason": reason}
    return {"trigger_dag_id": dag_id, "trigger_run_id": run_id, "conf": conf, "note": reason}


def _of_all_models(find: Callable[..., Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What `find` gives for each model; empty in a dry run. One model's failure keeps no other from its own.

    Skipped where a server did not answer and there is nothing to start: the next look is in ten minutes, and a mail for
    each would say no more than the ones that the outage causes elsewhere.

    Raises:
        EvergreenError: it failed otherwise for a model, and there is nothing to start for the others.
    """
    from evergreen.errors import EvergreenError, UnavailableError
    from evergreen.settings import Settings

    dry_run = get_current_context()["params"]["dry_run"]
    models = list(definitions())
    common = {
        "settings": Settings.from_env(), "now": dt.datetime.now(dt.UTC), "dry_run": dry_run,
        # What is found is recorded as acted on: none of it may be cut off afterwards.
        "limit": max(1, FIND_LIMIT // max(1, len(models))),
    }  # fmt: skip
    found, errors = list[dict[str, Any]](), list[EvergreenError]()
    for definition in models:
        try:
            found += find(definition, **common)
        except EvergreenError as error:
            log.error("%s: %s", definition.name, error)
            errors.append(error)
    if errors and not found:
        if all(isinstance(error, UnavailableError) for error in errors):
            end_skipped("the next look may find it answering")
        raise errors[0]
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
