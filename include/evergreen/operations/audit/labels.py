"""Ledger and store: coverage of labels is what the files say, and nothing rests on labels that were held back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from evergreen.core.definition import ModelDefinition
from evergreen.operations.audit import files
from evergreen.operations.audit.disagreement import Disagreement, Row
from evergreen.operations.audit.ledger_rows import Rows

AREA = "labels"
BY_HAND = "Find out who changed the table label_coverage by hand."
AT_ONCE = dt.timedelta(minutes=5)
"""Who reads which labels count, and who records that they are held or released, commit apart by less than this"""
REPORT = "Report it: labels that are incomplete train nothing, measure nothing and judge nobody."


def check(definition: ModelDefinition, rows: Rows) -> Iterator[Disagreement]:
    """Compare coverage with the accepted rows, and trainings and losses with what was held back when they were made."""
    for coverage in rows.label_coverages:
        yield from _is_counted(definition, coverage, rows)
    holds = [hold for hold in rows.label_holds if hold["cause"] == "incomplete"]
    held = [(hold, coverage) for hold in holds for coverage in rows.label_coverages if _falls_short(coverage, hold)]
    for run in rows.training_runs:
        yield from _trained_on_complete(run, held)
    for loss in rows.performances:
        for hold, coverage in held:
            if coverage["labels_version_id"] == loss["labels_version_id"] and _within(loss["created_at"], hold):
                what = f"loss {loss['id']} was measured on its labels while they were held back as incomplete"
                yield Disagreement(AREA, loss["key"], what, REPORT, loss["created_at"])


def _is_counted(definition: ModelDefinition, coverage: Row, rows: Rows) -> Iterator[Disagreement]:
    """The numbers of a row are those of the accepted rows, counted here in another way."""
    entity, target = definition.feed.entity, coverage["target"]
    inputs = _accepted(rows, coverage["inputs_version_id"], coverage["inputs_rows"], [entity])
    labels = _accepted(rows, coverage["labels_version_id"], coverage["labels_rows"], [entity, target])
    if coverage["labelled"] is None or inputs is None or labels is None:
        return
    known = {one for one, value in zip(labels[entity], labels[target], strict=True) if value is not None}
    counted = (len(inputs[entity]), sum(one in known for one in inputs[entity]))
    recorded = (coverage["inputs"], coverage["labelled"])
    if counted != recorded:
        what = (
            f"the ledger says that {recorded[1]} of {recorded[0]} accepted inputs have a label; by the accepted rows "
            f"it is {counted[1]} of {counted[0]}"
        )
        yield Disagreement(AREA, coverage["key"], what, BY_HAND, coverage["created_at"])


def _accepted(rows: Rows, version: int, kept: str, columns: list[str]) -> dict[str, list[object]] | None:
    """Columns of the rows that were accepted of a version; None if they are collected, or the file is not as it was."""
    found = [
        verdict["clean_uri"]
        for verdict in rows.verdicts
        if verdict["partition_version_id"] == version
        and verdict["outcome"] == "accepted"
        and kept == (verdict["suite_hash"] if verdict["rows_rejected"] else "")
    ]
    data = files.read(found[-1]) if found and found[-1] is not None and found[-1] not in rows.collected else None
    table = files.table(data) if data is not None else None
    if table is None or not set(columns) <= set(table.column_names):
        return None
    return {name: table[name].to_pylist() for name in columns}


def _falls_short(coverage: Row, hold: Row) -> bool:
    """Whether labels of the partition are such as were held back: the first ones, or others that were no more."""
    labelled = coverage["labelled"]
    return bool(
        coverage["key"] == hold["key"] and labelled is not None and labelled < hold["needed"] * coverage["inputs"]
    )


def _trained_on_complete(run: Row, held: list[tuple[Row, Row]]) -> Iterator[Disagreement]:
    """No partition of a dataset fell short of what was needed, nor was it held back when the dataset was fixed."""
    about, since = f"training run {run['id']}", run["started_at"]
    for key, found in run["dataset"].get("label_coverage", {}).items():
        labelled = found["labelled"]
        if labelled is not None and found["inputs"] and labelled / found["inputs"] < found["needed"]:
            what = (
                f"it uses {key}, where {labelled} of {found['inputs']} inputs had a label, below {found['needed']:.3f}"
            )
            yield Disagreement(AREA, about, what, REPORT, since)
    for hold, coverage in held:
        used = run["dataset"].get("labels", {}).get(hold["key"])
        if used == coverage["labels_version_id"] and _within(run["started_at"], hold):
            what = f"it uses the labels of {hold['key']}, which were held back as incomplete at that time"
            yield Disagreement(AREA, about, what, REPORT, since)


def _within(moment: dt.datetime, hold: Row) -> bool:
    """Whether something was recorded while labels were held, and not about when that began or ended."""
    until = hold["released_at"]
    return bool(hold["held_at"] + AT_ONCE < moment and (until is None or moment < until - AT_ONCE))
