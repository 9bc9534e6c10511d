"""What a column's move does to the predictions: its distribution is exchanged with as little movement as needed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evergreen.loop.monitoring.loss.estimated import learn
from evergreen.loop.monitoring.telling import impact
from evergreen.loop.monitoring.telling.impact import exchange
from helpers.drift_frames import SMALL, batch

numbers = st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=1, max_size=60)
categories = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=60)


def shares(column):
    return column.astype(object).where(column.notna(), None).value_counts(normalize=True, dropna=False)


@example(reference=[None, 0, 0, 0, 0, 0], current=[None] * 9)
@given(reference=numbers, current=numbers)
def test_numbers_get_the_nulls_and_the_values_of_the_reference(reference, current):
    before, now = pd.Series(reference, dtype="float64"), pd.Series(current, dtype="float64")
    found = exchange(before, now, numeric=True)
    assert len(found) == len(now)
    assert set(found.dropna()) <= set(before.dropna())
    if before.notna().any():
        # The nearest whole number of rows; of a half either.
        assert abs(found.isna().sum() - before.isna().mean() * len(now)) <= 0.5 + 1e-9
    kept = now.notna() & found.notna()
    order = np.argsort(now[kept], kind="stable")
    lower = now[kept].iloc[order].diff() > 0
    assert not (found[kept].iloc[order].diff()[lower] < 0).any(), "rows keep their order"


@given(reference=categories, current=categories)
def test_categories_get_the_shares_of_the_reference(reference, current):
    before, now = pd.Series(reference, dtype=object), pd.Series(current, dtype=object)
    found = exchange(before, now, numeric=False)
    for name, share in shares(before).items():
        assert abs((found.isna() if name is None else found == name).sum() - share * len(now)) < 1
    moved = (found.fillna("-") != now.fillna("-")).sum()
    needed = 0.5 * shares(before).sub(shares(now), fill_value=0).abs().sum() * len(now)
    assert moved <= needed + 4, "no more rows are moved than must be"


@given(values=numbers, kind=st.booleans())
def test_a_column_that_has_not_moved_is_left_as_it_is(values, kind):
    column = (
        pd.Series(values, dtype="float64") if kind else pd.Series(["x" if v else None for v in values], dtype=object)
    )
    found = exchange(column, column, numeric=kind)
    assert found.fillna(-99).tolist() == column.fillna(-99).tolist()


def predicts(frame):
    """By temperature alone."""
    return 1 / (1 + np.exp(-(frame["temperature"].to_numpy() - 60) / 10))


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    reference, current = batch(rng, 2000), batch(rng, 1000)
    p = predicts(reference)
    about = {"prediction": p, "target": (rng.random(2000) < p).astype(float), "cluster": np.arange(2000) % 14}
    return reference.assign(part="holdout", **about), current


def test_what_moves_the_predictions_comes_first_however_far_the_others_have_moved(frames):
    reference, current = frames
    moved = current.assign(temperature=current["temperature"] + 5, distance=current["distance"] * 1000, carrier="A")
    found = impact.weigh(
        SMALL, predicts, ["distance", "carrier", "temperature", "joint dependence"],
        reference=reference, current=moved, holdout=reference,
        learned=learn(SMALL, reference),
    )  # fmt: skip
    assert found[0].name == "temperature"
    assert {one.name: one.change for one in found[1:]} == {"distance": 0.0, "carrier": 0.0}
    assert found[0].shift == pytest.approx(predicts(moved).mean() - predicts(current).mean(), abs=0.03)
    assert found[0].loss is not None
    assert found[1].loss == 0.0
    assert found[0].sentence.startswith("moves a prediction by 0.")


def test_nothing_that_is_a_column_has_drifted(frames):
    reference, current = frames
    assert (
        impact.weigh(
            SMALL,
            predicts,
            ["joint dependence"],
            reference=reference,
            current=current,
            holdout=reference,
            learned=learn(SMALL, reference),
        )
        == ()
    )


def test_a_feature_named_like_a_probability_is_no_class():
    features = SMALL.features.model_copy(update={"numeric": ("probability_of_rain",), "categorical": ()})
    model = SMALL.model_copy(update={"features": features})
    rng = np.random.default_rng(1)
    p = rng.random(800)
    about = {"target": (rng.random(800) < p).astype(float), "cluster": np.arange(800) % 14, "part": "holdout"}
    reference = pd.DataFrame({"probability_of_rain": p, "prediction": p, **about})
    current = pd.DataFrame({"probability_of_rain": p**2})
    (found,) = impact.weigh(
        model, lambda rows: rows["probability_of_rain"].to_numpy(), ["probability_of_rain"],
        reference=reference, current=current, holdout=reference, learned=learn(model, reference),
    )  # fmt: skip
    assert found.most == ""
    assert found.shift < -0.1
    assert found.loss is not None
