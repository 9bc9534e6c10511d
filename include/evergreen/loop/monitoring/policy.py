"""What to do about what a check saw. Pure: the same call serves the monitor, the replay of policies and the tests.

Another existing version replaces the champion if it is proven to lose less. This can be the one before, while the
promotion is young; the newest challenger that was refused because of insufficient evidence and has been scored beside
the champion since; or one that served earlier, if the world is again as it was. Proven harm asks for a new challenger
at once. All other causes only choose when to look whether a challenger would do better, which costs a training and
nothing more: as soon as the feature code has changed, `refresh` partitions after the champion was made, and a little
sooner if its inputs have drifted for good. Who is told what is another question (`_news`): proven harm, a loss above
expectation, drift that will probably cost, and what looks like a fault of the feed are told at once; all else that has
drifted is for the weekly digest. The result of a look says how soon to look again: a champion that was replaced was
worth replacing, so its successor is looked at as soon; a challenger that was refused makes the wait longer. So a world
that changes is followed, and one that does not costs two trainings a year. Each cause waits for the cool-down and for
new labelled rows, and one cause makes one retrain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from evergreen.core.definition.sections import MonitoringSection
from evergreen.core.text import fixed_percent, listed
from evergreen.core.values import MonitorDecision
from evergreen.loop.champion.evaluation.record import Pace, interval

Cause = Literal["drift", "harm", "loss", "age", "code", "rollback", "promotion"]
News = Literal["harm", "loss", "cost", "fault"]
"""What is told at once: proven harm, a partition that lost more than expected, drift that will probably cost, what
looks like a fault of the feed"""
QUIET = 4
"""Partitions for which a loss above expectation is not told again"""
WORSE = 1.5
"""Times the rise that was told from which a loss above expectation is told again even so, and an estimate of one"""
PATIENCE: dict[Cause, int] = {"harm": 2, "drift": 2, "age": 3}
"""What each refused challenger multiplies the wait by: if something has moved, newer labels may tell more."""
_CODE = (
    "the feature code has changed since the champion was made, which goes on being fed by the code it was made from; a "
    "challenger made from the new code takes over if it passes the gate"
)


@dataclass(frozen=True)
class Signals:
    """What one check saw."""

    version: int
    """Champion that predicted the partition"""
    serving: int
    """Champion now: a check that comes late may find another one"""
    age: int
    """Partitions since the newest one whose labels the champion was trained or judged on"""
    new_rows: int
    """Labelled rows that have landed since"""
    drifted: tuple[str, ...] = ()
    """Inputs that have drifted, the strongest first"""
    effects: Mapping[str, float] = field(default_factory=dict)
    """By how much, in standard deviations"""
    prediction_drifted: bool = False
    label_drifted: bool = False
    judged: bool = True
    """Whether labels of this champion's predictions have landed"""
    harmed: bool = False
    before: int | None = None
    """Version that served before, if it can be restored"""
    served: int = 0
    """Labelled partitions the champion has served"""
    regretted: bool = False
    """Whether the version before is proven better on them"""
    challenger: int | None = None
    """The newest challenger that was refused because of insufficient evidence, and is scored beside the champion
    since"""
    surpassed: bool = False
    """Whether it is proven better by now"""
    comeback: int | None = None
    """A version that served earlier and is proven better on the newest partitions; the best if there are several"""
    approval: bool = False
    """Whether the definition leaves promotions to a person"""
    held: int = 0
    """Partitions whose labels are incomplete: they judge nobody"""
    new_code: str | None = None
    """Hash of the feature code of today, if the champion was made from other code and none was asked for from this"""
    bad: str | None = None
    """A labelled partition that lost more than was to be expected: the newest, or one whose labels landed late"""
    bad_version: int | None = None
    """Version that predicted it: not the champion, if that is new"""
    rise: float = 0.0
    """By how much, as a share of what was expected"""
    costly: float = 0.0
    """By how much more the partition will probably lose than the champion did at its promotion; 0 if that is not so"""
    faults: tuple[str, ...] = ()
    """Drifted inputs that have made a step which the feed has never made before"""
    pace: Pace | None = None
    """What newer challengers of this model have gained so far"""


