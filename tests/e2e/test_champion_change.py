"""A bad champion serves on a live Airflow, labels land, and the monitor's own run rolls it back.

Nothing about the change is done by the test: the gate of the live `train` promotes a challenger that learned four
weeks in which the producer landed answers turned round, and when the answers are right again it is proven worse than
the version before it.
"""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.ledger.tables import (
    Alert,
    Decision,
    Deployment,
    OnlinePrediction,
    OnlineRequest,
    Prediction,
    TrainingRun,
)
from evergreen.stack.embedded import caught_mails
from helpers import orders_model
from helpers.live_stack import alias, ask_online, counts, rows, rows_by_time, wait_until

# The cluster's image has models of its own.
pytestmark = [pytest.mark.e2e, pytest.mark.shape("embedded")]
MODEL = "orders"
RIGHT, TURNED, WAITS, NEXT, LAST = range(4), range(4, 8), 8, 9, 10
STAGES = ("ingest_inputs", "ingest_labels", "features", "score", "train", "monitor")


@pytest.fixture(scope="module")
def stack(impatient_stack):
    """A live stack that has the model beside the shipped one."""
    return impatient_stack


@pytest.fixture(scope="module")
def definition(stack):
    from evergreen.core.definition import load_definition

    return load_definition(MODEL)


@pytest.fixture(scope="module")
def life(stack, definition, settings):
    """Nine weeks by the functions that the tasks call: version 1 serves, the last week waits for predictions."""
    life = Life(definition, settings)
    for number in (*RIGHT, *TURNED, WAITS):
        life.land(number)
        life.bring_in(number)
    life.first_champion(RIGHT[-1])
    for number in TURNED:
        life.score(number)
    dags = [f"{MODEL}.{stage}" for stage in STAGES]
    stack.airflow.wait_until_dags_parsed(dags)
    stack.airflow.unpause(dags)
    return life


class Life:
    """Weeks of orders in the landing zone, and what is done with them."""

    def __init__(self, definition, settings):
        self.definition, self.settings = definition, settings

    def key(self, number):
        return self.definition.partitions.shift("2024-01-01", number)

    def land(self, number):
        """The week's inputs, and the labels of the week before."""
        from evergreen.core.frames import to_parquet
        from evergreen.core.store.objects import publish
        from evergreen.loop.intake.landing_zone import SUCCESS, folder_uri

        for table, of in (("inputs", number), ("labels", number - 1)):
            if of < 0:
                continue
            inputs, labels = orders_model.week(of, self.key(of))
            if of in TURNED:
                orders_model.turn(inputs, labels)
            frame, columns = {"inputs": inputs, "labels": labels}[table], self.definition.feed.tables[table].columns
            folder = folder_uri(self.settings.landing_url, self.definition.feed.name, self.key(of))
            publish(f"{folder}/{table}.parquet", to_parquet(frame, columns))
            publish(f"{folder}/{SUCCESS}", b"")

    def bring_in(self, number):
        from evergreen.loop.features.build import build
        from evergreen.loop.intake.receive import receive
        from evergreen.loop.intake.validate import validate

        for table, of in (("inputs", number), ("labels", number - 1)):
            if of >= 0:
                received = receive(self.definition, table, self.key(of), settings=self.settings)
                validate(self.definition, received.partition_version_id, settings=self.settings)
        build(self.definition, self.key(number), settings=self.settings)

    def first_champion(self, number):
        from evergreen.loop.champion.evaluate import evaluate
        from evergreen.loop.champion.promotion import conclude
        from evergreen.loop.training.assemble import assemble
        from evergreen.loop.training.fit import fit

        asked = {
            "cause": "first",
            "cause_key": "first",
            "reason": "There is no champion yet.",
            "as_of": self.key(number),
        }
        run = assemble(self.definition, **asked, settings=self.settings).training_run_id
        fit(self.definition, run, settings=self.settings)
        said = evaluate(self.definition, run, settings=self.settings)
        conclude(self.definition, run, said.outcome, approval=None, settings=self.settings)

    def score(self, number):
        from evergreen.loop.scoring.score import score

        score(self.definition, self.key(number), settings=self.settings)


def week(stack, life, number):
    """A week goes by on the live Airflow."""
    life.land(number)
    for stage, of in (("ingest_inputs", number), ("ingest_labels", number - 1)):
        stack.airflow.trigger(f"{MODEL}.{stage}", run_id=f"week__{life.key(of)}", partition_key=life.key(of))


def served_by(ledger, key):
    return [p.version for p in rows(ledger, Prediction, Prediction.model == MODEL, Prediction.key == key)]


def labels_are_in(ledger, key):
    from evergreen.core.ledger.queries import partitions

    with ledger.transaction() as session:
        return key in partitions.accepted_keys(session, MODEL, "labels")


