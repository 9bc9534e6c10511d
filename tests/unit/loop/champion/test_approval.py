"""What a person is shown who decides on a challenger."""

import re

from markdown_it import MarkdownIt

from evergreen.core.definition import load_definition
from evergreen.core.ledger.tables import Comparison, TrainingRun
from evergreen.loop.champion.approval import form

FLIGHTS = load_definition("nyc_flights")
HOSTILE = "<img src=x onerror=alert(1)> [click](http://evil) | **all good**\n# Promote"


def shown(champion_version=2, **result):
    run = TrainingRun(cause="drift", reason=f"{HOSTILE} moved", candidate="boosted", dataset={"train_keys": ["a", "b"]})
    comparison = Comparison(
        challenger_version=3, champion_version=champion_version, keys=["2013-03-11"],
        result={"reason": "challenger 3 is better", "challenger_loss": 0.15, "champion_loss": 0.1634} | result,
        guards=[
            {"name": "slices", "state": "passed", "sentence": f"largest change on carrier = {HOSTILE}"},
            {"name": "fairness", "state": "not_applicable", "sentence": "the definition names no groups"},
        ],
    )  # fmt: skip
    return form(FLIGHTS, run, comparison)


def test_the_form_holds_the_evidence():
    text = shown()
    assert text.startswith("challenger 3 is better.")
    assert "**Compared with:** version 2" in text
    assert "**Brier score:** 0.15, before 0.1634" in text
    assert "- **fairness** not applicable: the definition names no groups" in text
    assert text.endswith("No answer within 24 hours refuses; the champion serves meanwhile.")
    assert "loosened" not in text
    assert r"**Gate loosened by model.yaml:** alpha 0.2 \(default 0.01\)" in shown(
        loosened=["alpha 0.2 (default 0.01)"]
    )


def test_before_the_first_champion_nothing_is_said_to_serve():
    assert shown(champion_version=None).endswith("No answer within 24 hours refuses; nothing is predicted meanwhile.")


def test_addresses_in_values_are_no_links():
    text = shown(reason="see https://evil.example/x, HTTP://evil.example, WWW.evil.example or mail ann@evil.example")
    assert "<a " not in MarkdownIt("gfm-like").render(text)
    # The two expressions by which remark-gfm, which Airflow shows forms with, finds plain addresses
    assert not re.search(r"(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)", text.replace("\\", ""), re.IGNORECASE)
    assert not re.search(r"([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)", text)


def test_hostile_values_stay_text():
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(shown())
    for live in ("<img", "<a ", "<h1", "<table", "<strong>all good"):
        assert live not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt; [click](http\u2060://evil) | **all good** # Promote") == 2
