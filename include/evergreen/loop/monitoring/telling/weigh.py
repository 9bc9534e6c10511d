"""What drift and losses of one check are worth telling: put together from the pure functions of this folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from evergreen.core.definition import ModelDefinition
from evergreen.core.ledger.tables import Performance
from evergreen.errors import BadInputError, CollectedError, RefusedError, UnavailableError
from evergreen.loop.champion.evaluation.guards import CANNOT_PREDICT
from evergreen.loop.monitoring.drift.detect import ColumnDrift, DriftResult
from evergreen.loop.monitoring.evidence import Evidence
from evergreen.loop.monitoring.load_rows import Frames, holdout
from evergreen.loop.monitoring.loss.estimated import Estimate, Learned
from evergreen.loop.monitoring.loss.harm_test import Cluster
from evergreen.loop.monitoring.loss.realised import clusters_of
from evergreen.loop.monitoring.telling import impact, seasons, shapes
from evergreen.loop.monitoring.telling.expected import Expectation, Outlook, Pair, expect, look_ahead
from evergreen.loop.monitoring.telling.impact import Impact
from evergreen.loop.monitoring.telling.past import Past, shapes_before, to_judge
from evergreen.loop.monitoring.telling.seasons import Step

log = logging.getLogger("evergreen.monitoring")


@dataclass(frozen=True)
class Weighed:
    """What of a check may matter to a person."""

    expectation: Expectation | None = None
    """Of the newest labelled partition that lost more than expected and was not judged before, else of the newest"""
    outlook: Outlook | None = None
    """Of the partition that is checked"""
    steps: tuple[Step, ...] = ()
    """Drifted inputs that look like a fault of the feed, the largest step first"""
    impacts: tuple[Impact, ...] = ()
    """What each drifted input does to the predictions, the largest first; empty if the champion cannot be asked"""
    shapes: Mapping[str, shapes.Shape] | None = None
    """Of the partition: what later checks learn the seasons from"""

    @property
    def bad(self) -> Expectation | None:
        """The labelled partition that is judged, if it lost more than was to be expected."""
        return self.expectation if self.expectation is not None and self.expectation.above else None

    @property
    def costly(self) -> float:
        """By how much more the partition will probably lose than the champion did at its promotion; 0 if not so."""
        return self.outlook.rise if self.outlook is not None and self.outlook.costs else 0.0

    def ranked(self, columns: Sequence[ColumnDrift]) -> list[ColumnDrift]:
        """Drifted inputs by what they do to the predictions, then by effect; those that have not drifted last."""
        change = {one.name: one.change for one in self.impacts}
        return sorted(columns, key=lambda c: (not c.drifted, -change.get(c.name, 0.0), -c.effect))

    @property
    def results(self) -> dict[str, Any]:
        """As JSON, for the check's row."""
        return {
            "expectation": asdict(self.expectation) if self.expectation else None,
            "outlook": asdict(self.outlook) if self.outlook else None,
            "steps": [asdict(step) for step in self.steps],
            "impacts": [asdict(one) for one in self.impacts],
            "shapes": shapes.to_json(dict(self.shapes or {})),
        }


def weigh(
    definition: ModelDefinition,
    known: Evidence,
    rows: Frames,
    drift: DriftResult,
    estimate: Estimate | None,
    judged_on: Sequence[Cluster],
    past: Past,
    learned: Learned | None,
) -> Weighed:
    """Weigh what a check has found; pure but for the champion, which `rows` loads when it is first asked.

    Args:
        definition: with the features that were compared.
        known: what the ledger knows.
        rows: what was compared.
        drift: what has drifted.
        estimate: of the partition's loss.
        judged_on: clusters of what the champion was judged on.
        past: of the partitions before.
        learned: what estimates losses.
    """
    now = shapes.shapes_of(rows.current, definition)
    worth = {c.name: c.design_effect for c in drift.columns}
    before = shapes_before(past, rows.reference, definition, known.key)
    margin = definition.monitoring.harm_margin
    return Weighed(
        expectation=_expectation(known, judged_on, past, margin),
        outlook=look_ahead(estimate, _pairs(known, past), margin=margin),
        steps=seasons.steps(now, before, worth=worth, among=drift.drifted_columns),
        impacts=_impacts(definition, rows, drift, learned),
        shapes=now,
    )


def _expectation(known: Evidence, own: Sequence[Cluster], past: Past, margin: float) -> Expectation | None:
    """Of the newest bad partition that no check has judged, else of the newest partition."""

    def judge(one: Performance) -> Expectation | None:
        usual = own if one.version == known.version else past.holdouts.get(one.version, ())
        before = [clusters_of(p) for p in known.losses.values() if p.version == one.version and p.key < one.key]
        found = expect(one.key, clusters_of(one), usual, before, margin=margin)
        return replace(found, version=one.version) if found is not None else None

    found = [judge(one) for one in to_judge(known.losses, past.checks)]
    return next((one for one in found if one is not None and one.above), found[0] if found else None)


def _pairs(known: Evidence, past: Past) -> list[Pair]:
    """Partitions whose loss was estimated before it was known."""
    return [
        Pair(looked.estimated, found.loss, looked.holdout)
        for looked in past.checks
        if looked.estimated is not None
        and looked.holdout is not None
        and (found := known.losses.get(looked.key)) is not None
        and found.version == looked.version
    ]


def _impacts(
    definition: ModelDefinition, rows: Frames, drift: DriftResult, learned: Learned | None
) -> tuple[Impact, ...]:
    if rows.predict is None or not drift.drifted:
        return ()
    try:
        return impact.weigh(
            definition, rows.predict, drift.drifted_columns,
            reference=rows.compared, current=rows.current, holdout=holdout(rows.reference), learned=learned,
            rule=rows.rule() if definition.decision else None,
        )  # fmt: skip
    except (BadInputError, CollectedError, RefusedError, UnavailableError, ImportError, *CANNOT_PREDICT) as error:
        log.warning("what the drift does to the predictions is not known: %s", error)
        return ()
