"""Metrics are for whoever knows the token, and for nobody else."""

import pytest

from evergreen.pages import metrics
from evergreen.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(
        ledger_url="postgresql+psycopg2://nobody@127.0.0.1:9/none", store_url=f"file://{tmp_path}",
        landing_url="file:///x", features_git_url="g", features_dvc_url="d", mlflow_url="http://m",
        airflow_url="http://a", models_dir=tmp_path,
    )  # fmt: skip


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic right", "right", "bearer right", "Bearer rïght"]
)
def test_a_wrong_token_is_refused_and_told_what_to_send(settings, said):
    answer = metrics.answer(settings, said, "right")
    assert answer.status_code == 401
    assert b"EVERGREEN_METRICS_TOKEN" in answer.body
    assert b"right" not in answer.body


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("said", ["", "Bearer ", "Bearer None"])
def test_without_a_token_nobody_is_let_in(settings, token, said):
    answer = metrics.answer(settings, said, token)
    assert answer.status_code == 401
    assert b"Metrics are off" in answer.body


def test_a_ledger_that_is_down_is_an_error_and_not_an_empty_answer(settings):
    answer = metrics.answer(settings, "Bearer right", "right")
    assert answer.status_code == 503
    assert b"the ledger at" in answer.body
