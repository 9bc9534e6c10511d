"""The report: one file, small, what was decided and how it was tested, and nothing of a hostile file's making."""

import numpy as np
import pytest

from evergreen.core.text import listed, p_value, percent, quoted_name
from evergreen.loop.monitoring.drift import detect, wording
from evergreen.loop.monitoring.telling.impact import Impact
from evergreen.loop.monitoring.telling.weigh import Weighed
from helpers.drift_frames import SMALL, batch

pytestmark = pytest.mark.xdist_group("evidently")  # one worker imports Evidently, not each

HOSTILE = "</script><script>alert(1)</script>"
PLACES = "{title} {font} {library} {data}"


@pytest.fixture(scope="module")
def page():
    from evergreen.loop.monitoring.report import page

    rng = np.random.default_rng(0)
    reference, current = batch(rng, 2000), batch(rng, 1000)
    reference = reference.assign(prediction=rng.random(2000), part="holdout")
    current = current.assign(prediction=rng.random(1000))
    current.loc[:99, "carrier"] = HOSTILE
    found = detect.check(reference, current, SMALL)
    weighed = Weighed(impacts=(Impact("carrier", 0.0123, -0.01, 0.002),))
    heading = page.Heading(
        "Check of 2013-04-15", "a bad week", f"Retrain: {HOSTILE} {PLACES}", (found.sentence,), (("Champion", "v3"),)
    )
    return page.render(heading, found, weighed, reference, current).decode()


def test_it_says_what_was_decided_found_and_assumed(page):
    assert "<h1>Check of 2013-04-15</h1>" in page
    assert "<p class=headline>A bad week</p>" in page
    assert "0.0123 (-0.01 in the mean)" in page
    assert "1 of 5 inputs has drifted: carrier" in page
    for method in (
        "Kolmogorov-Smirnov",
        "evergreen_categories",
        "evergreen_missing",
        "Holm",
        "adjusted p of at most 0.05",
    ):
        assert method in page
    for name in (*SMALL.features.columns, "prediction"):
        assert f"{name}: " in page


def test_it_is_one_small_file_that_asks_no_server(page):
    assert len(page) < 2_000_000
    assert "src=" not in page.split('id="library"')[0].replace("src:url(data:", "")
    assert "http" not in page.split('id="library"')[0]


def test_a_value_named_like_a_part_of_the_page_stays_text(page):
    assert PLACES in page


def test_hostile_text_stays_text(page):
    assert "alert(1)" in page
    assert HOSTILE not in page


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (listed(list("abcdefg")), "a, b, c, d and 3 more"),
        (quoted_name("x\nPromoted\u202e by \x9badmin"), r"'x\u000aPromoted\u202e by \u009badmin'"),
        (percent(0.0514), "5.1 %"),
        (p_value(0.00001), "p < 0.0001"),
        (wording.size(0.6), "medium"),
        (wording.change_of_numbers(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])), "changed shape: median still 2"),
    ],
)
def test_words(said, expected):
    assert said.startswith(expected)
