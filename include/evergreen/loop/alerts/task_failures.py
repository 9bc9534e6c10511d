"""The mail about a task that failed for good."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from collections.abc import Sequence
from functools import partial

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.core.ledger import incidents, outbox
from evergreen.core.ledger.outbox import AlertBody, Links
from evergreen.core.ledger.session import Ledger
from evergreen.errors import BadInputError, DefinitionError, QuarantinedError, UnavailableError
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")

_LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")
OF_NO_MODEL = "evergreen"
"""Stands for the model in what is about none"""


def owe_task_failure(
    *,
    dag_id: str,
    task_id: str,
    run_id: str,
    key: str | None,
    error: object,
    run_url: str | None,
    map_index: int = -1,
) -> str | None:
    """Record that a task will not be tried again; the id of the mail to send, or None if there is none.

    One task that fails again and again with errors of one class is one incident (`core.ledger.incidents`). A quarantine
    writes its own mail, so its task's failure writes none. A task of no model (`evergreen.housekeeping`), or of one
    whose definition is broken, is reported to everybody whom some model reports to. The same failure of the same task
    is recorded once a run; once a day (UTC) if the DAG is of no model, as such DAGs run every few minutes.
    """
    if isinstance(error, QuarantinedError):
        log.info("%s failed because its partition was quarantined, which has a mail of its own", task_id)
        return None
    said = _words(error)
    body = failure_body(dag_id, task_id, run_id, key, error, run_url)
    digest = hashlib.sha256(_ADDRESS.sub("0x", said).encode(errors="replace")).hexdigest()[:12]
    definition = _definition(dag_id)
    of_no_model = definition is None and dag_id.startswith(f"{OF_NO_MODEL}.")
    now = dt.datetime.now(dt.UTC)
    occasion = f"{now:%Y-%m-%d}" if of_no_model else run_id
    name = f"task_failure:{dag_id}:{occasion}:{task_id}:{digest}"
    with Ledger.from_settings(Settings.from_env()).transaction() as session:
        owing = _owing(session, definition)
        if owing is None:
            log.error("%s of %s failed, and no model definition says whom to tell", task_id, dag_id)
            return None
        model, owe_mail = owing
        met = incidents.Met(name, key, said, part=_part(run_id, key, map_index), run_url=run_url)
        alert = incidents.occur(
            session, model, _cause(dag_id, task_id, error), [met],
            subject=f"task {task_id} of {dag_id} failed", body=body, owe=owe_mail, now=now,
        )  # fmt: skip
        told = alert or outbox.find(session, model, name)
    return str(told.id) if told is not None else None


def end_task_failure(*, dag_id: str, task_id: str, run_id: str, key: str | None, map_index: int = -1) -> None:
    """Record that a task succeeded: what it failed at before is resolved, and told to be over. Cheap if nothing is.

    A task that is mapped resolves its own index of its own run alone: another index says nothing about it.
    """
    definition, scope = _definition(dag_id), f"{dag_id}:{task_id}"
    model = definition.name if definition is not None else OF_NO_MODEL
    with Ledger.from_settings(Settings.from_env()).transaction() as session:
        if not incidents.find_open(session, model, "task_failure", scope):
            return
        owing = _owing(session, definition)
        if owing is not None:
            incidents.well(
                session, model, "task_failure", scope,
                part=_part(run_id, key, map_index), key=key, how="succeeded", owe=owing[1],
                came_through=map_index < 0, now=dt.datetime.now(dt.UTC),
            )  # fmt: skip


def _owing(session: Session, definition: ModelDefinition | None) -> tuple[str, incidents.Owe] | None:
    """The model that the mail is about, and what owes it; None if there is nobody to tell."""
    if definition is not None:
        return definition.name, partial(outbox.owe, session, definition)
    to = everybody()
    return (OF_NO_MODEL, partial(outbox.owe_to, session, OF_NO_MODEL, to)) if to else None


def _part(run_id: str, key: str | None, map_index: int) -> str:
    return f"{run_id} [{map_index}]" if map_index >= 0 else key or run_id


def _cause(dag_id: str, task_id: str, error: object) -> incidents.Cause:
    kind = type(error).__name__ if error is not None else "ended from outside"
    return incidents.Cause("task_failure", f"{dag_id}:{task_id}", (kind,), f"task {task_id} of {dag_id} fails ({kind})")


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
    """Whom the definition of `model` names now; if there is none that can be read, everybody."""
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
