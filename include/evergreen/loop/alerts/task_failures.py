"""The mail about a task that failed for good."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from collections.abc import Sequence

from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.core.ledger.outbox import AlertBody, Links, owe, owe_to
from evergreen.core.ledger.session import Ledger
from evergreen.errors import BadInputError, DefinitionError, QuarantinedError, UnavailableError
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")

_LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")
_OF_NO_MODEL = "evergreen"


def owe_task_failure(
    *, dag_id: str, task_id: str, run_id: str, key: str | None, error: object, run_url: str | None
) -> str | None:
    """Owe a mail about a task that will not be tried again; the mail's id, or None where none is owed.

    A quarantine owes its own mail, so its task's failure owes none. A task of no model (`evergreen.housekeeping`), or
    of one whose definition is broken, is reported to everybody whom some model reports to. The same failure of the
    same task is reported once a run; once a day (UTC) where the DAG is of no model, as such DAGs run every few minutes.
    """
    if isinstance(error, QuarantinedError):
        log.info("%s failed because its partition was quarantined, which has a mail of its own", task_id)
        return None
    said = _words(error)
    body = failure_body(dag_id, task_id, run_id, key, error, run_url)
    digest = hashlib.sha256(_ADDRESS.sub("0x", said).encode(errors="replace")).hexdigest()[:12]
    definition = _definition(dag_id)
    of_no_model = definition is None and dag_id.startswith(f"{_OF_NO_MODEL}.")
    occasion = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}" if of_no_model else run_id
    dedup = f"task_failure:{dag_id}:{occasion}:{task_id}:{digest}"
    subject = f"task {task_id} of {dag_id} failed"
    with Ledger.from_settings(Settings.from_env()).transaction() as session:
        if definition is not None:
            alert = owe(session, definition, kind="task_failure", key=key, dedup_key=dedup, subject=subject, body=body)
        else:
            to = everybody()
            if not to:
                log.error("%s of %s failed, and no model definition says whom to tell", task_id, dag_id)
                return None
            alert = owe_to(
                session, _OF_NO_MODEL, to, kind="task_failure", key=key, dedup_key=dedup, subject=subject, body=body
            )
    return str(alert.id)


def failure_body(
    dag_id: str, task_id: str, run_id: str, key: str | None, error: object, run_url: str | None
) -> AlertBody:
    """What the mail says. Pure."""
    about = f" for the partition {key}" if key else ""
    judged, step = _judged(error)
    return AlertBody(
        headline=f"The task {task_id} of {dag_id} failed{about}.",
        summary=f"It said: {_words(error)}. {judged} What it had not finished has not taken effect.",
        facts=[
            ("DAG", dag_id),
            ("Task", task_id),
            ("Run", run_id),
            ("Partition", key or "none"),
            ("Error", type(error).__name__ if error is not None else "none"),
        ],
        next_steps=[
            "Read the end of the task's log: it names what was wrong, where, and what to do.",
            step,
            "Clear the task in Airflow. It finds what it had already done and goes on from there.",
        ],
        links=Links(log=run_url),
    )


def everybody() -> Sequence[str]:
    """Addresses of all models whose definitions can be read."""
    found = [_definition(name) for name in list_models()]
    return sorted({address for definition in found if definition for address in definition.alerts.to})


def recipients_now(model: str) -> Sequence[str]:
    """Whom the definition of `model` names now; where there is none that can be read, everybody."""
    definition = _definition(model)
    return definition.alerts.to if definition else everybody()


def _definition(dag_id: str) -> ModelDefinition | None:
    try:
        return load_definition(dag_id.partition(".")[0])
    except DefinitionError:
        return None


def _judged(error: object) -> tuple[str, str]:
    """What the kind of error means for the reader: was it tried again, and what is there to mend."""
    if isinstance(error, BadInputError):
        return "A second try would read the same, so there was none.", "Correct what the message names."
    if isinstance(error, UnavailableError):
        return "It was tried again, without success.", "Get the server that did not answer running again."
    return "It will not be tried again by itself.", "Remove the cause, or hand the log to the model's owner."


def _words(error: object) -> str:
    """The error on one line, without the logins that addresses may hold."""
    if error is None:
        return "nothing (the process was ended from outside: out of memory, a timeout, or a stop)"
    text = " ".join(str(error).split()) or type(error).__name__
    return _LOGIN.sub("***@", text)[:800].rstrip(".")
