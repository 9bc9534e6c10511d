"""When predictions of one snapshot give way to predictions of another."""

import pytest

from evergreen.core.ledger.queries.snapshots import outdated
from evergreen.core.ledger.tables import Snapshot


def snapshot(id_, code="old", **changes):
    about = {
        "id": id_, "code_hash": code, "inputs_version_id": 1, "rows": 10, "labels_used": {"a": 1},
        "inputs_looked_back": {"a": 2}, "labels_missing": [],
    }  # fmt: skip
    return Snapshot(**{**about, **changes})


def test_by_the_same_code_each_build_is_predicted():
    assert outdated(snapshot(1), snapshot(2))
    assert not outdated(snapshot(1), snapshot(1))


def test_that_the_code_has_changed_is_no_reason():
    assert not outdated(snapshot(1), snapshot(2, "new"))
    assert not outdated(snapshot(1), snapshot(2, "new", labels_used={"a": 1, "b": 5}, inputs_looked_back={}))


@pytest.mark.parametrize(
    "changes",
    [{"inputs_version_id": 3}, {"rows": 11}, {"labels_used": {"a": 4}}, {"inputs_looked_back": {"a": 4}}],
)
def test_other_rows_are_if_they_were_built_later(changes):
    assert outdated(snapshot(1), snapshot(2, "new", **changes))
    assert not outdated(snapshot(2), snapshot(1, "new", **changes)), "what was built before is no news"


def test_labels_that_were_missing_are():
    assert outdated(snapshot(1, labels_missing=["b"]), snapshot(2, "new", labels_used={"a": 1, "b": 5}))