@dataclass(frozen=True)
class PastCheck:
    """An earlier check of the same model."""

    ago: int
    """Partitions before this one: 1 for the one before"""
    version: int
    kind: str
    cause: str | None
    drifted: tuple[str, ...] = ()
    harmed: bool = False
    effects: Mapping[str, float] = field(default_factory=dict)
    told: tuple[str, ...] | None = None
    """What of it was news (`News`); None in what was recorded before that was"""
    bad: str | None = None
    rise: float = 0.0
    costly: float = 0.0

    def tells(self, news: News) -> bool:
        """Whether it told `news`. Before that was recorded, each alert and retrain told the harm that it saw."""
        if self.told is None:
            return news == "harm" and self.harmed and self.kind in ("alert", "retrain")
        return news in self.told


@dataclass(frozen=True)
class PolicyDecision:
    """What is done, and why; `cause` and `cause_key` if it is a retrain or an alert."""

    kind: MonitorDecision
    cause: Cause | None
    cause_key: str | None
    """Names the cause: a second retrain with it is not made"""
    reason: str
    version: int | None = None
    """Version that serves from now on, if it is a rollback or a promotion"""
    told: tuple[News, ...] = ()
    """What is told at once, the most important first"""


def decide(signals: Signals, history: Sequence[PastCheck], policy: MonitoringSection) -> PolicyDecision:
    """Decide on the newest check.

    Args:
        signals: what it saw.
        history: earlier checks, in any order; only those of this champion, and retrains and bad partitions that were
            told of any, count.
        policy: the definition's `monitoring`.
    """
    own = [check for check in history if check.version == signals.version and check.ago > 0]
    if signals.serving != signals.version:
        why = f"version {signals.serving} has replaced version {signals.version} since"
        # Who has the predictions has them still. Harm is of who serves, and nothing need be done about it any more.
        return _tell(signals, own, why, _news(replace(signals, harmed=False), own, history))
    news = _news(signals, own, history)
    rival = _rival(signals, own, policy)
    if rival is not None:
        return replace(rival, told=news)
    held = []
    for cause, why in _wishes(signals, own, policy):
        hold = _hold(cause, signals, own, history, policy)
        if hold is None:
            also = "" if cause == "code" or signals.new_code is None else f"; {_CODE}"
            said = f"{why}: a challenger is trained{also}"
            return PolicyDecision("retrain", cause, _cause_key(cause, signals, own), said, told=news)
        held.append(f"{why}; {hold}")
    return _tell(signals, own, held[0] if held else _quiet(signals, policy), news)


def _rival(signals: Signals, own: Sequence[PastCheck], policy: MonitoringSection) -> PolicyDecision | None:
    """Another version that is there already and is proven to lose less: it costs no training."""
    if signals.regretted and signals.before is not None and signals.served <= policy.rollback_within:
        why = (
            f"version {signals.before} would have lost less than version {signals.version}, which replaced it and has "
            f"served {_partitions(signals.served)}: it comes back"
        )
        return PolicyDecision("rollback", "rollback", f"rollback-v{signals.version}", why, signals.before)
    if signals.surpassed and signals.challenger is not None:
        return _promotion(signals, own)
    return None if signals.comeback is None else _comeback(signals, own)


def _comeback(signals: Signals, own: Sequence[PastCheck]) -> PolicyDecision | None:
    """The earlier version serves again, or a person is told, once, that it should.

    Unlike a promotion that proves a mistake, nothing is wrong with what was approved: who serves is a person's choice
    if the definition says so.
    """
    key = f"comeback-v{signals.version}"
    why = (
        f"version {signals.comeback}, which has served before, would lately have lost less than version "
        f"{signals.version}"
    )
    if not signals.approval:
        return PolicyDecision("rollback", "rollback", key, f"{why}: it comes back", signals.comeback)
    if any(check.kind == "alert" and check.cause == "rollback" for check in own):
        return None
    return PolicyDecision("alert", "rollback", key, f"{why}; the definition leaves it to a person who serves")


def _promotion(signals: Signals, own: Sequence[PastCheck]) -> PolicyDecision | None:
    """The challenger takes over, or a person is told, once, that it should."""
    key = f"promotion-v{signals.challenger}"
    why = (
        f"version {signals.challenger}, refused for want of proof, is proven by now to lose less than version "
        f"{signals.version}"
    )
    if not signals.approval:
        return PolicyDecision("promote", "promotion", key, f"{why}: it takes its place", signals.challenger)
    if any(check.kind == "alert" and check.cause == "promotion" for check in own):
        return None
    return PolicyDecision("alert", "promotion", key, f"{why}; the definition leaves promotions to a person")


