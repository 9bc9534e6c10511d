"""The mail about a failed task says whether trying again helps, and gives no login away."""

import pytest

from evergreen.errors import DefinitionError, QuarantinedError, UnavailableError
from evergreen.loop.alerts.task_failures import failure_body, owe_task_failure


def body(error):
    return failure_body("nyc_flights.train", "fit", "manual__1", "2013-04-15", error, "http://airflow/log")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DefinitionError("model.yaml:3: name: required field is missing"), "there was none"),
        (UnavailableError("the ledger at x does not answer"), "tried again, without success"),
        (ZeroDivisionError("division by zero"), "will not be tried again by itself"),
        (None, "out of memory"),
    ],
)
def test_the_summary_fits_the_error(error, said):
    assert said in body(error).summary
    if error is not None:
        assert str(error) in body(error).summary


def test_an_error_without_words_is_named():
    assert "KeyboardInterrupt" in body(KeyboardInterrupt()).summary


def test_logins_in_addresses_are_left_out():
    summary = body(RuntimeError("postgresql://evergreen:hunter2@db:5432/ledger and https://tok3n@git/x")).summary
    assert "hunter2" not in summary
    assert "tok3n" not in summary
    assert "db:5432/ledger" in summary


def test_a_quarantine_owes_its_own_mail_and_no_second_one():
    assert (
        owe_task_failure(
            dag_id="nyc_flights.ingest_inputs", task_id="validate", run_id="r", key="2013-04-15",
            error=QuarantinedError("bad"), run_url=None,
        )
        is None
    )  # fmt: skip
