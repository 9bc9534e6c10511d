"""What is said first."""

import itertools
from dataclasses import replace

import pytest

from evergreen.loop.monitoring.loss.harm_test import HarmResult
from evergreen.loop.monitoring.policy import PolicyDecision
from evergreen.loop.monitoring.telling import matter
from evergreen.loop.monitoring.telling.expected import Expectation, Outlook
from evergreen.loop.monitoring.telling.matter import Seen
from evergreen.loop.monitoring.telling.seasons import Step

BAD = Expectation("2013-06-24", 0.278, 0.182, 0.21, above=True)
COSTS = Outlook(0.21, 0.19, 0.17, costs=True)
STEP = Step("temperature", "shift", 4.0, 0.5, "its values have moved further than ever before")
NOTHING = PolicyDecision("no_action", None, None, "the inputs are as they were")
AGE = PolicyDecision("retrain", "age", "age-v1-1", "the champion is old")


def seen(*, harm=False, bad=False, cost=False, fault=False, drifted=(), decision=NOTHING):
    result = HarmResult(harm, "2013-06-17", 30.0, 20.0, 0.03, 0.2, 4, "The champion is proven worse.")
    found = BAD if bad else Expectation("2013-06-24", 0.17, 0.182, 0.21, above=False)
    return Seen(
        "Brier score", "week", result, found, COSTS if cost else None, (STEP,) if fault else (), drifted, decision
    )


def test_a_bad_week_is_said_as_a_bad_week_though_nothing_is_done():
    assert matter.subject(seen(bad=True, drifted=("pressure",))) == (
        "a bad week, 2013-06-24: Brier score 0.278 where 0.182 was expected"
    )
    said = matter.matters(seen(bad=True))[0].sentence
    assert said.startswith("A bad week: the realised Brier score of 2013-06-24 was 0.278, where 0.182 was expected")
    assert "53 % more than expected" in said
    assert (
        "of 2013-06-24, which version 2 predicted, was"
        in matter.matters(replace(seen(), expectation=replace(BAD, version=2)))[0].sentence
    )


def test_an_alert_because_of_age_is_headed_by_age():
    assert matter.subject(seen(drifted=("pressure",), decision=AGE)) == "a challenger is due and is trained"
    assert matter.kind(seen(drifted=("pressure",), decision=AGE)) == "age"


@pytest.mark.parametrize("there", list(itertools.product([False, True], repeat=4)))
def test_the_order_is_harm_then_a_bad_week_then_cost_then_fault(there):
    names = ("harm", "bad", "cost", "fault")
    found = [one.name for one in matter.matters(seen(**dict(zip(names, there, strict=True)), drifted=("a",)))]
    wanted = [name for name, is_there in zip(("harm", "loss", "cost", "fault"), there, strict=True) if is_there]
    assert found == [*wanted, "drifted"]


@pytest.mark.parametrize(
    ("decision", "kind", "told"),
    [
        (PolicyDecision("alert", "loss", "loss-v1-1", "", told=("loss",)), "harm", True),
        (PolicyDecision("alert", "promotion", "promotion-v2", ""), "promotion", True),
        (PolicyDecision("retrain", "drift", "drift-v1-1", ""), "drift", False),
        (AGE, "age", True),
        (PolicyDecision("retrain", "drift", "drift-v1-1", "", told=("loss",)), "harm", True),
        (PolicyDecision("retrain", "code", "code-v1-1", ""), "code", True),
        (PolicyDecision("promote", "promotion", "promotion-v4", "", 4, ("loss", "fault")), "harm", True),
        (PolicyDecision("rollback", "rollback", "rollback-v3", "", 2, ("loss",)), "harm", True),
        (PolicyDecision("promote", "promotion", "promotion-v4", "", 4), "promotion", False),
        (NOTHING, "harm", False),
    ],
)
def test_the_kind_of_a_mail_about_a_bad_week_and_whether_there_is_one(decision, kind, told):
    assert matter.kind(seen(bad=True, decision=decision)) == kind
    assert matter.is_told(decision) is told


def test_a_bad_week_that_is_no_news_heads_no_mail_about_something_else():
    about = PolicyDecision("alert", "drift", "drift-v1-1", "", told=("fault",))
    assert matter.subject(seen(bad=True, fault=True, decision=about)) == "likely a fault of the feed: temperature"
    assert matter.kind(seen(bad=True, fault=True, decision=about)) == "drift"
    assert matter.subject(seen(bad=True, cost=True, fault=True, decision=AGE)) == "a challenger is due and is trained"
    names = [one.name for one in matter.matters(seen(bad=True, fault=True, drifted=("a",), decision=AGE))]
    assert names == ["decided", "loss", "fault", "drifted"], "it is said all the same"


def test_harm_that_is_no_news_heads_no_mail_about_something_else():
    about = PolicyDecision("alert", "drift", "drift-v1-1", "", told=("fault",))
    now = seen(harm=True, fault=True, drifted=("a",), decision=about)
    assert (matter.subject(now), matter.kind(now)) == ("likely a fault of the feed: temperature", "drift")
    assert [one.name for one in matter.matters(now)] == ["fault", "harm", "drifted"], "it is said all the same"
    assert matter.subject(seen(harm=True, decision=AGE)) == "a challenger is due and is trained"
    for news in (
        PolicyDecision("alert", "harm", "harm-v1-1", "", told=("harm", "fault")),
        PolicyDecision("retrain", "harm", "harm-v1-2", "", told=("fault",)),
        PolicyDecision("rollback", "rollback", "rollback-v1", "", 1, ("harm",)),
    ):
        first = matter.matters(seen(harm=True, fault=True, decision=news))[0]
        assert first.name == "harm"
        assert matter.kind(seen(harm=True, fault=True, decision=news)) == "harm"


def test_harm_of_a_champion_that_was_replaced_heads_nothing():
    about = PolicyDecision("alert", "drift", "drift-v1-1", "", told=("fault",))
    late = replace(seen(harm=True, fault=True, decision=about), replaced=True)
    assert (matter.subject(late), matter.kind(late)) == ("likely a fault of the feed: temperature", "drift")


def test_an_estimate_that_has_risen_without_drift_is_not_called_drift():
    first = matter.matters(seen(cost=True))[0]
    assert first.headline == (
        "the loss may rise though no input has drifted: Brier score of 0.21 estimated, 0.17 at promotion"
    )
    assert first.sentence.endswith("at its promotion. No input has drifted by itself.")
    moved = matter.matters(seen(cost=True, drifted=("wind",)))[0]
    assert moved.headline.startswith("drift that may cost: ")
    assert moved.sentence.endswith("What moves the predictions most: wind.")


def test_what_is_done_is_said_after_what_matters():
    assert matter.subject(seen(fault=True, decision=replace(AGE, told=("fault",)))) == (
        "likely a fault of the feed: temperature, a challenger is trained"
    )
    promotion = PolicyDecision("alert", "promotion", "promotion-v2", "", told=("cost",))
    assert matter.subject(seen(cost=True, decision=promotion)).endswith(
        "; a challenger that was refused is proven better"
    )
    assert matter.subject(seen()) == "nothing to tell"
    assert matter.subject(seen(drifted=("a", "b"))) == "a and b drifted, nothing says that it costs"
    assert matter.kind(seen(fault=True)) == matter.kind(seen(cost=True)) == "drift"
