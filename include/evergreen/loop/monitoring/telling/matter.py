"""What matters first about a check: the one place that orders what was found and puts it into words.

Headline, subject and kind of the mail, the first line of the page and of the log, and the reason on record all begin
with it. The order: harm that is proven; a loss above expectation; drift that will probably cost; what looks like a
fault of the feed; then what was decided, and last that inputs have drifted and that is all. What is no news (it has
been told, or was no worse than what had been) heads no mail about something else: it stands after what was decided.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evergreen.core.definition.alerts import Kind
from evergreen.core.definition.calendar import Unit
from evergreen.core.text import listed, number, percent
from evergreen.loop.monitoring.loss.harm_test import HarmResult
from evergreen.loop.monitoring.policy import PolicyDecision
from evergreen.loop.monitoring.telling.expected import Expectation, Outlook
from evergreen.loop.monitoring.telling.seasons import Step

Name = Literal["harm", "loss", "cost", "fault", "decided", "drifted", "quiet"]
ACTIONS = {
    ("retrain", "code"): "the feature code has changed, a challenger is trained from it",
    ("retrain", "age"): "a challenger is due and is trained",
    ("retrain", "drift"): "inputs have drifted, a challenger is trained",
    ("alert", "promotion"): "a challenger that was refused is proven better",
    ("alert", "rollback"): "a version that served earlier is proven better",
    ("promote", "promotion"): "a challenger that was refused is proven better and takes over",
    ("rollback", "rollback"): "a version that served earlier is proven better and serves again",
}
"""What is done, by kind and cause of the decision, if nothing else matters more"""
THEN = {
    "retrain": "a challenger is trained",
    "promote": "a challenger that was refused takes over",
    "rollback": "a version that served earlier serves again",
}
"""What is done about something that matters more than the doing"""
KINDS: dict[Name, Kind] = {"harm": "harm", "loss": "harm", "cost": "drift", "fault": "drift"}


@dataclass(frozen=True)
class Seen:
    """What a check found, as far as it decides what is said first.

    Attributes:
        loss: the loss in words ('Brier score').
        period: length of a partition: hour, day, week or month.
        harm: what the labels prove.
        expectation: what a labelled partition lost, and what was to be expected of it: the newest, or a late bad one.
        outlook: what the partition will probably lose.
        steps: what looks like a fault of the feed.
        drifted: inputs that have drifted, what moves the predictions most first.
        decision: what was decided.
        replaced: whether another version serves by now: that this one is worse than it was matters no more.
    """

    loss: str
    period: Unit
    harm: HarmResult
    expectation: Expectation | None
    outlook: Outlook | None
    steps: Sequence[Step]
    drifted: Sequence[str]
    decision: PolicyDecision
    replaced: bool = False


@dataclass(frozen=True)
class Matter:
    """One thing that matters."""

    name: Name
    headline: str
    """In a few words, for subject and headline"""
    sentence: str
    """One or two sentences; empty if the decision's reason says it all"""


def matters(seen: Seen) -> list[Matter]:
    """All that matters about a check, the most important first; one at least."""
    harm = None if seen.replaced else _harm(seen.harm)
    said = [one for one in (harm, _bad(seen), _costly(seen), _fault(seen.steps)) if one is not None]
    found = [
        *(one for one in said if is_news(seen.decision, one.name)),
        _decided(seen.decision),
        *(one for one in said if not is_news(seen.decision, one.name)),
        _drifted(seen.drifted),
    ]
    return [matter for matter in found if matter is not None] or [Matter("quiet", "nothing to tell", "")]


def is_news(decision: PolicyDecision, name: Name) -> bool:
    """Whether a decision tells of it, or is made because of it."""
    return name in decision.told or name == decision.cause


