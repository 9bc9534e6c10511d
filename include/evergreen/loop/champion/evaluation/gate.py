"""From evidence to a verdict: promote, refuse, or ask a person. Pure: the DAGs, the replay and the tests call this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.core.definition.model import GateSection, Loss
from evergreen.core.text import fixed_percent
from evergreen.core.values import GateAnswer
from evergreen.loop.champion.evaluation.guards import REQUIRED, Guard
from evergreen.loop.champion.evaluation.paired_test import Comparison, Mode
from evergreen.loop.training.losses import TITLES

BORDERLINE = 10
"""A comparison that would fail at a tenth of its alpha, or pass at ten times it, is a close call."""
LEAST = 1e-6
"""Level below which an interval has no ends that a ledger could keep."""


@dataclass(frozen=True)
class GateVerdict:
    """What the gate says, and why, in one sentence."""

    outcome: GateAnswer
    reason: str
    guards: tuple[Guard, ...]


def mode_for(cause: str, *, proven: bool) -> Mode:
    """Superiority, unless the champion is proven harmed: then a challenger that is no worse is enough.

    `proven`: whether a check of the monitor has found so. The cause alone is what somebody wrote into a form.
    """
    return "non_inferiority" if cause == "harm" and proven else "superiority"


def level(alpha: float, earlier: int) -> float:
    """Alpha of a challenger whose champion has met `earlier` others: half of what the one before it got.

    So a champion's challengers, however many come, spend twice `alpha` together (alpha spending, Lan and DeMets 1983,
    "Discrete sequential boundaries for clinical trials"). The first comes when there is most reason for it, and one
    that came for nothing makes the next one's task harder.
    """
    return max(alpha * 0.5**earlier, min(alpha, LEAST))


def decide(
    comparison: Comparison,
    guards: Sequence[Guard],
    gate: GateSection,
    *,
    loss: Loss,
    challenger: int,
    champion: int | None,
    broken: str | None = None,
    unit: str = "",
    few: str | None = None,
) -> GateVerdict:
    """Judge a challenger.

    It is promoted if its comparison shows what its mode asks for and no guard fails; a person is asked before if
    the definition says so. A guard that did not answer is an error and never a pass.

    Args:
        comparison: challenger against champion on partitions that neither was trained on.
        guards: one answer of each guard.
        gate: the definition's gate.
        loss: what the comparison is of.
        challenger: its version.
        champion: its version; None if there is none, and the base rate stood in.
        broken: why the champion can no longer predict, so that the base rate stood in for it; None if it can.
        unit: of the loss, if that is money.
        few: in words, that the held-out rows have too few of a class to prove anything; None if they have enough.

    Raises:
        ValueError: a required guard is missing or there twice, or challenger and champion are one version.
    """
    _check(guards, challenger, champion)
    unusable = next((guard for guard in guards if (guard.name, guard.state) == ("signature", "failed")), None)
    if unusable and comparison.rows == 0:
        reason = f"challenger {challenger} cannot serve, so it was not compared: {unusable.sentence}: refused"
        return GateVerdict("refuse", reason, tuple(guards))
    alone = champion is None or broken is not None
    shown = _shown(comparison, alone=alone)
    story = _story(comparison, loss, challenger, champion, broken, shown=shown, unit=unit)
    if few and alone:
        few, story = None, f"{story}; {few}"
    outcome, reason = _answer(comparison, guards, gate, story, shown=shown, few=few)
    return GateVerdict(outcome, reason, tuple(guards))


def _answer(
    comparison: Comparison, guards: Sequence[Guard], gate: GateSection, story: str, *, shown: bool, few: str | None
) -> tuple[GateAnswer, str]:
    """What the gate says of a challenger that was compared, and why; `few` as of `decide`, if that forbids it."""
    failed = [guard for guard in guards if guard.state == "failed"]
    also = f"; besides, {_told(failed)}" if failed else ""
    if few:
        return "refuse", f"{story}, but {few}, so that nothing is proven: refused{also}"
    close = borderline(comparison, guards, shown=shown) if gate.approval == "borderline" else None
    if not shown and close is None:
        return "refuse", f"{story}: {_shortfall(comparison)}, refused{also}"
    if failed:
        return "refuse", f"{story}, but {_told(failed)}: refused"
    story += " and passes all guards"
    if gate.loosened:
        story += f"; gate loosened by model.yaml: {', '.join(gate.loosened)}"
    if gate.approval == "always":
        return "ask", f"{story}; a person decides"
    if close is not None:
        return "ask", f"{story}, but it is close: {close}; a person decides"
    return "promote", f"{story}: promoted"


def _check(guards: Sequence[Guard], challenger: int, champion: int | None) -> None:
    names = sorted(guard.name for guard in guards)
    if names != sorted(REQUIRED):
        raise ValueError(f"the gate needs one answer of each guard ({', '.join(REQUIRED)}), got {names or 'none'}")
    if challenger == champion:
        raise ValueError(f"version {challenger} would be compared with itself")


def _story(
    comparison: Comparison,
    loss: Loss,
    challenger: int,
    champion: int | None,
    broken: str | None,
    *,
    shown: bool,
    unit: str = "",
) -> str:
    """What was found, and why it is enough if it is no proof."""
    if broken is None and champion is not None:
        return describe(comparison, loss, challenger=challenger, champion=champion, unit=unit)
    story = describe(comparison, loss, challenger=challenger, champion=None, unit=unit)
    if broken:
        story = f"champion {champion} cannot serve ({broken}), so the base rate stands in for it; {story}"
    if shown and comparison.verdict != "superior":
        replaces = "a model that replaces one that cannot serve" if broken else "a first model, which replaces nothing"
        story += f", which is no proof; none is asked of {replaces}. It is better so far"
    return story


def borderline(comparison: Comparison, guards: Sequence[Guard], *, shown: bool) -> str | None:
    """Why the result is a close call, or None if it is not: what other days might have turned. Pure.

    Close is a proof that would fail at a tenth of its alpha, a missing proof that would hold at ten times its alpha,
    and a guard that passed narrowly. A failed guard is no close call (docs/decisions/011).

    Args:
        comparison: challenger against champion.
        guards: one answer of each guard.
        shown: whether the comparison shows what is asked for.
    """
    if any(guard.state == "failed" for guard in guards):
        return None
    level = f"{100 * comparison.alpha:.3g} %"
    if not shown:
        lucky = comparison.verdict == "inconclusive" and comparison.relative > 0 and comparison.low is not None
        if lucky and comparison.p_value <= BORDERLINE * comparison.alpha:
            return f"chance alone would do as much with p = {comparison.p_value:.2g}, which is no proof at {level}"
        return None
    if comparison.p_value > comparison.alpha / BORDERLINE:
        return f"p = {comparison.p_value:.2g} at a level of {level}"
    narrow = [guard for guard in guards if guard.close]
    return "; ".join(f"the guard on {guard.name} passed narrowly ({guard.sentence})" for guard in narrow) or None


def _shown(comparison: Comparison, *, alone: bool) -> bool:
    """Whether the comparison shows what is asked for.

    If no other model can serve, no one is worse off than with the base rate while this one does, so it has to have
    the lower loss, and the proof is asked of those that come after it (docs/decisions/006).
    """
    if alone:
        return comparison.rows > 0 and comparison.relative > 0 and comparison.verdict != "worse"
    return comparison.verdict == "superior" or (
        comparison.mode == "non_inferiority" and comparison.verdict == "non_inferior"
    )


def _told(failed: Sequence[Guard]) -> str:
    return "; ".join(f"the guard on {guard.name} failed ({guard.sentence})" for guard in failed)


def _shortfall(comparison: Comparison) -> str:
    if comparison.verdict == "worse":
        return "it is worse"
    if comparison.rows == 0:
        return "there is nothing to compare on"
    if comparison.low is None:
        return "one day of labels cannot tell chance from skill"
    if comparison.verdict == "inconclusive" and comparison.relative <= 0 and comparison.mode == "superiority":
        return "it is no better on these rows"
    if comparison.mode == "non_inferiority":
        return f"it may be worse by more than {fixed_percent(comparison.margin)}"
    return "that is no proof that it is better"


def too_few(found: int, needed: int) -> str | None:
    """In words, that the rarer class has `found` labelled rows and `needed` are needed; None if it has enough."""
    if found >= needed:
        return None
    rows = "row" if found == 1 else "rows"
    return f"the rarer class has {found:,} labelled {rows} and {needed:,} are needed (gate.min_positives)"


def describe(comparison: Comparison, loss: Loss, *, challenger: int, champion: int | None, unit: str = "") -> str:
    """What the comparison found, in one clause with its numbers."""
    title = TITLES[loss]
    if comparison.rows == 0:
        return f"challenger {challenger} has no labelled rows that the champion has not been trained on"
    change = comparison.relative
    verb = "lowers" if comparison.delta > 0 else "raises" if comparison.delta < 0 else "does not change"
    by = f" by {fixed_percent(abs(change))}" if change else ""
    rival = f"of version {champion}" if champion is not None else "of the base rate"
    numbers = f"from {comparison.champion_loss:.4g} to {comparison.challenger_loss:.4g}"
    numbers += f" {unit} a row" if unit else ""
    days = "day" if comparison.clusters == 1 else "days"
    size = f"{comparison.clusters} {days}, {comparison.rows:,} rows"
    return f"challenger {challenger} {verb} the {title} {rival}{by} ({numbers}; {_interval(comparison)}{size})"


def _interval(comparison: Comparison) -> str:
    low, high = comparison.relative_low, comparison.relative_high
    if low is None or high is None:
        return ""
    if low < -1:  # it may lose twice as much, as far as this can tell: numbers would look as if it told something
        return "too few days for an interval; "
    high = min(high, 1.0)  # an approximation may reach farther, a loss cannot fall by more than all of it
    if comparison.relative < 0:  # the sentence then speaks of a rise
        low, high = -high, -low
    return f"{100 * (1 - comparison.alpha):.4g} % interval {fixed_percent(low)} to {fixed_percent(high)}; "
