"""`evergreen history`: a model's life, and who served on a day."""

import datetime as dt
import json
import sys

import pytest
from typer.testing import CliRunner

from evergreen.cli import app, main
from evergreen.core.ledger.tables import PartitionVersion, Verdict
from evergreen.core.ledger.views import history
from evergreen.core.ledger.views.served_on import served_on
from helpers.ledger_life import KEYS


@pytest.fixture
def run(settings):
    def call(*arguments, columns=250):
        answer = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["history", *arguments])
        assert answer.exit_code == 0, answer.output
        return answer.output

    return call


def test_an_empty_ledger_says_how_to_begin(run):
    assert "evergreen feed land nyc_flights" in run("nyc_flights")


def test_the_life_names_everything_that_happened(lived, run):
    said = run("nyc_flights")
    for words in (
        "Late flights out of New York", "column <script>alert(1)</script> is missing", "beats version 1 by 8 %",
        "not proven better", "superior to the base rate", "inconclusive, version 2", "ada", "0.1800",
    ):  # fmt: skip
        assert words in said
    assert "nothing moved" not in said, "decisions to do nothing would bury the others"


def test_nothing_is_cut_on_a_narrow_screen(lived, run):
    said = run("nyc_flights", columns=80)
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80
    assert "quarantined" in said


def test_the_life_as_json(lived, run):
    life = json.loads(run("nyc_flights", "--json"))
    assert [d["version"] for d in life["deployments"]] == [1, 2]
    assert life["deployments"][0]["served_until"] is not None
    assert life["deployments"][1]["served_until"] is None
    assert {d["kind"] for d in life["decisions"]} == {"promote", "refuse", "retrain", "no_action"}
    assert [line["key"] for line in life["losses"]] == KEYS
    assert life["trainings"][1]["comparison"]["champion_version"] == 1
    inputs, labels = life["tables"]
    assert (inputs["partitions"], inputs["accepted"], inputs["quarantined"]) == (5, 4, 1)
    assert (labels["partitions"], labels["versions"]) == (4, 5)


def test_it_says_which_definitions_were_at_work(lived, ledger, run):
    with ledger.transaction() as session:
        for verdict in session.query(Verdict).join(PartitionVersion).filter(PartitionVersion.key >= KEYS[2]):
            verdict.suite_hash = "s2"
    found = [tuple(d.values())[:5] for d in json.loads(run("nyc_flights", "--json"))["definitions"]]
    assert sorted(found) == [
        ("features", "c", 4, KEYS[0], KEYS[3]),
        ("inputs", "s1", 2, KEYS[0], KEYS[1]),
        ("inputs", "s2", 3, KEYS[2], "2013-03-25"),
        ("labels", "s1", 2, KEYS[0], KEYS[1]),
        ("labels", "s2", 2, KEYS[2], KEYS[3]),
    ]
    said = run("nyc_flights", columns=80)
    assert "Definitions at work" in said
    assert max(map(len, said.splitlines())) <= 80


def test_late_feeds_and_when_they_came(lived, run):
    said = " ".join(run("nyc_flights").split())
    assert "Late feeds" in said
    came = "labels 2013-02-25 2013-03-24 16:00 2013-03-24 22:00 2013-03-25 00:00 8 h accepted"
    assert came in said
    assert "inputs 2013-04-01 2013-03-24 16:00 2013-03-24 22:00 not yet" in said
    missing, late = json.loads(run("nyc_flights", "--json"))["late_feeds"]
    assert (missing["key"], missing["landed_at"], missing["outcome"]) == ("2013-04-01", None, None)
    assert (late["key"], late["landed_at"][:10], late["outcome"]) == ("2013-02-25", "2013-03-25", "accepted")


def test_who_served_on_a_day(lived, run):
    said = run("nyc_flights", "--on", "2013-03-14")
    for words in (
        "served by version 2", "2013-03-11", "2 partitions, 2013-02-04 to 2013-02-11", "dataset2", "c0ffee", "ada",
        "beats version 1 by 8 %", "superior to version 1", "seed 7", "mlflow2",
    ):  # fmt: skip
        assert words in said
    served = json.loads(run("nyc_flights", "--on", "2013-03-05", "--json"))
    assert (served["version"], served["basis"]) == (1, "predictions")
    assert served["deployment"]["decision"]["reason"] == "beats the base rate"


def test_predictions_say_it_and_the_deployment_where_there_are_none(lived, definition):
    with lived.transaction() as session:
        scored = served_on(session, definition, dt.date(2013, 3, 5))
        assert (scored.version, scored.basis) == (1, "predictions")
        coming = served_on(session, definition, dt.date(2013, 4, 2))
        assert (coming.version, coming.basis, coming.predictions) == (2, "deployment", ())
        assert served_on(session, definition, dt.date(2013, 1, 8)) is None


def test_nobody_served_before_the_first_champion(lived, run):
    assert "No version of nyc_flights served on 2013-01-08" in run("nyc_flights", "--on", "2013-01-08")
    assert json.loads(run("nyc_flights", "--on", "2013-01-08", "--json"))["version"] is None


def test_an_unknown_model_is_an_error_that_names_the_known(settings, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evergreen", "history", "no_such_model"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "known models: nyc_flights" in capsys.readouterr().err


def test_the_verdict_on_the_newest_partition_of_each_table(lived):
    with lived.transaction() as session:
        found = history.last_verdicts(session, "nyc_flights")
    assert [(line.table, line.key, line.outcome) for line in found] == [
        ("inputs", "2013-03-25", "quarantined"),
        ("labels", "2013-03-18", "accepted"),
    ]


def test_the_newest_verdict_on_each_partition(lived):
    with lived.transaction() as session:
        found = history.newest_verdicts(session, "nyc_flights")
    assert [(v.key, v.outcome) for v in found if v.table == "inputs"] == [
        *((key, "accepted") for key in KEYS),
        ("2013-03-25", "quarantined"),
    ]
    labels = {v.key: (v.version, v.rows_accepted) for v in found if v.table == "labels"}
    assert set(labels) == set(KEYS)
    assert labels[KEYS[0]] == (2, 10)


def test_the_demo_walks_through_the_same_life(lived):
    from evergreen.tools.demo.summary import walked

    with lived.transaction() as session:
        weeks = walked(session, "nyc_flights", history.decisions(session, "nyc_flights"))
    assert [week.key for week in weeks] == [*KEYS, "2013-03-25"]
    assert [(week.version, week.drifted, week.decision) for week in weeks] == [
        (1, False, None), (1, False, "no_action"), (2, False, None), (2, True, "retrain"), (None, None, None),
    ]  # fmt: skip
    assert weeks[3].loss == 0.18
    assert (weeks[0].inputs, weeks[0].labels, weeks[0].rows) == ("accepted", "accepted", 10)
    assert (weeks[-1].inputs, weeks[-1].labels) == ("quarantined", None)
