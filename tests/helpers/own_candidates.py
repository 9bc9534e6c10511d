"""Files that a team could write as its `candidates.py`, good ones and bad ones."""

from helpers.synthetic_examples import definition

HEAD = """
import numpy as np
from sklearn.pipeline import make_pipeline
from evergreen.candidates import Choice, Float, Given, Integer, Rows, candidate, codes, ranks
"""
LIGHTGBM = (
    HEAD
    + """
@candidate(
    "own",
    space={"leaves": Integer(4, 16, log=True), "rate": Float(0.05, 0.2, log=True), "balance": Choice(None, "balanced")},
    start={"leaves": 8, "rate": 0.1, "balance": None},
)
def own(given, leaves, rate, balance):
    from lightgbm import LGBMClassifier

    rising = [1 if name == "price" else 0 for name in given.columns]
    model = LGBMClassifier(
        n_estimators=30, num_leaves=leaves, learning_rate=rate, class_weight=balance, monotone_constraints=rising,
        random_state=given.seed, n_jobs=given.threads, deterministic=True, force_row_wise=True, verbosity=-1,
    )
    return make_pipeline(codes(given), model)
"""
)


def with_file(folder, text, task="binary", loss=None, **training):
    """A definition whose folder holds this `candidates.py`; it tries the candidate `own` and no other."""
    (folder / "candidates.py").write_text(text)
    rule = definition(task, loss, **{"candidates": ("own",), **training})
    return rule.model_copy(update={"folder": folder})


def returning(expression, above=""):
    """A file whose candidate `own` is what the expression makes."""
    return f"{HEAD}\n{above}\n@candidate('own')\ndef own(given):\n    return {expression}\n"
