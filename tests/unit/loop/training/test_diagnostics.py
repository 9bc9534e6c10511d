"""Names of metrics."""

from hypothesis import given
from hypothesis import strategies as st

from evergreen.loop.training.diagnostics import metric_names


def test_a_class_whose_short_name_is_taken_gets_the_next_that_is_free():
    assert metric_names(["a/b", "a_b_2", "a?b"]) == ["a_b", "a_b_2", "a_b_3"]
    assert metric_names(["a/b", "a?b"]) == ["a_b", "a_b_1"], "as before"


@given(st.lists(st.text("a/?_12", min_size=1, max_size=5), unique=True, max_size=12))
def test_all_names_differ(classes):
    assert len(set(metric_names(classes))) == len(classes)
