"""What rests on labels that were held back is found; what was recorded about when a hold began is not."""

import dataclasses
import datetime as dt

import pytest

from evergreen.core.definition import load_definition
from evergreen.operations.audit import labels
from evergreen.operations.audit.ledger_rows import Rows

HELD = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
RELEASED = HELD + dt.timedelta(days=2)


def said(minutes, released=None):
    """What is said of a training and a loss on held labels, so many minutes after the hold began."""
    at = HELD + dt.timedelta(minutes=minutes)
    rows = Rows(**{field.name: [] for field in dataclasses.fields(Rows)})
    coverage = {
        "key": "2013-01-07", "labelled": 20, "inputs": 100, "target": "late", "labels_version_id": 4, "labels_rows": "",
        "inputs_version_id": 3, "inputs_rows": "", "created_at": HELD,
    }  # fmt: skip
    hold = {"key": "2013-01-07", "cause": "incomplete", "needed": 0.9, "held_at": HELD, "released_at": released}
    rows.label_coverages.append(coverage)
    rows.label_holds.append(hold)
    rows.training_runs.append({"id": 1, "started_at": at, "dataset": {"labels": {"2013-01-07": 4}}})
    rows.performances.append({"id": 1, "key": "2013-01-07", "labels_version_id": 4, "created_at": at})
    return len(list(labels.check(load_definition("nyc_flights"), rows)))


@pytest.mark.parametrize(("minutes", "expected"), [(-1, 0), (0, 0), (4, 0), (6, 2), (2_000, 2)])
def test_while_they_are_held(minutes, expected):
    assert said(minutes) == expected


@pytest.mark.parametrize(("minutes", "expected"), [(60, 2), (2 * 24 * 60 - 6, 2), (2 * 24 * 60 - 4, 0), (3_000, 0)])
def test_until_they_are_released(minutes, expected):
    assert said(minutes, RELEASED) == expected
