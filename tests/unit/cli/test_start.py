"""`evergreen start`: wrong usage, no stack, and what the summary says."""

import dataclasses

import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.cli.start import show
from evergreen.errors import UnavailableError
from evergreen.tools.start.summary import Checked, FirstChampion, Summary

SUMMARY = Summary(
    model="weather", loss_name="squared_error", accepted={"inputs": 9, "labels": 8},
    quarantined=[{"table": "inputs", "key": "2013-02-04", "reason": "it is truncated"}],
    first=FirstChampion(1, "2013-03-18", "2013-03-25", "boosted", 126.0, 352.4), champion=2,
    monitored=[
        Checked("2013-03-25", 1, False, "no_action", 77.89),
        Checked("2013-04-01", 1, True, "retrain", None),
    ],
    retrains=[{"as_of": "2013-03-25", "cause": "drift", "state": "promoted", "version": 2, "reason": "it drifted"}],
    promotions=[{"version": 2, "reason": "it is better"}], refusals=[],
    mails=[{"kind": "promotion", "key": "2013-03-18", "subject": "weather: promoted", "sent": True}],
    wall_seconds=98.0, urls={"airflow": "http://a", "model": "http://a/evergreen/models/weather"},
)  # fmt: skip


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    for name in ("EVERGREEN_LEDGER_URL", "EVERGREEN_AIRFLOW_URL"):
        monkeypatch.delenv(name, raising=False)
    return str(tmp_path / "nothing")


def test_a_date_is_about_history():
    answer = CliRunner().invoke(app, ["start", "nyc_flights", "--as-of", "2013-03-04"])
    assert answer.exit_code == 2


@pytest.mark.parametrize("options", [[], ["--history"]])
def test_without_a_stack_it_says_how_to_get_one(options, nowhere):
    answer = CliRunner().invoke(app, ["start", "nyc_flights", *options, "--home", nowhere])
    assert isinstance(answer.exception, UnavailableError)
    assert "run `evergreen up`" in str(answer.exception)


def test_the_summary_says_what_came_of_it(capsys):
    show(SUMMARY, {"2013-04-08": "task build failed\nlog"}, ["http://a/form"])
    said = capsys.readouterr().out
    for words in (
        "Accepted 9 of inputs, 8 of labels; quarantined 1",
        "inputs of 2013-02-04: it is truncated",
        "2013-04-08 went no further: task build failed",
        "First champion version 1 (boosted), as of 2013-03-18, serves from 2013-03-25: squared_error 126 held out, the "
        "base rate 352.4 (-64.2%)",
        "Champion now version 2",
        "Monitored 2, 1 with input drift",
        "as of 2013-03-25, version 2: it drifted",
        "Mails 1, 1 sent",
        "A person is asked: http://a/form",
        "http://a/evergreen/models/weather",
    ):
        assert words in said
    assert "not measured yet" in said


def test_without_a_champion_that_is_said(capsys):
    show(dataclasses.replace(SUMMARY, first=None, champion=None, monitored=[]), {}, [])
    assert "Champion none yet" in capsys.readouterr().out
