"""The ledger's tables.

Unique constraints make things happen once; `Ledger.lock` (an advisory lock) makes read-then-write safe. Rows of
history (verdicts, decisions, deployments, ...) are inserted and never changed. Instants are UTC with time zone.
"""

from evergreen.core.ledger.tables.base import Base
from evergreen.core.ledger.tables.code import FeatureCode
from evergreen.core.ledger.tables.labels import LabelBias, LabelCoverage, LabelHold
from evergreen.core.ledger.tables.loop import (
    Alert,
    Comparison,
    Decision,
    Deployment,
    DriftCheck,
    PartitionVersion,
    Performance,
    Prediction,
    ShadowLoss,
    Snapshot,
    TrainingRun,
    Verdict,
)
from evergreen.core.ledger.tables.messages import Delivery, Incident, Occurrence, Silence
from evergreen.core.ledger.tables.online import OnlinePerformance, OnlinePrediction, OnlineRequest
from evergreen.core.ledger.tables.references import ReferenceVersion
from evergreen.core.ledger.tables.sinks import SinkDelivery
from evergreen.core.ledger.tables.upkeep import Collection, LateFeed, Sighting

__all__ = [
    "Alert",
    "Base",
    "Collection",
    "Comparison",
    "Decision",
    "Delivery",
    "Deployment",
    "DriftCheck",
    "FeatureCode",
    "Incident",
    "LabelBias",
    "LabelCoverage",
    "LabelHold",
    "LateFeed",
    "Occurrence",
    "OnlinePerformance",
    "OnlinePrediction",
    "OnlineRequest",
    "PartitionVersion",
    "Performance",
    "Prediction",
    "ReferenceVersion",
    "ShadowLoss",
    "Sighting",
    "Silence",
    "SinkDelivery",
    "Snapshot",
    "TrainingRun",
    "Verdict",
]
