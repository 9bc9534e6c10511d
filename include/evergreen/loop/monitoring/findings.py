"""What one check found and what was decided about it: plain values for ledger, report and mail."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from evergreen.core.definition.calendar import Unit
from evergreen.core.ledger.tables import Performance
from evergreen.core.names import PartitionKey
from evergreen.core.text import listed, percent
from evergreen.loop.intake.labels.maturity import Maturity
from evergreen.loop.monitoring.drift.detect import ColumnDrift, DriftResult
from evergreen.loop.monitoring.loss.estimated import Estimate
from evergreen.loop.monitoring.loss.harm_test import HarmResult
from evergreen.loop.monitoring.loss.realised import Unmeasured
from evergreen.loop.monitoring.policy import PolicyDecision, Signals
from evergreen.loop.monitoring.rivals.compare import Rival, Rivals
from evergreen.loop.monitoring.telling.matter import Seen, matters
from evergreen.loop.monitoring.telling.weigh import Weighed
from evergreen.loop.training.outcomes import sentence

LEADS = {"alert": "Worth a look", "retrain": "Retrain", "rollback": "Roll back", "promote": "Promote"}


@dataclass(frozen=True)
class Findings:
    """One check of one partition."""

    key: PartitionKey
    version: int
    as_of: PartitionKey
    """Newest partition whose labels the champion was trained or judged on"""
    labels_through: PartitionKey
    reference: str
    """What was compared against, in words"""
    drift: DriftResult
    label: ColumnDrift | None
    """The target's drift; None if no labels of this champion's predictions have landed"""
    label_key: PartitionKey | None
    harm: HarmResult
    estimate: Estimate | None
    """What this partition will probably lose; shown, and never acted on"""
    rivals: Rivals
    loss: Performance | None
    """The newest measurement of this champion"""
    signals: Signals
    decision: PolicyDecision
    unmeasured: tuple[Unmeasured, ...] = ()
    """Partitions with labels whose loss could not be measured"""
    held: tuple[Maturity, ...] = ()
    """Partitions whose labels are incomplete: they were left out of all that is said here"""
    weighed: Weighed = field(default_factory=Weighed)
    """What of it may matter to a person"""
    loss_title: str = "loss"
    """The definition's loss in words"""
    period: Unit = "week"
    """Length of a partition"""
    one_sided: tuple[str, ...] = ()
    """How the labelled rows of the newest one-sided partition differ from the others, in words; empty if none do"""
    classes: tuple[str, ...] = ()
    """Of a multiclass task: labels of classes that the version does not know, and classes without a label, in words"""

    @property
    def choices(self) -> dict[str, Any] | None:
        """What the choices of the newest measured partition came to; None without a `decision`."""
        return self.loss.metrics.get("decision") if self.loss else None

    @property
    def choices_sentence(self) -> str | None:
        """The same in words."""
        if self.loss is None or self.choices is None:
            return None
        return f"Choices of {self.loss.key} by version {self.loss.version}: {sentence(self.choices)}."

    @property
    def seen(self) -> Seen:
        """What decides which of it is said first."""
        return Seen(
            loss=self.loss_title,
            period=self.period,
            harm=self.harm,
            expectation=self.weighed.expectation,
            outlook=self.weighed.outlook,
            steps=self.weighed.steps,
            drifted=[c.name for c in self.ranked if c.drifted],
            decision=self.decision,
            replaced=self.signals.serving != self.signals.version,
        )

    @property
    def ranked(self) -> list[ColumnDrift]:
        """The inputs: drifted ones first, by what they do to the predictions."""
        return self.weighed.ranked(self.drift.inputs)

    @property
    def reason(self) -> str:
        """What matters most, and the decision, in sentences."""
        bad = self.signals.harmed or self.signals.drifted or self.signals.bad is not None
        lead = LEADS.get(self.decision.kind, "No action now" if bad else "Nothing to do")
        most = matters(self.seen)[0]
        first = most.sentence if most.name != "harm" else ""
        return f"{first} {lead}: {self.decision.reason}.".strip()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found: inputs, labels, loss and what it probably is now, rivals."""
        rivals = (rival.sentence for rival in self.rivals.all)
        weighed = [matter.sentence for matter in matters(self.seen)[1:] if matter.name != "harm"]
        estimated = self.estimate.sentence if self.estimate else None
        unmeasured = (f"{partition.sentence}." for partition in self.unmeasured)
        labels = (*self.classes, *self.one_sided, self.held_sentence)
        loss = (self.harm.sentence, self.choices_sentence, *labels, *unmeasured, estimated)
        found = (*weighed, self.drift.sentence, self.impact_sentence, self.label_sentence, *loss, *rivals)
        return tuple(sentence for sentence in found if sentence)

    @property
    def impact_sentence(self) -> str | None:
        """Which drifted inputs move the predictions most, in words; None if that is not known."""
        most = self.weighed.impacts[:3]
        if not most:
            return None
        return f"By what it does to the predictions: {'; '.join(f'{one.name} {one.sentence}' for one in most)}."

    @property
    def held_sentence(self) -> str | None:
        """Which labels were left out because they are incomplete."""
        if not self.held:
            return None
        told = [
            f"{m.coverage.key} (they cannot be counted now: the log says why)"
            if m.basis == "unmeasured"
            else f"{m.coverage.key} ({percent(m.coverage.share or 0.0)} of at least {percent(m.needed)})"
            for m in self.held
        ]
        return f"Labels that are incomplete are left out: {listed(told, 8)}."

    @property
    def label_sentence(self) -> str | None:
        """What became of the labels."""
        if self.label is None:
            return None
        if not self.label.drifted:
            return f"The labels of {self.label_key} have not moved."
        return f"Labels of {self.label_key}: {self.label.change}."

    @property
    def evidence(self) -> dict[str, Any]:
        """What the decision rests on, as JSON; later checks read their history from it."""
        return {
            **{name: value for name, value in asdict(self.signals).items() if name != "drifted"},
            "drifted": list(self.signals.drifted),
            "cause": self.decision.cause,
            "cause_key": self.decision.cause_key,
            "told": list(self.decision.told),
            "as_of": self.labels_through,
            "e_value": min(self.harm.e_value, 1e12),
            "e_value_needed": self.harm.needed,
            "harm_since": self.harm.since,
            "relative_rise": self.harm.relative_rise,
            "loss": self.loss.loss if self.loss else None,
            "loss_key": self.loss.key if self.loss else None,
            "rivals": _briefly(self.rivals),
            **({"labels_held": [m.coverage.key for m in self.held]} if self.held else {}),
            **({"choices": self.choices} if self.choices else {}),
        }

    @property
    def results(self) -> dict[str, Any]:
        """All that was measured, as JSON."""
        return {
            "columns": [asdict(c) for c in self.drift.columns],
            "prediction": asdict(self.drift.prediction) if self.drift.prediction else None,
            "labels": (asdict(self.label) | {"key": self.label_key}) if self.label else None,
            "performance": asdict(self.harm) | {"e_value": min(self.harm.e_value, 1e12)},
            "unmeasured": [asdict(partition) for partition in self.unmeasured],
            **({"labels_held": [asdict(partition) for partition in self.held]} if self.held else {}),
            **({"classes": list(self.classes)} if self.classes else {}),
            **({"labels_one_sided": list(self.one_sided)} if self.one_sided else {}),
            "estimate": asdict(self.estimate) if self.estimate else None,
            **self.weighed.results,
            "alpha": self.drift.alpha,
            "min_effect": self.drift.min_effect,
            "tests": self.drift.tests,
            "sentence": self.drift.sentence,
        }


def _briefly(rivals: Rivals) -> dict[str, Any]:
    found: dict[str, Any] = {"before": rivals.before, "challenger": rivals.challenger}
    told: dict[str, Any] = {name: _brief(rival) for name, rival in found.items() if rival is not None}
    return told | ({"earlier": [_brief(rival) for rival in rivals.earlier]} if rivals.earlier else {})


def _brief(rival: Rival) -> dict[str, Any]:
    return {"version": rival.version, **asdict(rival.found)}
