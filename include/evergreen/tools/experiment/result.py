"""What an experiment found: losses of both sides on the same rows, the gate's comparison, and the variant's cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evergreen.core.definition.model import Loss
from evergreen.core.names import PartitionKey
from evergreen.core.text import fixed_percent
from evergreen.loop.champion.evaluation.paired_test import Comparison
from evergreen.loop.training.losses import titled


@dataclass(frozen=True)
class Side:
    """One of the two models of a round.

    Attributes:
        loss: mean loss of the judged rows.
        train_rows: rows it was fitted on.
        seconds: processor time of its tuning and fit; None if an earlier run kept it without.
        predict_ms: milliseconds to predict 1,000 rows, features given.
    """

    loss: float
    train_rows: int
    seconds: float | None
    predict_ms: float


@dataclass(frozen=True)
class Round:
    """Both models made of labels through one partition, and judged on the partitions that neither has seen."""

    as_of: PartitionKey
    judged: tuple[str, ...]
    rows: int
    definition: Side
    variant: Side

    @property
    def relative(self) -> float:
        """Part of the definition's loss that the variant saves; negative if it loses more."""
        ours = self.definition.loss
        return (ours - self.variant.loss) / abs(ours) if ours else 0.0


@dataclass(frozen=True)
class Result:
    """All rounds together."""

    model: str
    loss: Loss
    changes: tuple[str, ...]
    rounds: tuple[Round, ...]
    comparison: Comparison
    unit: str = ""
    """Of the loss, if it is money"""

    @property
    def title(self) -> str:
        """The loss in words."""
        return titled(self.loss, self.unit)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain types."""
        return {**asdict(self), "verdict": self.comparison.verdict, "sentence": sentence(self), "cost": cost(self)}


def sentence(result: Result) -> str:
    """What was found and what it means, in words. Pure."""
    found = result.comparison
    verb = "lowers" if found.relative > 0 else "raises" if found.relative < 0 else "does not change"
    by = f" by {fixed_percent(abs(found.relative))}" if found.relative else ""
    days = "day" if found.clusters == 1 else "days"
    size = f"{found.clusters} {days}, {found.rows:,} rows, {len(result.rounds)} rounds"
    story = (
        f"The variant {verb} the {result.title}{by} "
        f"({found.champion_loss:.4g} to {found.challenger_loss:.4g}; {_interval(found)}{size})"
    )
    if found.verdict == "superior":
        return f"{story}: proven better."
    if found.verdict == "worse":
        return f"{story}: proven worse."
    return f"{story}: no proof either way.{_power(found)}"


def _interval(found: Comparison) -> str:
    low, high = found.relative_low, found.relative_high
    if low is None or high is None:
        return ""
    if found.relative < 0:  # the sentence then speaks of a rise
        low, high = -high, -low
    return f"{100 * (1 - found.alpha):.4g} % interval {fixed_percent(low)} to {fixed_percent(high)}; "


def _power(found: Comparison) -> str:
    """What this many days could have shown."""
    if found.relative_low is None or found.relative_high is None:
        return " One day cannot tell chance from skill: land more partitions."
    width = (found.relative_high - found.relative_low) / 2
    if not width:
        return ""
    return (
        f" These days show a difference from about {fixed_percent(width)} on; more --rounds, if they have landed, less."
    )


def cost(result: Result) -> str:
    """What the variant costs beside the definition, in words. Pure."""
    parts = [f"predicting 1,000 rows takes {_ms(result.rounds)}"]
    timed = [r for r in result.rounds if r.definition.seconds is not None and r.variant.seconds is not None]
    if timed:
        ours = sum(r.definition.seconds or 0.0 for r in timed) / len(timed)
        theirs = sum(r.variant.seconds or 0.0 for r in timed) / len(timed)
        ratio = f", {theirs / ours:.2g} x" if ours else ""
        parts.insert(0, f"a training takes {theirs:.1f} s of processor time instead of {ours:.1f} s{ratio}")
    return "; ".join(parts)[0].upper() + "; ".join(parts)[1:] + "."


def _ms(rounds: Sequence[Round]) -> str:
    ours = sum(r.definition.predict_ms for r in rounds) / len(rounds)
    theirs = sum(r.variant.predict_ms for r in rounds) / len(rounds)
    return f"{theirs:.1f} ms instead of {ours:.1f} ms"
