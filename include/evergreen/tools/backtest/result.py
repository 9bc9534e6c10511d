"""Several policies replayed on one history, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evergreen.core.definition.model import Loss
from evergreen.core.names import PartitionKey
from evergreen.loop.training.losses import titled
from evergreen.tools.backtest.challengers import Fits
from evergreen.tools.backtest.oracle import PRICES, Losses, excess, oracle
from evergreen.tools.backtest.policies import make
from evergreen.tools.backtest.simulate import Replay, simulate

ORACLE = "oracle"
DEFAULT = ("never", "weekly", "evidently", "evergreen", ORACLE)


@dataclass(frozen=True)
class Row:
    """One policy in figures."""

    policy: str
    mean_loss: float
    trainings: int
    promotions: int
    refusals: int
    rollbacks: int
    false_alarms: int
    excess: float | None
    """Mean cost over the oracle's (see `oracle.excess`); None if the unit is 0"""


@dataclass(frozen=True)
class Outcome:
    """What came of each policy."""

    model: str
    loss: Loss
    losses: Losses
    replays: tuple[Replay, ...]
    unit: str = ""
    """Of the loss, if it is money"""

    @property
    def title(self) -> str:
        """The loss in words."""
        return titled(self.loss, self.unit)

    @property
    def rows(self) -> list[Row]:
        """The policies in the order they were asked for."""
        return [
            Row(
                policy=r.policy,
                mean_loss=r.mean_loss,
                trainings=r.trainings,
                promotions=r.promotions,
                refusals=r.refusals,
                rollbacks=r.rollbacks,
                false_alarms=r.false_alarms,
                excess=0.0 if r.policy == ORACLE else excess(self.losses, r),
            )
            for r in self.replays
        ]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain types."""
        return {
            "model": self.model,
            "loss": self.loss,
            "first_champion": self.losses.first,
            "partitions": list(self.losses.keys),
            "prices": list(PRICES),
            "unit": self.losses.unit,
            "policies": [
                asdict(row) | {"steps": [_step(step) for step in replay.steps]}
                for row, replay in zip(self.rows, self.replays, strict=True)
            ],
        }


def _step(step: Any) -> dict[str, Any]:
    return {
        "key": step.key,
        "version": step.champion.version,
        "as_of": step.champion.as_of,
        "loss": step.loss,
        "decision": step.wish.kind,
        "cause": step.wish.cause or None,
        "reason": step.wish.reason or None,
        "challenger": step.ending,
        "gate": step.why or None,
    }


def replay(
    fits: Fits,
    names: Sequence[str] = DEFAULT,
    *,
    start: PartitionKey | None = None,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Replay the policies called `names`; `progress` is told each name before it begins.

    The oracle's replay is that at the middle price; its cost is that of each price.

    Raises:
        BadInputError: there is no policy of such a name.
        NotReadyError: the history is too short.
    """
    policies = {name: None if name == ORACLE else make(name) for name in dict.fromkeys(names)}
    losses, replays = Losses.of(fits, start), []
    for name, policy in policies.items():
        if progress:
            progress(name)
        if policy is None:
            replays.append(oracle(losses, sorted(PRICES)[len(PRICES) // 2] * losses.unit))
        else:
            replays.append(simulate(fits, policy, start=start))
    definition = fits.history.definition
    return Outcome(definition.name, definition.loss, losses, tuple(replays), definition.unit)
