"""The mail about a failed task says whether trying again helps, and gives no login away."""

import httpx
import pytest
import requests

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


def http_errors():
    """What HTTP libraries say of an address whose path is a password, and what may be raised over them."""
    address = "https://hooks.example.com:1/services/T0K3N"
    own = httpx.HTTPStatusError(f"Client error for url '{address}'", request=None, response=None)  # type: ignore[arg-type]
    over = RuntimeError(f"could not tell the team: {own}")
    over.__cause__ = own
    yield from (own, over)
    try:
        requests.get("http://127.0.0.1:1/services/T0K3N", timeout=1)
    except requests.RequestException as error:
        yield error


@pytest.mark.parametrize("error", http_errors(), ids=["httpx", "over httpx", "requests"])
def test_the_address_that_an_http_library_quotes_is_left_out_whole(error):
    assert "T0K3N" in str(error)
    assert "T0K3N" not in body(error).summary
    assert "***" in body(error).summary


def test_the_server_that_an_error_of_ours_names_is_kept():
    error = UnavailableError("the registry at http://127.0.0.1:5000/mlflow does not answer")
    error.__cause__ = httpx.ConnectError("refused")
    assert "http://127.0.0.1:5000/mlflow" in body(error).summary


def test_a_quarantine_owes_its_own_mail_and_no_second_one():
    assert (
        owe_task_failure(
            dag_id="nyc_flights.ingest_inputs", task_id="validate", run_id="r", key="2013-04-15",
            error=QuarantinedError("bad"), run_url=None,
        )
        is None
    )  # fmt: skip
