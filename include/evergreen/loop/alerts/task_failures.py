"""The mail about a task that failed for good."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition, list_models, load_definition
from evergreen.core.ledger import incidents, outbox
from evergreen.core.ledger.outbox import AlertBody, Links
from evergreen.core.ledger.session import Ledger
from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError, DefinitionError, EvergreenError, QuarantinedError, UnavailableError
from evergreen.settings import Settings

log = logging.getLogger("evergreen.alerts")

_LOGIN = re.compile(r"(?<=://)[^\s/@]+@")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"]+|(?<=with url: )\S+", re.IGNORECASE)
"""An address, or the path that urllib3 puts behind the host"""
_HTTP = frozenset({"aiohttp", "apprise", "httpcore", "httpx", "requests", "urllib3"})
"""Libraries whose errors quote the address that was asked"""
OF_NO_MODEL = "evergreen"
"""Stands for the model in what is about none"""
QUIET = dt.timedelta(days=8)
"""How long a mapped task must not have failed before the success of any of its indices says that it is over: longer
than the longest pause between two runs of a DAG of no model, a week"""


@dataclass(frozen=True)
class Task:
    """A task of a run, as callbacks of Airflow name it."""

    dag_id: str
    task_id: str
    run_id: str
    key: PartitionKey | None
    map_index: int = -1
    """Which of a mapped task's instances; less than 0: it is not mapped"""

    @property
    def scope(self) -> str:
        """Names it, whatever the run: what can be well again."""
        return f"{self.dag_id}:{self.task_id}"

    def part(self, of_no_model: bool) -> str:
        """What a success resolves: its partition, its run, or its index.

        An index of a DAG of no model is the same thing in the next run, which is never the run that is cleared.
        """
        if self.map_index < 0:
            return self.key or self.run_id
        return f"{self.task_id if of_no_model else self.run_id} [{self.map_index}]"

    def name(self, said: str, of_no_model: bool, now: dt.datetime) -> str:
        """Names a failure that `said` what was wrong: the same of each index is recorded once a run.

        Once a day (UTC) where the DAG is of no model, as such DAGs run every few minutes.
        """
        digest = hashlib.sha256(_ADDRESS.sub("0x", said).encode(errors="replace")).hexdigest()[:12]
        index = f"[{self.map_index}]" if self.map_index >= 0 else ""
        occasion = f"{now:%Y-%m-%d}" if of_no_model else self.run_id
        return f"task_failure:{self.dag_id}:{occasion}:{self.task_id}{index}:{digest}"


def owe_task_failure(
    *,
    dag_id: str,
    task_id: str,
    run_id: str,
    key: PartitionKey | None,
    error: object,
    run_url: str | None,
    map_index: int = -1,
) -> str | None:
    """Record that a task will not be tried again; the id of the mail to send, or None if there is none.

    One task that fails again and again with errors of one class is one incident (`core.ledger.incidents`). A
    quarantine owes its own mail, so its task's failure owes none. A task of no model (`evergreen.housekeeping`), or of
    one whose definition is broken, is reported to everybody whom some model reports to. The same failure of the same
    task is recorded once (`Task.name`), and again if it has been over between.
    """
    if isinstance(error, QuarantinedError):
        log.info("%s failed because its partition was quarantined, which has a mail of its own", task_id)
        return None
    task, said, now = Task(dag_id, task_id, run_id, key, map_index), _words(error), dt.datetime.now(dt.UTC)
    definition = _definition(dag_id)
    of_no_model = _of_no_model(dag_id, definition)
    name = task.name(said, of_no_model, now)
    with Ledger.from_settings(Settings.from_env()).transaction() as session:
        owing = _owing(session, definition)
        if owing is None:
            log.error("%s of %s failed, and no model definition says whom to tell", task_id, dag_id)
            return None
        model, owe_mail = owing
        alert = incidents.occur(
            session, model, _cause(task, error),
            [incidents.Met(name, key, said, part=task.part(of_no_model), run_url=run_url)],
            subject=f"task {task_id} of {dag_id} failed",
            body=failure_body(dag_id, task_id, run_id, key, error, run_url), owe=owe_mail, now=now,
        )  # fmt: skip
        told = alert or outbox.find(session, model, name)
    return str(told.id) if told is not None else None


