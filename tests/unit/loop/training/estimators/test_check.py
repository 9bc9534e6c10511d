"""What an estimator must not do is found by name before anything is tuned."""

import pytest

from evergreen.errors import RefusedError
from evergreen.loop.training.learn import learn
from helpers.own_candidates import returning, with_file
from helpers.synthetic_examples import definition, examples

WRAPPED = """
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.tree import DecisionTreeClassifier


class Odd(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        {fit}
        self.classes_ = np.array([0, 1])
        self.columns_ = [c for c in X.columns if c != "country"]
        self.tree_ = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X[self.columns_], y)
        return self

    def predict_proba(self, X):
        {predict}
        return self.tree_.predict_proba(X[self.columns_])
"""


def odd(fit="pass", predict="pass"):
    return returning("Odd()", above=WRAPPED.format(fit=fit, predict=predict))


def refusal(tmp_path, text, task="binary", **training):
    with pytest.raises(RefusedError) as error:
        learn(with_file(tmp_path, text, task=task, **training), examples(task))
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (odd(fit="X['sum'] = 1.0"), "changes its input: after fit() the columns are price, age, country, sum"),
        (
            odd(fit="X.drop(columns='age', inplace=True)"),
            "after fit() the columns are price, country, before",
        ),
        (odd(fit="X['age'] = X['age'].fillna(0)"), "changes its input: fit() wrote into age; work on X.copy()"),
        (odd(fit="y[:5] = 1 - y[:5]"), None),
        (odd(predict="X['age'] = X['age'].fillna(0)"), "changes its input: predict_proba() wrote into age"),
        (odd(predict="return np.full((len(X), 2), np.nan)"), "predicts no finite number for 200 of 200 rows"),
        (odd(predict="return np.full((len(X), 2), 1.5)"), "predicts from 1.5 to 1.5, which are no probabilities"),
        (odd(predict="return np.full((len(X), 3), 0.3)"), "gives an array of shape (200, 3); it must be (rows, 2)"),
        (odd(predict="return np.full((3, 2), 0.3)"), "predicts (3,) numbers for 200 rows"),
        (
            odd(predict="return np.random.default_rng().random((len(X), 2))"),
            "is not deterministic: two fits on",
        ),
        (odd().replace("np.array([0, 1])", "np.array([1, 0])"), "has the classes 1, 0; they must be 0 and 1"),
    ],
)
def test_each_fault_has_its_sentence(tmp_path, text, words):
    said = refusal(tmp_path, text)
    assert said.startswith("candidate own")
    # What is harmless up to there is stopped by the last rule: a class of the file itself is never saved.
    assert (words or "Odd is defined in candidates.py itself") in said
    assert "\n" not in said


def test_a_draw_without_a_seed_is_not_deterministic(tmp_path):
    text = returning(
        "make_pipeline(codes(given), RandomForestClassifier(5, max_depth=3))",
        above="from sklearn.ensemble import RandomForestClassifier",
    )
    assert "candidate own is not deterministic" in refusal(tmp_path, text)
    good = text.replace("max_depth=3", "max_depth=3, random_state=given.seed")
    assert learn(with_file(tmp_path, good), examples()).best.candidate == "own"


