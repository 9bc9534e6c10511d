"""The sensor that waits for a partition, the operator that waits only if it must, and their trigger.

The sensor begins and ends in the triggerer: waiting takes no worker, not even for the first look, and a backfill over a
year starts a worker process only for the work. If waiting goes wrong, a worker is asked: there the task fails as any
other, with its message, its mail and its retries. The way through the triggerer takes some three seconds. So if what is
waited for is nearly always there, the operator looks first and works, and waits in the triggerer only if it is not.

Airflow imports this file in every process (it is a plugin), so it imports nothing heavy; what answers the trigger's
question is imported when it is asked. It asks in a thread of its own, so a slow store or database does not delay the
triggerer's event loop.

While it waits for a drop, it also judges whether that is late, because only the one that waits can tell. The mail is
written to the outbox and sent by `evergreen.housekeeping`. It waits since the run's start, which Airflow keeps: a
restarted triggerer continues where the last one ended.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from airflow.sdk import BaseOperator, BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from evergreen.core.definition import load_definition
from evergreen.core.definition.readiness import Wait
from evergreen.errors import BadInputError, PartitionKeyError, UnavailableError
from evergreen.settings import Settings

# Module of the package whose `look` answers for each subject; imported when first asked.
LOOKS = {
    "inputs": "evergreen.loop.intake.readiness",
    "labels": "evergreen.loop.intake.readiness",
    "look_back": "evergreen.loop.features.readiness",
    "predictions": "evergreen.loop.monitoring.readiness",
}
LONGEST_WAIT = dt.timedelta(days=14)
"""Unless the grace period asks for more."""
RUN_BEGAN = "{{ dag_run.start_date or '' }}"
THIS_PARTITION = "{{ partition_key or (dag_run.conf or {}).get('partition_key') or '' }}"
NO_PARTITION = (
    "this run has no partition key; trigger the DAG with one (field 'Partition key' of the trigger form), the first "
    "day of the period as YYYY-MM-DD (of hours the hour in UTC, YYYY-MM-DDTHH), or run a backfill"
)
POLL_SECONDS = 5.0
DROPS = ("inputs", "labels")
"""What lands, and may be late; whether anything else is late follows from these."""


def longest_wait(subject: str, model: str) -> dt.timedelta:
    """After how long a wait fails: later than it is reported as late, or ends by itself.

    A check waits for predictions for the grace period, and then for the labels that are due with them.
    """
    periods = 2 if subject == "predictions" else 1
    return max(LONGEST_WAIT, periods * load_definition(model).feed.grace + dt.timedelta(days=1))


def look(subject: str, model: str, key: str, since: str = "") -> Wait:
    """Look once for `subject` of the partition `key`, for a run that began to wait at `since` (ISO 8601)."""
    if not key:
        raise PartitionKeyError(NO_PARTITION)
    definition = load_definition(model)
    calendar = definition.calendar
    if not definition.partitions.contains(key):
        return Wait(
            "never",
            f"{key} lies outside the calendar of {model} ({calendar.start} to {calendar.end or 'no end'}); widen "
            "`calendar` in model.yaml if it belongs to the feed",
        )
    module = importlib.import_module(LOOKS[subject])
    began = dt.datetime.fromisoformat(since) if since else None
    wait: Wait = module.look(definition, key, subject=subject, settings=Settings.from_env(), since=began)
    return wait


def report_if_late(
    subject: str, model: str, key: str, since: str, missing: str, run_url: str | None
) -> tuple[str, str]:
    """Write the mail about a late drop; its state, as the package names it, and the terms in words."""
    from evergreen.loop.intake.lateness import report_if_late, terms

    definition, now = load_definition(model), dt.datetime.now(dt.UTC)
    asked = terms(definition, subject, key, dt.datetime.fromisoformat(since))  # type: ignore[arg-type]
    stands = report_if_late(definition, asked, missing=missing, now=now, settings=Settings.from_env(), run_url=run_url)
    return stands, asked.in_words()


class PartitionTrigger(BaseTrigger):
    """Ends its task when what a partition waits for is there (success) or will never come (skipped).

    With `resumes`, the task goes on in a worker when it is there. `since` is when the run began to wait, in ISO 8601;
    without it, nothing is ever late nor given up.
    """

    def __init__(
        self, subject: str, model: str, key: str, poll_seconds: float, *, resumes: bool = False, since: str = ""
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.subject = subject
        self.model = model
        self.key = key
        self.poll_seconds = poll_seconds
        self.resumes = resumes
        self.since = since
        self.said_terms = False
        self.said_trouble = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the triggerer finds this class, and its arguments."""
        return "arrival.PartitionTrigger", {
            "subject": self.subject,
            "model": self.model,
            "key": self.key,
            "poll_seconds": self.poll_seconds,
            "resumes": self.resumes,
            "since": self.since,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until the answer is other than `waiting`; a server that does not answer is asked again."""
        said, watched = "", self.subject in DROPS and bool(self.since)
        while True:
            try:
                wait = await asyncio.to_thread(look, self.subject, self.model, self.key, self.since)
            except BadInputError as error:  # no later look would find it otherwise
                yield TriggerEvent(str(error))
                return
            except Exception as error:  # the triggerer must outlive any outage of store or ledger
                wait = Wait("waiting", f"could not look: {error}")
            if wait.reason != said:
                self.log.info("%s", wait.reason)
                said = wait.reason
            if wait.state != "waiting":
                ready = TriggerEvent("") if self.resumes else TaskSuccessEvent()
                yield ready if wait.state == "ready" else TaskSkippedEvent()
                return
            watched = watched and await self._watch(wait.reason)
            await asyncio.sleep(self.poll_seconds)

    async def _watch(self, missing: str) -> bool:
        """Report the drop if it is late; whether that is still to come."""
        run_url = getattr(self.task_instance, "log_url", None)
        asked = (self.subject, self.model, self.key, self.since, missing, run_url)
        try:
            stands, terms = await asyncio.to_thread(report_if_late, *asked)
        except Exception as error:  # as above: the wait outlives any outage
            if str(error) != self.said_trouble:
                self.log.warning("could not judge whether this is late: %s", error)
                self.said_trouble = str(error)
            return True
        if not self.said_terms:
            self.log.info("%s", terms)
            self.said_terms = True
        if stands == "reported":
            self.log.warning("%s are late: %s. A mail is owed; the run waits on", self.subject, missing)
        return stands == "in_time"


class PartitionSensor(BaseSensorOperator):
    """Wait until `subject` of this run's partition is there.

    Args:
        subject: `inputs` or `labels` (the drop in the landing zone), `look_back` (the labels that features look back
            on), or `predictions`.
        model: name of the model.
        poll_seconds: pause between two looks.
    """

    template_fields = ("key", "since")
    ui_color = "#e8f5e9"
    start_from_trigger = True

    def __init__(
        self,
        *,
        subject: str,
        model: str,
        key: str = THIS_PARTITION,
        poll_seconds: float = POLL_SECONDS,
        **kwargs: Any,
    ) -> None:
        # The limit of a task's work would end its waiting too.
        super().__init__(**{**kwargs, "execution_timeout": None})
        self.subject = subject
        self.model = model
        self.key = key
        self.since = RUN_BEGAN
        self.poll_seconds = poll_seconds
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="arrival.PartitionTrigger",
            trigger_kwargs={
                "subject": subject,
                "model": model,
                "key": key,
                "poll_seconds": poll_seconds,
                "since": RUN_BEGAN,
            },
            next_method="resume",
            timeout=longest_wait(subject, model),
        )

    def execute(self, context: Context) -> None:
        """Wait in the triggerer; for a call of the operator without a scheduler."""
        trigger = PartitionTrigger(self.subject, self.model, self.key, self.poll_seconds, since=self.since)
        self.defer(trigger=trigger, method_name="resume", timeout=longest_wait(self.subject, self.model))

    def resume(self, context: Context, event: str) -> None:
        """Fail with what the trigger found wrong; if nothing is, no worker is asked."""
        raise BadInputError(event)


class PartitionOperator(BaseOperator):
    """Do the work of this run's partition, at once if its `subject` is there, else as soon as it is.

    Args:
        subject: as PartitionSensor has it.
        model: name of the model.
        work: called with the model's name in a worker; what it returns is the task's result.
        poll_seconds: pause between two looks.
    """

    template_fields = ("key",)

    def __init__(
        self,
        *,
        subject: str,
        model: str,
        work: Callable[[str], Any],
        key: str = THIS_PARTITION,
        poll_seconds: float = POLL_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.subject = subject
        self.model = model
        self.work = work
        self.key = key
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> Any:
        """Look once, and work or wait; if looking fails because a server does not answer, the trigger looks again.

        Raises:
            BadInputError: waiting would be useless, because the run has no partition or one that does not exist.
        """
        try:
            wait = look(self.subject, self.model, self.key)
        except UnavailableError as error:
            wait = Wait("waiting", f"could not look: {error}")
        if wait.state == "ready":
            return self.work(self.model)
        self.log.info("%s", wait.reason)
        if wait.state == "never":
            raise AirflowSkipException(wait.reason)
        trigger = PartitionTrigger(self.subject, self.model, self.key, self.poll_seconds, resumes=True)
        return self.defer(trigger=trigger, method_name="resume", timeout=longest_wait(self.subject, self.model))

    def resume(self, context: Context, event: str) -> Any:
        """Work, or fail with what the trigger found wrong."""
        if event:
            raise BadInputError(event)
        return self.work(self.model)