def _wishes(signals: Signals, own: Sequence[PastCheck], policy: MonitoringSection) -> list[tuple[Cause, str]]:
    """What a retrain could be asked for, the most urgent first, with what was seen in words."""
    wishes: list[tuple[Cause, str]] = []
    if signals.harmed:
        wishes.append(("harm", "the champion is proven worse than at its promotion" + _besides(signals)))
    lasting = _lasting(signals, own, policy.persistence)
    if lasting:
        times = f" for {policy.persistence} checks in a row" if policy.persistence > 1 else ""
        wishes.append(("drift", f"{_have_drifted(lasting)}{times}{_besides(signals)}"))
    if signals.new_code is not None:
        wishes.append(("code", _CODE))
    due, why = _due(signals, policy)
    if signals.age >= due:
        wishes.append(("age", f"the champion is {_partitions(signals.age)} old, a challenger is due after {due}{why}"))
    return wishes


def _due(signals: Signals, policy: MonitoringSection) -> tuple[int, str]:
    """Age at which a champion meets a challenger, and why, if it is sooner than the definition says."""
    usual = min(policy.refresh, policy.max_age)
    due = interval(signals.pace, usual) if policy.learned_pace else usual
    if signals.pace is None or due == usual:
        return usual, ""
    gained = f"{fixed_percent(signals.pace.gain)} for each partition that they were newer"
    return due, f" (past challengers have gained {gained})"


def _quiet(signals: Signals, policy: MonitoringSection) -> str:
    """What was seen if it asks for no retrain."""
    if not signals.drifted:
        return "the inputs are as they were" + _besides(signals)
    return (
        f"{_have_drifted(list(signals.drifted))}, which {policy.persistence} checks in a row must see before it asks "
        "for a retrain"
    )


def _have_drifted(columns: list[str]) -> str:
    return f"{listed(columns)} {'has' if len(columns) == 1 else 'have'} drifted"


def _besides(signals: Signals) -> str:
    """What kind of change it is: of the inputs, of the answers, or of how one follows from the other."""
    if signals.harmed and not signals.drifted:
        return ", while its inputs are as they were (the concept has changed)"
    if signals.harmed:
        return ", and its inputs have drifted"
    loss, well = "no labels of its predictions have landed yet", "the champion loses no more than it should"
    if signals.held:
        whose = "partition" if signals.held == 1 else "partitions"
        loss = "no complete labels of its predictions have landed yet"
        well += f" as far as labels are complete (those of {signals.held} {whose} are not, and judge nothing)"
    if signals.bad is not None:
        whose = (
            ""
            if signals.bad_version in (None, signals.version)
            else f", which version {signals.bad_version} predicted,"
        )
        loss = well = f"{signals.bad}{whose} lost more than was to be expected"
    elif signals.judged:
        loss = "no loss is proven"
    if signals.label_drifted and not signals.drifted:
        return f", but the labels have moved and {well.replace('champion loses', 'champion still loses')}"
    if signals.drifted:
        moved = "predictions have moved too" if signals.prediction_drifted else "predictions have not moved"
        return f" (the {moved}; {loss})"
    return f", and {well if signals.judged else loss}"


def _lasting(signals: Signals, own: Sequence[PastCheck], persistence: int) -> list[str]:
    """Drifted inputs that the last `persistence` checks, this one included, all saw."""
    lasting = list(signals.drifted)
    for ago in range(1, persistence):
        seen = next((check.drifted for check in own if check.ago == ago), ())
        lasting = [column for column in lasting if column in seen]
    return lasting


