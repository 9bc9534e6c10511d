"""Sensors that wait without holding a worker, and the trigger they wait on.

Each looks once in the task; where what it waits for is not there, the task is deferred and the triggerer asks again
every few seconds. What is asked is a function of the package, run in a thread, so that a slow store never blocks
the triggerer's event loop.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from evergreen.definition import load_definition
from evergreen.definition.waiting import Wait
from evergreen.settings import Settings

# Module of the package whose `look` answers for each subject; imported when first asked.
LOOKS = {
    "inputs": "evergreen.intake.waiting",
    "labels": "evergreen.intake.waiting",
    "look_back": "evergreen.features.waiting",
    "predictions": "evergreen.monitoring.waiting",
}


def look(subject: str, model: str, key: str) -> Wait:
    """Look once for `subject` of the partition `key`."""
    module = importlib.import_module(LOOKS[subject])
    wait: Wait = module.look(load_definition(model), key, subject=subject, settings=Settings.from_env())
    return wait


class PartitionTrigger(BaseTrigger):
    """Fires when what a partition waits for is there, or when waiting has become pointless."""

    def __init__(self, subject: str, model: str, key: str, poll_seconds: float) -> None:
        super().__init__()
        self.subject = subject
        self.model = model
        self.key = key
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the triggerer finds this class, and its arguments."""
        return "arrival.PartitionTrigger", {
            "subject": self.subject,
            "model": self.model,
            "key": self.key,
            "poll_seconds": self.poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until the answer is other than `waiting`; a server that does not answer is asked again."""
        said = ""
        while True:
            try:
                wait = await asyncio.to_thread(look, self.subject, self.model, self.key)
            except Exception as error:  # the triggerer must outlive any outage of store or ledger
                wait = Wait("waiting", f"could not look: {error}")
            if wait.state != "waiting":
                yield TriggerEvent({"state": wait.state, "reason": wait.reason})
                return
            if wait.reason != said:
                self.log.info("%s", wait.reason)
                said = wait.reason
            await asyncio.sleep(self.poll_seconds)


class PartitionSensor(BaseSensorOperator):
    """Wait until `subject` of this run's partition is there.

    Args:
        subject: `inputs` or `labels` (the drop in the landing zone), `look_back` (the labels that features look back
            on), or `predictions`.
        model: name of the model.
        poll_seconds: pause between two looks.
    """

    template_fields = ("key",)
    ui_color = "#e8f5e9"

    def __init__(
        self, *, subject: str, model: str, key: str = "{{ partition_key }}", poll_seconds: float = 5.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.subject = subject
        self.model = model
        self.key = key
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> None:
        """Look once; wait in the triggerer where there is nothing yet."""
        load_definition(self.model).partitions.parse(self.key)
        Settings.from_env()
        wait = look(self.subject, self.model, self.key)
        if wait.state != "waiting":
            self._conclude(wait)
            return
        self.log.info("Waiting, without holding a worker: %s", wait.reason)
        self.defer(
            trigger=PartitionTrigger(self.subject, self.model, self.key, self.poll_seconds),
            method_name="resume",
            timeout=dt.timedelta(seconds=self.timeout),
        )

    def resume(self, context: Context, event: dict[str, str]) -> None:
        """Go on after the trigger fired."""
        self._conclude(Wait(event["state"], event["reason"]))  # type: ignore[arg-type]

    def _conclude(self, wait: Wait) -> None:
        self.log.info("%s", wait.reason)
        if wait.state == "never":
            raise AirflowSkipException(wait.reason)
