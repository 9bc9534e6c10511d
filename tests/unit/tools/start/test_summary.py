"""What a model's first steps came to."""

import datetime as dt
from types import SimpleNamespace

from evergreen.tools.start.summary import decided_as, retrains, told

NOW = dt.datetime(2013, 5, 1, tzinfo=dt.UTC)


def run(cause, verdict=None):
    comparison = SimpleNamespace(verdict=verdict) if verdict else None
    return SimpleNamespace(
        cause=cause, as_of="2013-03-04", reason=f"because of {cause}", state="refused", version=2, comparison=comparison
    )


def test_what_made_the_first_champion_is_no_retrain():
    found = retrains([run("first"), run("adopt"), run("age", "inconclusive"), run("code")])
    assert [(one["cause"], one["comparison"]) for one in found] == [("age", "inconclusive"), ("code", None)]


def test_decisions_of_one_kind_and_mails_from_the_oldest_on():
    kinds = [
        SimpleNamespace(kind=kind, version=1, key=None, reason="r", decided_by="policy")
        for kind in ("refuse", "promote")
    ]
    assert [one["by"] for one in decided_as(kinds, "promote")] == ["policy"]
    mails = [
        SimpleNamespace(kind="age", key=None, subject=name, sent_at=sent)
        for name, sent in (("new", None), ("old", NOW))
    ]
    assert [(one["subject"], one["sent"]) for one in told(mails)] == [("old", True), ("new", False)]
