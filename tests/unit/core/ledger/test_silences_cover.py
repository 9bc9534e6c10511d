"""What a silence is about."""

import datetime as dt

import pytest

from evergreen.core.definition.alerts import KINDS
from evergreen.core.ledger.silences import BY_NAME_ONLY, covers, is_active
from evergreen.core.ledger.tables import Silence

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize("kind", KINDS)
def test_what_matters_most_has_to_be_named(kind):
    assert covers(Silence(kind=None, cause=None), kind, None) == (kind not in BY_NAME_ONLY)
    assert covers(Silence(kind=kind, cause=None), kind, "any")
    assert not covers(Silence(kind=kind, cause="one"), kind, "other")
    assert not covers(Silence(kind=kind, cause="one"), kind, None)


def test_it_ends_with_its_time_when_somebody_ends_it_or_when_it_was_summed_up():
    until = NOW + dt.timedelta(hours=1)
    assert is_active(Silence(until=until), NOW)
    assert not is_active(Silence(until=until), until)
    assert not is_active(Silence(until=until, ended_at=NOW), NOW)
    assert not is_active(Silence(until=until, summed_at=NOW), NOW)
