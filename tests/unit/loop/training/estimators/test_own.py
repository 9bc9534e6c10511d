"""A team's candidates.py: what it can say, and what it is told if it says something else."""

import numpy as np
import pytest

from evergreen.candidates import Choice, Float, Integer, candidate
from evergreen.errors import DefinitionError, RefusedError
from evergreen.loop.training.estimators.own import load_own, source_hash
from evergreen.loop.training.learn import learn, refit
from evergreen.loop.training.model_files import Predictor, content_hash, freeze
from helpers.own_candidates import HEAD, LIGHTGBM, returning, with_file
from helpers.synthetic_examples import definition, examples


def test_an_own_lightgbm_is_tuned_in_its_own_space_and_made_again_bit_for_bit(tmp_path):
    rule = with_file(tmp_path, LIGHTGBM, trials=4)
    learned = learn(rule, examples())
    assert learned.trials[0].params == {"leaves": 8, "rate": 0.1, "balance": None}
    assert {type(trial.params["leaves"]) for trial in learned.trials} == {int}
    assert len({trial.params["rate"] for trial in learned.trials}) == 4
    again = refit(rule, "own", dict(learned.best.params), examples())
    assert content_hash(freeze(again)) == content_hash(freeze(learned.model))
    predictor = Predictor(learned.model, 1)
    assert (predictor.numeric, predictor.categorical) == (("price", "age"), ("country",))
    new = examples(seed=9).features.head(40)
    dearer = predictor.predict(new.assign(price=new["price"] + 5))
    assert (dearer >= predictor.predict(new)).all(), "its monotone constraint holds"
    shuffled = new[["country", "age", "price"]]
    assert predictor.predict(shuffled).tobytes() == predictor.predict(new).tobytes()


def test_weights_reach_the_last_step_of_a_pipeline(tmp_path):
    text = f"""{HEAD}
def newest(rows: Rows):
    assert rows.event_time.is_monotonic_increasing and len(rows.key) == len(rows.target)
    return np.where(rows.features["country"] == "SE", 0.0, 1.0)

@candidate("own", weights=newest)
def own(given: Given):
    from sklearn.tree import DecisionTreeClassifier
    return make_pipeline(codes(given), DecisionTreeClassifier(max_depth=3, random_state=given.seed))
"""
    rule, rows = with_file(tmp_path, text), examples()
    found = Predictor(learn(rule, rows).model, 1).predict(rows.features)
    others = rows.take(np.flatnonzero(rows.features["country"] != "SE"))
    assert abs(found.mean() - others.target.mean()) < abs(found.mean() - rows.target.mean())
    with_file(tmp_path, text.replace("0.0, 1.0)", "-1.0, 1.0)"))
    with pytest.raises(RefusedError, match=r"candidate own: weights\(\) must return a finite number not below 0"):
        learn(rule, rows)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_an_estimator_is_given_the_frame_as_it_is_promised(tmp_path, task):
    text = f"""{HEAD}
@candidate("own")
def own(given):
    assert given.task == {task!r} and given.columns == ("price", "age", "country")
    assert list(given.rows) == list(given.columns) and str(given.rows["price"].dtype) == "float64"
    assert given.rows["country"].dtype == object
    from sklearn.linear_model import LogisticRegression, Ridge
    return make_pipeline(ranks(given), LogisticRegression() if given.task == "binary" else Ridge())
"""
    rule = with_file(tmp_path, text, task=task)
    assert len(learn(rule, examples(task)).trials) == 1, "without a space there is nothing to try twice"


def test_the_hash_is_of_the_file_and_only_where_it_is_used(tmp_path):
    rule = with_file(tmp_path, LIGHTGBM)
    first = source_hash(rule)
    (tmp_path / "candidates.py").write_text(LIGHTGBM + "\n# another\n")
    assert first != source_hash(rule)
    assert source_hash(definition()) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD, "no function defines the candidate 'own'.*it defines none"),
        (LIGHTGBM.replace('"own"', '"other"'), "it defines other"),
        (LIGHTGBM + LIGHTGBM.replace("def own", "def twin"), "two functions define the candidate 'own'"),
        ("def broken(:\n", "candidates.py:1: cannot be imported: SyntaxError"),
        (HEAD + "import nowhere_at_all\n", "candidates.py:5: cannot be imported: ModuleNotFoundError"),
        (HEAD + "@candidate('xgboost')\ndef f(given): ...\n", "candidate 'xgboost': a name has"),
        (HEAD + "@candidate('own', space={'a': 3})\ndef f(given, a): ...\n", r"space\['a'\] is 3; use Integer"),
        (HEAD + "@candidate('own', space={'a': Integer(1, 3)})\ndef f(given, b): ...\n", "which it does not take"),
        (HEAD + "@candidate('own', space={'a': Integer(5, 3)})\ndef f(given, a): ...\n", r"Integer\(5, 3\): the first"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path, text, words):
    rule = with_file(tmp_path, text)
    with pytest.raises(DefinitionError, match=words):
        load_own(rule, "own")


def test_a_file_that_is_missing_is_named(tmp_path):
    rule = definition(candidates=("own",)).model_copy(update={"folder": tmp_path})
    with pytest.raises(DefinitionError, match=r"candidates\.py is missing; it defines own"):
        learn(rule, examples())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (returning("1 / 0"), r"candidate own: .*candidates\.py:\d+: with no hyperparameters its function raised Zero"),
        (returning("None"), "returned NoneType, which has no fit"),
        (returning("__import__('catboost_nowhere')"), "catboost_nowhere is not installed; install it where"),
        (
            HEAD + "from sklearn.linear_model import LogisticRegression\n"
            "@candidate('own')\ndef own(given):\n    return LogisticRegression()\n",
            r"candidate own: .*fit\(\) on .* rows with no hyperparameters raised ValueError: could not convert string",
        ),
    ],
)  # fmt: skip
def test_a_function_that_fails_is_named_with_its_line(tmp_path, text, words):
    with pytest.raises(RefusedError, match=words):
        learn(with_file(tmp_path, text), examples())


@pytest.mark.parametrize(
    ("start", "words"),
    [({"a": 9}, "start has a 9, which lies outside"), ({"b": 1}, r"start names \['b'\]"), ({}, r"start names \[\]")],
)
def test_a_start_outside_its_space_is_refused(start, words):
    with pytest.raises(ValueError, match=words):
        candidate("own", space={"a": Integer(1, 3)}, start=start)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Integer(1.5, 3),
        lambda: Float(0, 1, log=True),
        lambda: Float(0, float("inf")),
        Choice,
        lambda: Choice([]),
    ],
)
def test_a_space_that_is_none_is_refused(make):
    with pytest.raises(ValueError, match=r"."):
        make()
