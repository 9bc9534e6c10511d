"""The values of text columns and fields that have a closed list of them. Columns stay text: a list may grow."""

from __future__ import annotations

from typing import Any, Literal, get_args

TableName = Literal["inputs", "labels"]
VerdictOutcome = Literal["accepted", "quarantined"]
"""Verdict on a partition version, or on a version of a reference table"""
SuiteName = Literal["inputs", "labels", "features"]
"""What a suite is on"""
TrainingCause = Literal["first", "drift", "harm", "age", "code", "operator", "adopt"]
TrainingState = Literal["assembled", "trained", "compared", "promoted", "refused", "failed"]
ComparisonOutcome = Literal["superior", "non_inferior", "inconclusive", "worse"]
GateAnswer = Literal["promote", "refuse", "ask"]
MonitorDecision = Literal["no_action", "alert", "retrain", "rollback", "promote"]
DecisionKind = Literal["promote", "refuse", "retrain", "alert", "no_action", "rollback"]
SightingKind = Literal["drop", "stray", "stuck", "unmended", "rebuild"]
"""Of housekeeping: brought in, reported, restarted, reported, asked for"""
ObjectKind = Literal[
    "raw", "accepted", "profile", "quarantined", "features", "predictions", "validation", "report", "model"
]
"""What retention collects"""
HoldCause = Literal["incomplete", "one_sided"]
"""`incomplete`: nothing is learned from the labels, nobody is judged by them. `one_sided`: said, and used"""
ChannelType = Literal["apprise", "webhook"]
LakeFormat = Literal["delta", "iceberg"]

TABLES: tuple[TableName, ...] = get_args(TableName)
IN_COLUMNS: tuple[Any, ...] = (
    TableName, VerdictOutcome, TrainingCause, TrainingState, ComparisonOutcome, DecisionKind, SightingKind, ObjectKind,
    HoldCause, ChannelType,
)  # fmt: skip
"""Those of columns of the ledger"""
