"""What should have been built from a later version of a reference: only what can be built is asked for."""

import dataclasses
import datetime as dt

import pytest

from evergreen.core.definition import load_definition
from evergreen.operations.audit import references
from evergreen.operations.audit.ledger_rows import Rows

KEY, BEFORE = "2013-01-14", "2013-01-07"
AT = dt.datetime(2013, 1, 20, tzinfo=dt.UTC)


def version(number, stamp):
    known_from = dt.datetime.fromisoformat(f"{stamp}T00:00:00+00:00")
    return {
        "id": number, "name": "fares", "stamp": stamp, "revision": 1, "known_from": known_from, "outcome": "accepted",
        "received_at": AT,
    }  # fmt: skip


def world():
    """A partition that was built from the first of two versions, both of which were known when it began."""
    rows = Rows(**{field.name: [] for field in dataclasses.fields(Rows)})
    rows.reference_versions.extend([version(1, "2012-12-31"), version(2, "2013-01-08")])
    for number, (key, table) in enumerate([(KEY, "inputs"), (BEFORE, "inputs"), (BEFORE, "labels")], 1):
        rows.partition_versions.append({"id": number, "table": table, "key": key, "version": 1, "content_hash": "a"})
        rows.verdicts.append(
            {"partition_version_id": number, "outcome": "accepted", "clean_uri": f"{table}/{key}", "decided_at": AT}
        )
    rows.snapshots.append({
        "key": KEY, "version": 1, "code_hash": "c", "references_used": {"fares": 1}, "created_at": AT,
        "recent_inputs": {BEFORE: 2}, "recent_missing": [], "labels_used": {BEFORE: 3}, "labels_missing": [],
        "inputs_looked_back": {BEFORE: 2},
    })  # fmt: skip
    return rows


def said(rows, monkeypatch):
    monkeypatch.setattr(references, "_kept", lambda definition, version: iter(()))  # no objects lie behind these rows
    return [found.what for found in references.check(load_definition("nyc_flights"), rows, [])]


def test_what_can_be_built_should_be(monkeypatch):
    assert said(world(), monkeypatch) == [
        "it should have been built from reference fares of 2013-01-08, the newest that was known when it began"
    ]


@pytest.mark.parametrize("gone", [f"inputs/{KEY}", f"inputs/{BEFORE}", f"labels/{BEFORE}"])
def test_what_retention_has_removed_cannot_be_built(gone, monkeypatch):
    rows = world()
    rows.collections.append({"name": gone, "done_at": AT})
    assert said(rows, monkeypatch) == []


def test_labels_that_it_does_not_read_hinder_no_build(monkeypatch):
    rows = world()
    rows.partition_versions.append({"id": 9, "table": "labels", "key": KEY, "version": 1, "content_hash": "a"})
    rows.verdicts.append(
        {"partition_version_id": 9, "outcome": "accepted", "clean_uri": f"labels/{KEY}", "decided_at": AT}
    )
    rows.collections.append({"name": f"labels/{KEY}", "done_at": AT})
    assert len(said(rows, monkeypatch)) == 1


@pytest.mark.parametrize(("kind", "expected"), [("quarantine", 0), ("drift", 1)])
def test_what_the_features_suite_refused_is_not_asked_for_again(kind, expected, monkeypatch):
    rows = world()
    rows.alerts.append({"dedup_key": f"nyc_flights:features:{KEY}:1", "key": KEY, "kind": kind})
    assert len(said(rows, monkeypatch)) == expected


def test_a_version_that_was_not_known_is_said_even_so(monkeypatch):
    """That it reads the future stays a fault, whether or not it can be built again."""
    rows = world()
    rows.snapshots[0]["references_used"] = {"fares": 2}
    rows.reference_versions[1]["known_from"] = dt.datetime(2013, 1, 15, tzinfo=dt.UTC)
    rows.collections.append({"name": f"inputs/{KEY}", "done_at": AT})
    (what,) = said(rows, monkeypatch)
    assert "which was not known and accepted when 2013-01-14 began" in what
