"""The mail as a person reads it."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.core.ledger.outbox import AlertBody, Chart, Links
from evergreen.loop.alerts.chart import MAX_BARS, describe, draw
from evergreen.loop.alerts.render import MAX_ROWS, render

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}$\\frac{a$"
PNG = b"\x89PNG\r\n\x1a\n"


class Tags(HTMLParser):
    """The tags of a document, with their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def body(**changes):
    values = {
        "headline": "Input drift in the week of 2013-04-15: 3 of 15 features moved.",
        "summary": "Temperature rose by 1.4 standard deviations. A retrain has started.",
        "facts": [["Champion", "version 3"]],
        "table": {"columns": ["Feature", "p"], "rows": [["temperature", 1e-12]]},
        "chart": {"title": "Effect", "x": ["temperature"], "series": [{"name": "effect", "values": [1.41]}]},
        "next_steps": ["Open the report."],
        "links": {"log": "http://airflow/log", "report": "http://airflow/report", "runbook": "http://airflow/runbook"},
    }
    return AlertBody.model_validate({**values, **changes})


def rendered(kind="drift", **changes):
    return render(
        kind=kind, model="nyc_flights", key="2013-04-15", subject="subject", body=body(**changes), alert_id="an-id"
    )


def test_html_and_text_say_the_same():
    mail = rendered()
    flat = " ".join(mail.text.split())
    for said in (
        "Input drift in the week of 2013-04-15: 3 of 15 features moved.", "A retrain has started.", "version 3",
        "1e-12", "Open the report.", "http://airflow/log", "http://airflow/report", "http://airflow/runbook", "an-id",
    ):  # fmt: skip
        assert said in mail.html
        assert said in flat
    assert mail.chart.startswith(PNG)
    assert "temperature 1.41" in flat


def test_hostile_names_stay_text():
    mail = rendered(
        headline=HOSTILE,
        facts=[[HOSTILE, HOSTILE]],
        table={"columns": [HOSTILE], "rows": [[HOSTILE]]},
        chart={"title": HOSTILE, "x": [HOSTILE], "series": [{"name": HOSTILE, "values": [1]}], "y_label": HOSTILE},
        next_steps=[HOSTILE],
    )
    tags = Tags(mail.html).found
    assert {tag for tag, _ in tags}.isdisjoint({"script", "iframe", "object", "form"})
    assert [attrs["src"] for tag, attrs in tags if tag == "img"] == ["cid:chart"]
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    assert "49" not in mail.html.replace("#", "")
    assert HOSTILE in mail.text


@pytest.mark.slow
@given(st.text(max_size=200))
@settings(max_examples=50, deadline=None)
def test_no_text_opens_a_tag(text):
    plain = {tag for tag, _ in Tags(rendered(chart=None).html).found}
    mail = rendered(headline=text, facts=[[text, text]], chart=None)
    assert {tag for tag, _ in Tags(mail.html).found} == plain


def test_the_mail_suits_phones_and_dark_mode():
    html = rendered().html
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html
    assert 'content="light dark"' in html
    assert re.search(r"https?://(?!airflow/)", html) is None, "nothing is loaded from elsewhere"


def test_the_text_mail_loses_nothing_of_a_wide_cell():
    moved = "rose: median 37.4 → 60.08, middle half 30.92 to 42.98 → 51.1 to 68"
    text = rendered(table={"columns": ["Column", "What moved", "p"], "rows": [["wind", moved, "0.01"]]}).text
    lines = [line for line in text.splitlines() if "→" in line or "51.1" in line]
    assert len(lines) > 1
    assert " ".join(" ".join(lines).replace("wind", "").replace("0.01", "").split()) == moved


@pytest.mark.parametrize(
    ("kind", "said"), [("approval", "Form: promote or refuse"), ("quarantine", "Form: validate it again")]
)
def test_a_form_is_the_first_link_and_says_what_is_done_there(kind, said):
    mail = rendered(kind, links=Links(form="http://a/form", log="http://a/log"))
    assert mail.html.index("http://a/form") < mail.html.index("http://a/log")
    assert said in mail.text


def test_a_long_table_is_cut_and_says_so():
    mail = rendered(table={"columns": ["n"], "rows": [[f"row {n}"] for n in range(100)]})
    for part in (mail.html, mail.text):
        assert f"row {MAX_ROWS - 1}" in part
        assert f"row {MAX_ROWS}" not in part
        assert "60 more" in part


def test_a_short_body_leaves_no_empty_parts():
    mail = rendered(facts=[], table=None, chart=None, next_steps=[], links=Links())
    assert mail.chart is None
    assert "<img" not in mail.html
    assert "Next steps" not in mail.html
    assert "NEXT STEPS" not in mail.text


def test_rows_of_uneven_length_are_shown():
    mail = rendered(table={"columns": ["a", "b"], "rows": [["1"], ["2", "3", "4"]]})
    assert "4" in mail.text


def test_the_same_alert_gives_the_same_mail():
    assert rendered() == rendered()


@pytest.mark.parametrize("kind", ["bars", "line"])
@pytest.mark.parametrize(
    ("x", "values"),
    [([], []), (["a"], [None]), (["a", "b"], [1.0]), (["a"], [1.0, 2.0]), (["$", "\\", "日"], [-1e300, 0, 1e300])],
)
def test_odd_charts_are_drawn(kind, x, values):
    chart = Chart(title="t", kind=kind, x=x, series=[{"name": "s", "values": values}], marks=[{"x": "z", "label": "l"}])
    assert draw(chart).startswith(PNG)
    assert describe(chart)


def test_many_bars_do_not_grow_the_chart_without_end():
    chart = Chart(title="t", x=[f"c{n}" for n in range(5000)], series=[{"name": "s", "values": list(range(5000))}])
    assert len(draw(chart)) < 300_000
    assert describe(chart).count("c") < 2 * MAX_BARS + 10


def test_an_svg_chart_keeps_hostile_names_as_text():
    chart = Chart(title=HOSTILE, kind="line", x=[HOSTILE], series=[{"name": HOSTILE, "values": [1]}])
    svg = draw(chart, "svg").decode()
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
