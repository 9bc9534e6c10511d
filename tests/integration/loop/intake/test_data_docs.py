"""Great Expectations' page of a validation: what it says, and that nothing in the data can change what it is."""

import logging
import re
from html.parser import HTMLParser

import great_expectations.expectations as gxe
import pandas as pd
import pytest
from sqlalchemy import select

from evergreen.core.ledger.tables import Alert
from evergreen.core.store import Store, layout
from evergreen.loop.intake.validation.data_docs import Heading, keep, page
from evergreen.loop.intake.validation.suite import run_suite
from helpers.ledger_life import HOSTILE

pytestmark = pytest.mark.integration
KEY = "2024-01-01"
BREAKOUT = "</td></table><img src=x onerror=alert(1)><a href='javascript:alert(1)'>$value {{ 7*7 }} ${x}"
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "span", "dl", "dt", "dd", "nav", "h5",
    "h6", "ul", "li", "a", "label", "input", "div", "table", "thead", "tbody", "tr", "th", "td", "i", "strong",
    "br", "code", "footer",
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page: its tags, their attributes, its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = set(), [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def drawn(frame, expectations, **heading):
    said = {"title": "inputs", "outcome": "quarantined", "reason": "because", **heading}
    result = run_suite(frame, expectations, "m.inputs")
    return Page(page(result.json, Heading(**said)))


def suite(column):
    """Kinds of expectation that put values of the data into a page in different places."""
    return [
        gxe.ExpectColumnValuesToMatchRegex(column=column, regex="^<b>[a-z]{2}$"),
        gxe.ExpectColumnValuesToBeInSet(column=column, value_set=["<i>x</i>"]),
        gxe.ExpectColumnDistinctValuesToEqualSet(column=column, value_set=["<i>x</i>"]),
        gxe.ExpectColumnMostCommonValueToBeInSet(column=column, value_set=["y"]),
        gxe.ExpectColumnValuesToBeUnique(column=column),
        gxe.ExpectColumnMeanToBeBetween(column=column, max_value=1),
        gxe.ExpectColumnValueLengthsToBeBetween(column=column, max_value=1, severity="warning"),
        gxe.ExpectColumnPairValuesToBeEqual(column_A=column, column_B="other"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=[column, "other"]),
        gxe.ExpectTableColumnsToMatchSet(column_set=["<u>"]),
        gxe.ExpectTableRowCountToBeBetween(min_value=100),
    ]


@pytest.mark.parametrize("hostile", [HOSTILE, BREAKOUT, "=cmd|'/c calc'!A1", "a\u202eb\x1b[2J\x00", "x" * 5_000])
def test_hostile_values_and_names_are_text(hostile, caplog):
    column = hostile[:60]
    frame = pd.DataFrame({column: [hostile, hostile, "ok"], "other": [1, 2, 3]})
    shown = drawn(frame, suite(column), reason=hostile, title=hostile, facts=[(hostile, hostile)])
    assert shown.tags <= TAGS
    for name, value in shown.attributes:
        assert not name.startswith("on"), (name, value)
        assert name != "src"
        assert name != "href" or value.startswith("#"), value
    assert "1 unexpected" in shown.text or "unexpected values found" in shown.text
    assert "Traceback" not in shown.text + caplog.text
    if hostile.isprintable() and len(hostile) < 200:
        assert hostile in shown.text
    unescaped = [char for char in shown.text if not char.isprintable()]
    assert set(unescaped) <= ({"\u202e", "\x1b", "\x00", "\ufffd"} if not hostile.isprintable() else set())


def test_control_and_bidi_characters_of_values_are_spelled_out():
    frame = pd.DataFrame({"a": ["x\u202ey\x1b[2J"], "other": [1]})
    shown = drawn(frame, suite("a"))
    assert "x\\u202ey\\u001b[2J" in shown.text
    assert "\u202e" not in shown.text


def test_the_page_loads_nothing_and_forbids_loading():
    result = run_suite(pd.DataFrame({"a": [1]}), [gxe.ExpectColumnValuesToNotBeNull(column="a")], "m.inputs")
    html = page(result.json, Heading("inputs", "accepted", "fine"))
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img", html)
    assert "Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';" in html
    assert len(html) < 20_000


def test_what_fails_is_marked_and_what_cannot_be_computed_is_said():
    frame = pd.DataFrame({"a": ["x"], "b": [1.0]})
    shown = drawn(frame, [gxe.ExpectColumnMeanToBeBetween(column="a"), gxe.ExpectColumnValuesToNotBeNull(column="b")])
    assert "expect_column_mean_to_be_between raised an exception" in shown.text
    assert shown.attributes.count(("class", "bad")) == 2, "the verdict and the column in the contents"


def test_each_verdict_keeps_its_page_and_log_and_mail_lead_to_it(shop, caplog):
    caplog.set_level(logging.INFO, "evergreen.intake")
    shop.land(KEY, shop.orders(KEY, price=[5000.0] + [1.0] * 49))
    result = shop.ingest(KEY)
    store = Store.from_settings(shop.settings)
    kept = layout.data_docs(store.name(result.results_uri))
    shown = Page(store.read(kept).decode())
    assert f"quarantined : {result.reason}" in shown.text
    assert "Will an order be returned?: inputs of 2024-01-01" in shown.text
    assert "1 unexpected values found. 2% of 50 total rows." in shown.text
    address = f"{shop.settings.airflow_url}/evergreen/{kept}"
    assert address in caplog.text
    with shop.ledger.transaction() as session:
        mail = session.scalars(select(Alert)).one()
        assert mail.body["links"]["report"] == store.uri(kept)
    shop.allow_prices_up_to(9000)
    accepted = shop.ingest(KEY)
    assert "accepted : 50 rows" in Page(store.read(layout.data_docs(store.name(accepted.results_uri))).decode()).text


def test_a_result_that_cannot_be_drawn_is_kept_without_a_page(tmp_path, caplog):
    store = Store(tmp_path.as_uri())
    assert keep(store, "validation/m/inputs/k/a.json", '{"results": 5}', Heading("t", "accepted", "r")) is None
    assert "has no page" in caplog.text
    assert "Traceback" not in caplog.text
