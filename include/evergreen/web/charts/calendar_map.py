"""What became of each partition, stage by stage, as a map of stages by partitions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from evergreen.core.ledger.views.partition_states import PartitionState
from evergreen.core.names import PartitionKey

STAGES = ("inputs", "labels", "features", "predictions", "check")
State = Literal["good", "warn", "bad", "waits", "none"]
"""A class of the page's style"""
GOOD: Final = "good"
PARTLY: Final = "warn"
BAD: Final = "bad"
WAITS: Final = "waits"
NONE: Final = "none"


@dataclass(frozen=True)
class Mark:
    """One stage of one partition."""

    state: State
    said: str


@dataclass(frozen=True)
class CalendarMap:
    """Rows of marks; the columns of the map are the partitions `keys`."""

    keys: tuple[PartitionKey, ...]
    rows: tuple[tuple[str, tuple[Mark, ...]], ...]


def calendar_map(
    keys: Sequence[PartitionKey], states: Mapping[PartitionKey, PartitionState], checked: Mapping[str, bool]
) -> CalendarMap | None:
    """The map over the partitions `keys`; None if there are none.

    Args:
        keys: all partitions of the stretch that is shown, in order.
        states: what is known of each that has landed.
        checked: key -> whether its check told people of something.
    """
    if not keys:
        return None
    found = {key: states.get(key, PartitionState()) for key in keys}
    return CalendarMap(
        tuple(keys),
        (
            ("inputs", tuple(_landed(key, "inputs", found[key].inputs, found[key].inputs_why) for key in keys)),
            ("labels", tuple(_labels(key, found[key]) for key in keys)),
            ("features", tuple(_made(key, "features", found[key].features) for key in keys)),
            ("predictions", tuple(_predicted(key, found[key]) for key in keys)),
            ("check", tuple(_checked(key, checked.get(key)) for key in keys)),
        ),
    )


def _landed(key: PartitionKey, table: str, outcome: str | None, why: str) -> Mark:
    if outcome is None:
        return Mark(NONE, f"{key}: no {table}")
    said = f"{key}: {table} {outcome}{f': {why}' if why else ''}"
    states: dict[str, State] = {"accepted": PARTLY if why else GOOD, "quarantined": BAD}
    return Mark(states.get(outcome, WAITS), said)


def _labels(key: PartitionKey, state: PartitionState) -> Mark:
    mark = _landed(key, "labels", state.labels, state.labels_why)
    if state.held and mark.state != BAD:
        return Mark(WAITS, f"{key}: labels accepted, held back until they are complete")
    return mark


def _made(key: PartitionKey, what: str, there: bool) -> Mark:
    return Mark(GOOD, f"{key}: {what} built") if there else Mark(NONE, f"{key}: no {what}")


def _predicted(key: PartitionKey, state: PartitionState) -> Mark:
    if state.version is None:
        return Mark(NONE, f"{key}: no predictions")
    return Mark(GOOD, f"{key}: predicted by version {state.version}")


def _checked(key: PartitionKey, told: bool | None) -> Mark:
    if told is None:
        return Mark(NONE, f"{key}: not checked")
    said = f"{key}: checked, {'something was told' if told else 'nothing to tell'}"
    return Mark(PARTLY if told else GOOD, said)
