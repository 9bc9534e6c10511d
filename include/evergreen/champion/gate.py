"""From evidence to a verdict: promote, refuse, or ask a person. Pure: the DAGs, the replay and the tests call this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evergreen.champion.comparison import Comparison, Mode
from evergreen.champion.guards import REQUIRED, Guard, percent
from evergreen.definition.model import GateSection, Loss
from evergreen.training.losses import TITLES

Answer = Literal["promote", "refuse", "ask"]
BORDERLINE = 10
"""A comparison that would fail at a tenth of its alpha is a close call."""
LOOKS = 8
"""Challengers of one champion over which the definition's alpha is the mean chance."""
MOST = 0.05
"""Chance that a single look may take, unless the definition asks for more."""


@dataclass(frozen=True)
class GateVerdict:
    """What the gate says, and why, in one sentence."""

    outcome: Answer
    reason: str
    guards: tuple[Guard, ...]


def mode_for(cause: str) -> Mode:
    """Superiority, unless the champion is proven harmed: then a challenger that is no worse is enough."""
    return "non_inferiority" if cause == "harm" else "superiority"


def level(alpha: float, looks: int) -> float:
    """Alpha of the next look, after `looks` challengers were compared with the same champion: alpha spending.

    A champion has `LOOKS` times `alpha` to spend on all its challengers, however many come (Lan and DeMets 1983). Each
    look takes half of what is left: the first challengers come when there is most reason for them, and one that came
    for nothing makes the next one's task harder.
    """
    most, left = max(MOST, alpha), LOOKS * alpha
    for _ in range(looks):
        left -= min(left / 2, most)
    return min(left / 2, most)


def decide(
    comparison: Comparison,
    guards: Sequence[Guard],
    gate: GateSection,
    *,
    loss: Loss,
    challenger: int,
    champion: int | None,
) -> GateVerdict:
    """Judge a challenger.

    It is promoted where its comparison shows what its mode asks for and no guard fails; a person is asked before where
    the definition says so. A guard that did not answer is an error and never a pass.

    Args:
        comparison: challenger against champion on partitions that neither was trained on.
        guards: one answer of each guard.
        gate: the definition's gate.
        loss: what the comparison is of.
        challenger: its version.
        champion: its version; None where the base rate stood in.

    Raises:
        ValueError: a required guard is missing or there twice, or challenger and champion are one version.
    """
    names = sorted(guard.name for guard in guards)
    if names != sorted(REQUIRED):
        raise ValueError(f"the gate needs one answer of each guard ({', '.join(REQUIRED)}), got {names or 'none'}")
    if challenger == champion:
        raise ValueError(f"version {challenger} would be compared with itself")
    shown = _shown(comparison, first=champion is None)
    failed = [guard for guard in guards if guard.state == "failed"]
    story = describe(comparison, loss, challenger=challenger, champion=champion)
    if champion is None and shown and comparison.verdict != "superior":
        story += ", which is no proof; none is asked of a first model, which replaces nothing. It is better so far"
    if not shown:
        also = f"; besides, {_told(failed)}" if failed else ""
        return GateVerdict("refuse", f"{story}: {_shortfall(comparison)}, refused{also}", tuple(guards))
    if failed:
        return GateVerdict("refuse", f"{story}, but {_told(failed)}: refused", tuple(guards))
    if gate.approval == "always":
        return GateVerdict("ask", f"{story} and passes all guards; a person decides", tuple(guards))
    if gate.approval == "borderline" and comparison.p_value > comparison.alpha / BORDERLINE:
        return GateVerdict("ask", f"{story} and passes all guards, but it is close; a person decides", tuple(guards))
    return GateVerdict("promote", f"{story} and passes all guards: promoted", tuple(guards))


def _shown(comparison: Comparison, *, first: bool) -> bool:
    """Whether the comparison shows what is asked for.

    The first model replaces nothing: while it serves no one is worse off than with the base rate, so it has to have the
    lower loss, and the proof is asked of those that come after it (docs/decisions/006).
    """
    if first:
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
        return f"it may be worse by more than {percent(comparison.margin)}"
    return "that is no proof that it is better"


def describe(comparison: Comparison, loss: Loss, *, challenger: int, champion: int | None) -> str:
    """What the comparison found, in one clause with its numbers."""
    title = TITLES[loss]
    if comparison.rows == 0:
        return f"challenger {challenger} has no labelled rows that the champion has not been trained on"
    change = comparison.relative
    verb = "lowers" if change > 0 else "raises" if change < 0 else "does not change"
    by = f" by {percent(abs(change))}" if change else ""
    rival = f"of version {champion}" if champion is not None else "of the base rate"
    numbers = f"from {comparison.champion_loss:.4g} to {comparison.challenger_loss:.4g}"
    days = "day" if comparison.clusters == 1 else "days"
    size = f"{comparison.clusters} {days}, {comparison.rows:,} rows"
    return f"challenger {challenger} {verb} the {title} {rival}{by} ({numbers}; {_interval(comparison)}{size})"


def _interval(comparison: Comparison) -> str:
    low, high = comparison.relative_low, comparison.relative_high
    if low is None or high is None:
        return ""
    if comparison.relative < 0:  # the sentence then speaks of a rise
        low, high = -high, -low
    return f"{100 * (1 - comparison.alpha):.4g} % interval {percent(low)} to {percent(high)}; "
