"""What needs a person now."""

import datetime as dt

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.ledger.views.standings import Lost, Newest, Said, Serving, Standing, Trouble, Waiting
from evergreen.web.triage import needs, ranked

FLIGHTS = load_definition("nyc_flights")
NOW = dt.datetime(2013, 5, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
CHAMPION = Serving(3, "2013-03-04", NOW - 9 * HOUR, "2013-03-04")
LANDED = [Newest("inputs", "2013-03-25", "accepted"), Newest("labels", "2013-03-18", "accepted")]
WEEK = Lost("2013-03-18", 3, 0.278, 0.182)


def said(**known):
    standing = Standing(**{"champion": CHAMPION, "tables": LANDED, **known})
    return [(need.urgency, need.said) for need in ranked(needs(FLIGHTS, standing, now=NOW))]


def checked(**known):
    return Said(**{
        "key": "2013-03-25", "version": 3, "drifted": True, "columns": ("fare",), "report_uri": None,
        "kind": "no_action", "reason": "", "told": (), "harmed": False, "bad": None, "expected": 0.17, **known,
    })  # fmt: skip


def test_a_model_that_is_well_needs_nobody_even_if_its_inputs_drift():
    assert said(check=checked(), losses=[WEEK]) == []


def test_a_question_without_an_answer():
    asked = Waiting(4, NOW - HOUR, "http://airflow/form")
    (need,) = needs(FLIGHTS, Standing(CHAMPION, LANDED, waiting=[asked]), now=NOW)
    assert (need.urgency, need.form, need.runbook) == ("ask", "http://airflow/form", "approval")
    assert "Version 4 waits" in need.said


def test_an_incident_until_it_is_well():
    open_ = Trouble(7, "quarantine", "column fare is missing", NOW - HOUR, 3, None)
    assert said(troubles=[open_]) == [("bad", "column fare is missing (3 partitions)")]
    well = Trouble(7, "quarantine", "column fare is missing", NOW - HOUR, 3, "2013-03-25 is accepted")
    assert said(troubles=[well]) == []


def test_a_bad_partition_as_long_as_it_is_the_newest_that_is_known():
    told = checked(bad="2013-03-18")
    assert said(check=told, losses=[WEEK]) == [
        ("warn", "A bad partition, 2013-03-18: loss 0.278 where 0.17 was expected")
    ]
    after = Lost("2013-03-25", 3, 0.18, None)
    assert said(check=told, losses=[WEEK, after]) == []


def test_proven_harm_hides_the_bad_partition():
    told = checked(bad="2013-03-18", harmed=True)
    assert said(check=told, losses=[WEEK]) == [
        ("bad", "The champion is proven worse than at its promotion (2013-03-25)")
    ]


@pytest.mark.parametrize(("more", "told"), [(0, False), (1, True)])
def test_a_champion_that_is_too_old(more, told):
    weeks = FLIGHTS.monitoring.max_age + more
    newest = FLIGHTS.partitions.shift(CHAMPION.as_of, weeks)
    found = said(tables=[Newest("inputs", newest, "accepted")])
    assert bool(found) is told
    assert not told or f"{weeks} weeks old" in found[0][1]


def test_labels_without_a_champion():
    assert said(champion=None) == [("warn", "No champion yet, and labels have landed")]
    assert said(champion=None, tables=LANDED[:1]) == []


@pytest.mark.parametrize(("ago", "told"), [(0.2, []), (2, [("bad", "1 message owed and not sent")])])
def test_messages_that_are_owed_for_long(ago, told):
    assert said(unsent=(1, NOW - ago * HOUR)) == told


def test_what_is_broken_comes_first_and_the_oldest_of_it():
    early = Trouble(1, "quarantine", "early", NOW - 5 * HOUR, 1, None)
    late = Trouble(2, "task_failure", "late", NOW - HOUR, 1, None)
    asked = Waiting(4, NOW - 9 * HOUR, None)
    found = said(troubles=[late, early], waiting=[asked], check=checked(bad=WEEK.key), losses=[WEEK])
    assert [urgency for urgency, _ in found] == ["bad", "bad", "ask", "warn"]
    assert [words for _, words in found[:2]] == ["early", "late"]