def _hold(
    cause: Cause,
    signals: Signals,
    own: Sequence[PastCheck],
    history: Sequence[PastCheck],
    policy: MonitoringSection,
) -> str | None:
    """Why a retrain must wait, or None. New code need not: it does not wait for new labels to learn from."""
    if cause == "code":
        return None
    pause = _pause(signals, policy)
    if signals.age < pause:
        return f"the champion is only {_partitions(signals.age)} old, a retrain waits until it is {pause}"
    needed = _new_rows_needed(signals, policy)
    if signals.new_rows < needed:
        return f"only {signals.new_rows:,} labelled rows are new, a retrain needs {needed:,}"
    retrains = [check for check in history if check.kind == "retrain" and check.ago > 0]
    last = min((check.ago for check in retrains), default=None)
    if last is not None and last < pause:
        return f"the last retrain was {_partitions(last)} ago, {pause} must pass"
    return _wait(cause, own, policy, _due(signals, policy)[0] if cause == "age" else pause)


def _pause(signals: Signals, policy: MonitoringSection) -> int:
    """Partitions between two retrains: fewer than the cool-down only if the past says so."""
    due, sooner = _due(signals, policy)
    return min(policy.cool_down, due) if sooner else policy.cool_down


def _new_rows_needed(signals: Signals, policy: MonitoringSection) -> int:
    """New labelled rows that a retrain needs: fewer in the proportion in which it is due sooner."""
    due, sooner = _due(signals, policy)
    return -(-policy.min_new_rows * due // min(policy.refresh, policy.max_age)) if sooner else policy.min_new_rows


def _wait(cause: Cause, own: Sequence[PastCheck], policy: MonitoringSection, base: int) -> str | None:
    """Why a champion whose challengers were refused is left alone for now, or None.

    Harm counts the refusals of challengers that harm asked for; drift and age count all: that another model is no
    better has been seen, whatever the cause.
    """
    asked = [check.ago for check in own if check.kind == "retrain" and (cause != "harm" or check.cause == "harm")]
    if not asked:
        return None
    wait = min(max(1, base) * PATIENCE[cause] ** len(asked), policy.max_age)
    if min(asked) >= wait:
        return None
    return f"its challenger of {_partitions(min(asked))} ago was not promoted, the next one is tried after {wait}"


def _news(signals: Signals, own: Sequence[PastCheck], history: Sequence[PastCheck]) -> tuple[News, ...]:
    """What is told at once and has not been told lately, the most important first.

    Harm and cost are told of a champion. A bad partition stays the same one when the champion changes. A step that
    looks like a fault is news by itself: the partition after it has seen one like it.
    """
    found: list[News] = []
    if signals.harmed and not any(check.tells("harm") for check in own):
        found.append("harm")
    if signals.bad is not None and not _said_before(signals, history):
        found.append("loss")
    if signals.costly > WORSE * max((check.costly for check in own if check.tells("cost")), default=0.0):
        found.append("cost")
    if signals.faults:
        found.append("fault")
    return tuple(found)


def _said_before(signals: Signals, history: Sequence[PastCheck]) -> bool:
    """Whether this bad partition was told, or lately one that was nearly as bad, under any champion."""
    told = [check for check in history if check.tells("loss") and check.ago > 0]
    if any(check.bad == signals.bad for check in told):
        return True
    return any(check.ago <= QUIET and signals.rise < WORSE * check.rise for check in told)


CAUSES: dict[News, Cause] = {"harm": "harm", "loss": "loss", "cost": "drift", "fault": "drift"}


def _tell(signals: Signals, own: Sequence[PastCheck], why: str, news: tuple[News, ...]) -> PolicyDecision:
    """An alert if there is something to tell at once about this champion, else nothing."""
    if not news:
        return PolicyDecision("no_action", None, None, why)
    cause = CAUSES[news[0]]
    return PolicyDecision("alert", cause, _cause_key(cause, signals, own), why, told=news)


def _partitions(count: int) -> str:
    return f"{count} partition{'' if count == 1 else 's'}"


def _cause_key(cause: Cause, signals: Signals, own: Sequence[PastCheck]) -> str:
    """'drift-v3-1': the cause, the champion, and how often it has been asked for; 'code-v3-1f0c...': for which code."""
    if cause == "code":
        return code_cause(signals.version, str(signals.new_code))
    times = sum(1 for check in own if check.kind == "retrain" and check.cause == cause)
    return f"{cause}-v{signals.version}-{times + 1}"


def code_cause(version: int, code_hash: str) -> str:
    """The cause key of a retrain because the feature code has changed since `version` was made."""
    return f"code-v{version}-{code_hash[:12]}"