def test_the_gate_promotes_what_learned_from_wrong_answers(stack, life, ledger, settings):
    conf = {
        "cause": "operator",
        "cause_key": "turned",
        "reason": "the answers have changed",
        "as_of": life.key(TURNED[-1]),
    }
    run_id = stack.airflow.trigger(f"{MODEL}.train", conf, run_id="turned")
    assert stack.airflow.wait_for_run(f"{MODEL}.train", run_id)["state"] == "success"
    assert [(run.version, run.state) for run in rows(ledger, TrainingRun)] == [(1, "promoted"), (2, "promoted")]
    assert rows(ledger, Decision)[-1].decided_by == "policy"
    assert alias(settings) == 2
    wait_until(lambda: served_by(ledger, life.key(WAITS)) == [2], "its first predictions")


def one_row(life, number, place=0):
    return orders_model.week(number, life.key(number))[0].iloc[[place]]


def test_a_request_is_answered_by_who_serves(stack, life):
    assert ask_online(stack, one_row(life, NEXT), MODEL)["version"] == 2


def test_the_live_monitor_takes_it_back(stack, life, ledger, settings):
    week(stack, life, NEXT)
    dag, run_id = f"{MODEL}.monitor", f"week__{life.key(NEXT)}"
    wait_until(lambda: labels_are_in(ledger, life.key(WAITS)), "the right answers")
    stack.airflow.trigger(dag, run_id=run_id, partition_key=life.key(NEXT))
    assert stack.airflow.wait_for_run(dag, run_id)["state"] == "success"
    states = {t["task_id"]: t["state"] for t in stack.airflow.task_instances(dag, run_id)}
    assert {t: states[t] for t in ("check", "change_champion", "retrain", "alert")} == {
        "check": "success", "change_champion": "success", "retrain": "skipped", "alert": "success",
    }, "what is news beside the change has a mail of its own"  # fmt: skip

    assert served_by(ledger, life.key(NEXT)) == [2], "it had predicted the week before anybody could know"
    decision = rows(ledger, Decision)[-1]
    assert (decision.kind, decision.version, decision.decided_by) == ("rollback", 1, "policy")
    assert decision.evidence["rivals"]["before"]["proven"]
    last = rows(ledger, Deployment)[-1]
    assert (last.version, last.decision_id, last.from_key) == (1, decision.id, life.key(LAST))
    assert alias(settings) == 1
    assert decision.reason in stack.airflow.task_log(dag, run_id, "change_champion")


def test_mail_and_history_say_the_same(stack, life, ledger):
    (owed,) = rows_by_time(ledger, Alert, Alert.kind == "rollback")
    (got,) = [mail for mail in caught_mails.read_all(stack.home.mail) if mail.subject == owed.subject]
    assert owed.sent_at is not None
    assert got.subject.endswith("rolled back to version 1")
    for told in ("Version 1 serves again in place of version 2", "version 1 would have lost less than version 2"):
        assert told in got.text
    assert owed.body["links"]["log"].partition("?")[0].endswith("/tasks/change_champion")
    answer = CliRunner().invoke(app, ["history", MODEL, "--json", "--home", str(stack.home.root)])
    told = json.loads(answer.stdout)
    assert [d["version"] for d in told["deployments"]] == [1, 2, 1]
    (line,) = [d for d in told["decisions"] if d["kind"] == "rollback"]
    assert line["reason"] == rows(ledger, Decision)[-1].reason


def test_it_is_taken_back_once(stack, life, ledger):
    dags = [f"{MODEL}.{stage}" for stage in STAGES]
    stack.airflow.wait_until_idle(dags)
    before = counts(ledger)
    stack.airflow.clear(f"{MODEL}.monitor", f"week__{life.key(NEXT)}")
    stack.airflow.wait_until_idle(dags)
    assert counts(ledger) == before


def test_the_next_week_is_predicted_by_the_version_that_came_back(stack, life, ledger):
    week(stack, life, LAST)
    wait_until(lambda: served_by(ledger, life.key(LAST)) == [1], "its predictions")


def test_a_request_is_answered_by_the_version_that_came_back(stack, life):
    """The first one after the rollback: there is nothing to wait for."""
    assert ask_online(stack, one_row(life, LAST), MODEL)["version"] == 1


def test_a_server_killed_amid_requests_loses_and_doubles_none(stack, life, ledger):
    before = len(rows(ledger, OnlineRequest))
    names, kills = [f"order-{number}" for number in range(40)], {10, 25}

    def keep_asking(number):
        """As a client does that does not know whether it was heard."""
        if number in kills:
            wait_until(lambda: stack.status().services["online"].condition == "healthy", "the server")
            os.kill(stack.status().services["online"].process.pid, signal.SIGKILL)
        for _ in range(120):
            with suppress(httpx.TransportError):
                return ask_online(stack, one_row(life, LAST, number), MODEL, **{"Idempotency-Key": names[number]})
            time.sleep(0.5)
        raise AssertionError(f"{names[number]} was never answered")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(keep_asking, range(len(names))))
    assert [answer["request"] for answer in answers] == names
    asked = rows(ledger, OnlineRequest)[before:]
    assert sorted(request.name for request in asked) == sorted(names)
    made = {p.request_id: p.prediction for p in rows(ledger, OnlinePrediction)}
    given = {answer["request"]: answer["predictions"][0]["prediction"] for answer in answers}
    assert {request.name: made[request.id] for request in asked} == given
    wait_until(lambda: stack.status().services["online"].condition == "healthy", "the server")
