"""What waits for a drop judges whether it is late, and still waits, late or not."""

import asyncio
import sys

import pytest

from evergreen.core.definition.readiness import Wait
from evergreen.errors import UnavailableError

pytestmark = pytest.mark.xdist_group("airflow")
BEGAN = "2013-04-22 00:00:05+00:00"


@pytest.fixture
def wait(dagbag, monkeypatch):
    """Run the trigger through `answers` of the package; what was asked, and what the log said."""
    module = sys.modules[type(dagbag.dags["nyc_flights.ingest_inputs"].get_task("wait_for_drop")).__module__]

    def run(answers, *, subject="inputs", since=BEGAN):
        looks, stands, asked, said = [Wait("waiting", "no _SUCCESS")] * 4, iter(answers), [], []

        def report_if_late(*arguments):
            asked.append(arguments)
            answer = next(stands)
            if isinstance(answer, Exception):
                raise answer
            return answer, "were due at noon"

        monkeypatch.setattr(module, "look", lambda *_: looks.pop() if looks else Wait("ready", "there"))
        monkeypatch.setattr(module, "report_if_late", report_if_late)
        trigger = module.PartitionTrigger(subject, "nyc_flights", "2013-04-15", 0.001, since=since)
        for level in ("info", "warning"):
            monkeypatch.setattr(trigger.log, level, lambda words, *more: said.append(words % more))

        async def first():
            return await anext(trigger.run())

        assert type(asyncio.run(first())).__name__ == "TaskSuccessEvent"
        return asked, said

    return run


def test_it_is_asked_until_it_was_reported_and_the_log_says_so(wait):
    asked, said = wait(["in_time", "reported"])
    assert len(asked) == 2
    assert asked[0] == ("inputs", "nyc_flights", "2013-04-15", BEGAN, "no _SUCCESS", None)
    assert said == [
        "no _SUCCESS", "were due at noon", "inputs are late: no _SUCCESS. A mail is owed; the run waits on", "there"
    ]  # fmt: skip


def test_what_is_known_already_is_not_asked_again(wait):
    asked, said = wait(["known"])
    assert len(asked) == 1
    assert not any("are late" in words for words in said)


def test_a_ledger_that_does_not_answer_is_asked_again(wait):
    asked, _ = wait([UnavailableError("the ledger does not answer"), "in_time", "reported"])
    assert len(asked) == 3


def test_only_drops_are_late(wait):
    assert wait([], subject="predictions")[0] == []
    assert wait([], since="")[0] == [], "a trigger from before this was known has no beginning"


def test_the_trigger_survives_its_triggerer_with_the_beginning_of_the_wait(dagbag):
    sensor = dagbag.dags["nyc_flights.ingest_labels"].get_task("wait_for_drop")
    assert {"key", "since"} <= set(sensor.template_fields) & set(sensor.start_trigger_args.trigger_kwargs)
    module = sys.modules[type(sensor).__module__]
    name, arguments = module.PartitionTrigger("labels", "m", "2013-04-15", 5, since=BEGAN).serialize()
    assert name == "arrival.PartitionTrigger"
    assert module.PartitionTrigger(**arguments).since == BEGAN