def subject(seen: Seen) -> str:
    """Headline of what matters first, and what is done about it."""
    first = matters(seen)[0]
    action = ACTIONS.get((seen.decision.kind, str(seen.decision.cause)))
    if first.name not in KINDS:
        return first.headline
    if seen.decision.kind == "alert" and action is not None:
        return f"{first.headline}; {action}"
    then = THEN.get(seen.decision.kind)
    return f"{first.headline}, {then}" if then else first.headline


def is_told(decision: PolicyDecision) -> bool:
    """Whether a check's decision is mailed at once; else it is on the page, and in the weekly digest.

    That a challenger is trained because inputs have drifted is no news to a person: what becomes of it is, and comes in
    a mail of its own. A change of the champion is told by the task that makes it. What was found besides is news
    whatever is decided: it is recorded as told, so no later check tells it.
    """
    if decision.kind == "alert" or decision.told:
        return True
    return decision.kind == "retrain" and decision.cause != "drift"


def kind(seen: Seen) -> Kind:
    """The kind of the mail: of the decision if a person must act on it or it is about code, else of what matters.

    A change of the champion needs nobody, and has its own mail: this one is about what was found besides.
    """
    cause, first = seen.decision.cause, matters(seen)[0]
    acts = seen.decision.kind not in ("promote", "rollback")
    if cause == "code" or (acts and (cause == "promotion" or cause == "rollback")):
        return cause
    if first.name in KINDS:
        return KINDS[first.name]
    return "harm" if cause == "loss" or cause == "harm" else cause or "drift"


def _harm(harm: HarmResult) -> Matter | None:
    if not harm.proven:
        return None
    return Matter("harm", f"the champion is proven worse, {percent(harm.relative_rise)} more loss", harm.sentence)


def _bad(seen: Seen) -> Matter | None:
    found = seen.expectation
    if found is None or not found.above:
        return None
    lost, expected, high = (number(value) for value in (found.loss, found.expected, found.high))
    whose = "" if found.version is None else f", which version {found.version} predicted,"
    return Matter(
        "loss",
        f"a bad {seen.period}, {found.key}: {seen.loss} {lost} where {expected} was expected",
        f"A bad {seen.period}: the realised {seen.loss} of {found.key}{whose} was {lost}, where {expected} was "
        f"expected and more than {high} is beyond chance: {percent(found.rise)} more than expected. "
        f"One bad {seen.period} proves no lasting harm; the test of harm takes all of them together.",
    )


def _costly(seen: Seen) -> Matter | None:
    found = seen.outlook
    if found is None or not found.costs:
        return None
    loss, low, expected = (number(value) for value in (found.loss, found.low, found.expected))
    what, about = "the loss may rise though no input has drifted", "No input has drifted by itself"
    if seen.drifted:
        what, about = "drift that may cost", f"What moves the predictions most: {listed(list(seen.drifted), 3)}"
    return Matter(
        "cost",
        f"{what}: {seen.loss} of {loss} estimated, {expected} at promotion",
        f"Before any label, a {seen.loss} of {loss} is estimated (at least {low}, by the error that estimates have "
        f"had), where the champion lost {expected} at its promotion. {about}.",
    )


def _fault(steps: Sequence[Step]) -> Matter | None:
    if not steps:
        return None
    names = listed([step.name for step in steps], 3)
    said = "; ".join(f"{step.name}: {step.said}" for step in steps[:3])
    return Matter(
        "fault",
        f"likely a fault of the feed: {names}",
        f"Likely a fault of the feed: in one step, and further than this feed has ever moved. {said}.",
    )


def _decided(decision: PolicyDecision) -> Matter | None:
    action = ACTIONS.get((decision.kind, str(decision.cause)))
    if action is None and decision.kind in THEN:
        action = THEN[decision.kind]
    return Matter("decided", action, "") if action else None


def _drifted(drifted: Sequence[str]) -> Matter | None:
    if not drifted:
        return None
    return Matter("drifted", f"{listed(list(drifted), 3)} drifted, nothing says that it costs", "")
