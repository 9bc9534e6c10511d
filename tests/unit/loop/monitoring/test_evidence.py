"""What earlier decisions say to the policy."""

from types import SimpleNamespace

import pytest

from evergreen.loop.monitoring.evidence import past_checks
from helpers.drift_frames import SMALL


@pytest.mark.parametrize(("recorded", "told"), [({}, None), ({"told": []}, ()), ({"told": ["loss"]}, ("loss",))])
def test_what_was_not_recorded_is_not_read_as_nothing_told(recorded, told):
    first = "2013-06-03"
    seen = {"version": 1, "cause": None, "drifted": [], "harmed": True, **recorded}
    row = SimpleNamespace(key=first, kind="alert", evidence=seen)
    known = SimpleNamespace(key=SMALL.partitions.shift(first, 1), history=(row,))
    (check,) = past_checks(SMALL, known)
    assert (check.ago, check.told) == (1, told)
    assert check.tells("harm") is (told is None)