@pytest.mark.parametrize(
    ("expression", "above", "words"),
    [
        ("make_pipeline(ranks(given), LinearSVC())", "from sklearn.svm import LinearSVC", "CalibratedClassifierCV"),
        (
            "make_pipeline(codes(given), FunctionTransformer(lambda X: np.nan_to_num(X)), LogisticRegression())",
            "from sklearn.preprocessing import FunctionTransformer\n"
            "from sklearn.linear_model import LogisticRegression",
            "is defined in candidates.py itself",
        ),
        (
            "make_pipeline(codes(given), FunctionTransformer(partial(np.nan_to_num, nan=0.0)), LogisticRegression())",
            "from functools import partial\nfrom sklearn.preprocessing import FunctionTransformer\n"
            "from sklearn.linear_model import LogisticRegression",
            "functools.partial can run any code when it is loaded, so it is never trusted",
        ),
        (
            "make_pipeline(codes(given), FunctionTransformer(pd.isna), LogisticRegression())",
            "import pandas as pd\nfrom sklearn.preprocessing import FunctionTransformer\n"
            "from sklearn.linear_model import LogisticRegression",
            "add to training.trusted_types in model.yaml: pandas.core.dtypes.missing.isna",
        ),
        (
            "make_pipeline(codes(given), StandardScaler(), Whole())",
            "from sklearn.preprocessing import StandardScaler\nfrom sklearn.linear_model import LogisticRegression\n"
            "class Whole(LogisticRegression):\n"
            "    def predict_proba(self, X):\n        return super().predict_proba(np.nan_to_num(X))\n"
            "    def fit(self, X, y):\n        return super().fit(np.nan_to_num(X), y)\n",
            "Whole is defined in candidates.py itself",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_safely_says_what_to_do(tmp_path, expression, above, words):
    assert words in refusal(tmp_path, returning(expression, above=above))


def test_a_type_that_is_named_is_trusted_and_one_that_runs_code_is_not(tmp_path):
    above = (
        "import pandas as pd\nfrom functools import partial\nfrom sklearn.preprocessing import FunctionTransformer\n"
        "from sklearn.linear_model import LogisticRegression"
    )
    text = returning("make_pipeline(codes(given), FunctionTransformer(pd.isna), LogisticRegression())", above=above)
    rule = with_file(tmp_path, text, trusted_types=("pandas.core.dtypes.missing.isna", "numpy.dtype"))
    assert learn(rule, examples()).best.candidate == "own"
    text = text.replace("pd.isna", "partial(pd.isna)")
    said = refusal(tmp_path, text, trusted_types=("functools.partial", "pandas.core.dtypes.missing.isna"))
    assert "functools.partial can run any code" in said


def test_calibration_is_saved_as_it_is(tmp_path):
    above = "from sklearn.svm import LinearSVC\nfrom sklearn.calibration import CalibratedClassifierCV"
    wrapped = "make_pipeline(ranks(given), CalibratedClassifierCV(LinearSVC(random_state=given.seed), cv=2))"
    assert learn(with_file(tmp_path, returning(wrapped, above=above)), examples()).best.candidate == "own"


def test_a_prediction_that_depends_on_the_other_rows_is_refused(tmp_path):
    """A transformer that centres each batch on itself."""
    above = (
        "from sklearn.preprocessing import FunctionTransformer, minmax_scale\n"
        "from sklearn.ensemble import HistGradientBoostingClassifier"
    )
    text = returning(
        "make_pipeline(codes(given), FunctionTransformer(minmax_scale),"
        " HistGradientBoostingClassifier(random_state=0, categorical_features=None))",
        above=above,
    )
    trusted = (
        "sklearn.preprocessing._data.minmax_scale", "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    )  # fmt: skip
    assert "a prediction must depend on its own row only" in refusal(tmp_path, text, trusted_types=trusted)


def test_rows_of_nulls_must_have_a_prediction(tmp_path):
    """Nulls that training happens not to have come sooner or later."""
    rows = examples()
    rows.features["age"] = rows.features["age"].fillna(40)
    above = "from sklearn.linear_model import LogisticRegression\nfrom sklearn.compose import make_column_transformer"
    text = returning(
        "make_pipeline(make_column_transformer(('passthrough', list(given.numeric))), LogisticRegression())",
        above=above,
    )
    with pytest.raises(RefusedError, match="predicting rows of nulls raised ValueError: Input X contains"):
        learn(with_file(tmp_path, text), rows)


def test_a_category_never_seen_must_have_a_prediction(tmp_path):
    above = (
        "from sklearn.linear_model import LogisticRegression\nfrom sklearn.preprocessing import OneHotEncoder\n"
        "from sklearn.compose import make_column_transformer"
    )
    text = returning(
        "make_pipeline(make_column_transformer((OneHotEncoder(), ['country'])), LogisticRegression())", above=above
    )
    assert "predicting rows with categories never seen raised ValueError" in refusal(
        tmp_path, text.replace("OneHotEncoder()", "OneHotEncoder(categories=[['SE', 'FI', 'NO', np.nan]])")
    )


def test_the_built_in_kinds_pass_their_own_checks():
    from evergreen.loop.training.estimators.check import check_candidate

    for kind in ("linear", "boosted"):
        for task in ("binary", "regression"):
            check_candidate(definition(task), kind, examples(task), examples(task, weeks=1, seed=3))
