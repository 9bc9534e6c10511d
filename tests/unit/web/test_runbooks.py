"""Each kind of mail has a runbook, and each runbook has what a person needs at 3 a.m."""

import pytest

from evergreen.core.ledger.outbox import KINDS
from evergreen.web import runbooks

ALL = sorted(path.stem for path in runbooks.FOLDER.glob("*.md"))
"""Kinds of mails, and what Prometheus' rules name."""

SECTIONS = [
    "What happened", "How bad is it?", "What to look at first", "What to do", "How to undo", "When to escalate"
]  # fmt: skip


@pytest.mark.parametrize("kind", ALL)
def test_each_kind_has_a_complete_runbook_of_one_page(kind):
    found = runbooks.read(kind)
    assert found is not None
    places = [found.html.find(f"<h2>{section}</h2>") for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)
    assert len((runbooks.FOLDER / f"{kind}.md").read_text().split()) < 600


@pytest.mark.parametrize("kind", ALL)
def test_links_between_runbooks_lead_to_pages(kind):
    assert ".md" not in runbooks.read(kind).html.replace("README.md", "")


@pytest.mark.parametrize("kind", ["", "..", "../../README", "nothing", "DRIFT", "drift.md"])
def test_other_names_have_none(kind):
    assert runbooks.read(kind) is None


def test_the_index_names_them_all():
    assert set(runbooks.titles()) == set(ALL) > set(KINDS)
