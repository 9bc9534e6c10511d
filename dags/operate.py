"""DAG `evergreen.housekeeping`: what must not be forgotten. Broken definitions show here, as an import error."""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, task

from evergreen.definition import list_models, load_definition
from wiring import default_args, send_owed_mail

DOC = """
Send the mails that are still owed (the mail server was down, a process died before it could send), and set the
registry's aliases to what the ledger says.
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

for _name in list_models():
    load_definition(_name)  # a broken definition is this file's import error, with file, line and field