def end_task_failure(
    *,
    dag_id: str,
    task_id: str,
    run_id: str,
    key: PartitionKey | None,
    map_index: int = -1,
    skipped: bool = False,
    waited_for: Sequence[str] = (),
) -> None:
    """Record that a task ended well: what it failed at before is resolved, and told to be over. Cheap if nothing is.

    A task that is mapped resolves its own index, of its own run if it is of a model: another index says nothing about
    it, unless none has failed for long (`QUIET`). One that was `skipped` had nothing to do, which resolves its own
    part and says nothing about others. `waited_for` are tasks of the same run without whose success this one would
    not have run; they report none themselves.
    """
    definition = _definition(dag_id)
    model = definition.name if definition is not None else OF_NO_MODEL
    of_no_model = _of_no_model(dag_id, definition)
    tasks = [Task(dag_id, task_id, run_id, key, map_index), *(Task(dag_id, one, run_id, key) for one in waited_for)]
    with Ledger.from_settings(Settings.from_env()).transaction() as session:
        failed = [task for task in tasks if incidents.find_open(session, model, "task_failure", task.scope)]
        owing = _owing(session, definition) if failed else None
        if owing is None:
            return
        for task in failed:
            itself = task.task_id == task_id
            incidents.well(
                session, model, "task_failure", task.scope, part=task.part(of_no_model), key=key,
                how="had nothing to do" if skipped and itself else "succeeded", owe=owing[1],
                came_through=not (skipped and itself), quiet=QUIET if task.map_index >= 0 else dt.timedelta(0),
                now=dt.datetime.now(dt.UTC),
            )  # fmt: skip


def _of_no_model(dag_id: str, definition: ModelDefinition | None) -> bool:
    """Whether the DAG is of no model by its name, and not only of one whose definition cannot be read now."""
    return definition is None and dag_id.startswith(f"{OF_NO_MODEL}.")


def _owing(session: Session, definition: ModelDefinition | None) -> tuple[str, incidents.Owe] | None:
    """The model that the mail is about, and what owes it; None if there is nobody to tell."""
    if definition is not None:
        return definition.name, partial(outbox.owe, session, definition)
    to = everybody()
    return (OF_NO_MODEL, partial(outbox.owe_to, session, OF_NO_MODEL, to)) if to else None


def _cause(task: Task, error: object) -> incidents.Cause:
    kind = type(error).__name__ if error is not None else "ended from outside"
    return incidents.Cause("task_failure", task.scope, (kind,), f"task {task.task_id} of {task.dag_id} fails ({kind})")


def failure_body(
    dag_id: str, task_id: str, run_id: str, key: PartitionKey | None, error: object, run_url: str | None
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
    """The error on one line, without the logins that addresses may hold.

    An HTTP library's error quotes the address whole, and the path of a webhook is its password: nothing of it is left.
    """
    if error is None:
        return "nothing (the process was ended from outside: out of memory, a timeout, or a stop)"
    text = " ".join(str(error).split()) or type(error).__name__
    if _quotes_an_address(error):
        text = _URL.sub("***", text)
    return _LOGIN.sub("***@", text)[:800].rstrip(".")


def _quotes_an_address(error: object) -> bool:
    """Whether the words may be an HTTP library's: its own error, or one raised over it. Errors of ours name servers."""
    if isinstance(error, EvergreenError):
        return False
    seen = set[int]()
    while isinstance(error, BaseException) and id(error) not in seen:
        if type(error).__module__.partition(".")[0] in _HTTP:
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
