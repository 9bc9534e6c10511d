"""Which types a saved model may hold.

A skops file names the types that it is made of, and loading makes objects of them. Types of data are harmless. One that
calls what the file tells it to (`functools.partial`), or a function that does (`os.system`), would run the file's code.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evergreen.core.definition import ModelDefinition

BUILT_IN_TYPES: dict[str, tuple[str, ...]] = {
    "linear": (),
    "boosted": ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "numpy.dtype"),
    "forest": ("sklearn.tree._tree.Tree",),
    "lightgbm": (
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
    ),
    "xgboost": ("xgboost.core.Booster", "xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRegressor"),
    "catboost": ("catboost.core.CatBoostClassifier", "catboost.core.CatBoostRegressor"),
}
"""What the models of each built-in kind hold beyond skops' own list. Each restores itself from numbers and bytes."""
WRAPPER_TYPES = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.utils._bunch.Bunch",
)
"""What scikit-learn's calibration and stacking hold: they wrap many a team's estimator."""
OWN_MODULE = "evergreen_candidates_of_"
"""How the name begins under which a model's `candidates.py` is imported."""
_DATA = {
    "builtins.bool", "builtins.bytearray", "builtins.bytes", "builtins.complex", "builtins.dict", "builtins.float",
    "builtins.frozenset", "builtins.int", "builtins.list", "builtins.range", "builtins.set", "builtins.slice",
    "builtins.str", "builtins.tuple", "collections.Counter", "collections.OrderedDict", "collections.defaultdict",
    "collections.deque", "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta",
    "datetime.timezone", "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
}  # fmt: skip
"""Types of the standard library that hold data and do nothing."""
_LOADERS = ("cloudpickle", "dill", "evergreen", "joblib", "mlflow", "numpy.f2py", "numpy.load", "pandas.eval",
            "pandas.io", "pandas.read_pickle")  # fmt: skip
"""Modules of others whose functions run or load what they are given."""


def runs_code(name: str) -> bool:
    """Whether a type or function of this name may run any code when a file that holds it is loaded or predicts.

    That is all of Python's standard library except its types of data, and what loads or evaluates.
    """
    if name in _DATA:
        return False
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    return any(name == module or name.startswith(f"{module}.") for module in _LOADERS)


def trusted_types(definition: ModelDefinition) -> tuple[str, ...]:
    """What a saved model of this definition may hold: its own list, and the types of the kinds that came after it.

    Those of `linear` and `boosted` stand in the default of `training.trusted_types`, where a team can take them out.
    """
    later = (types for kind, types in BUILT_IN_TYPES.items() if kind not in ("linear", "boosted"))
    known = (name for types in (*later, WRAPPER_TYPES) for name in types)
    return tuple(dict.fromkeys([*definition.training.trusted_types, *known]))


def refusal(strangers: list[str]) -> str:
    """Why a file that holds these types is not loaded, and what to do, in words. `strangers` is not empty."""
    own = sorted(name for name in strangers if name.startswith((OWN_MODULE, "__main__.")) or "<lambda>" in name)
    if own:
        shown = ", ".join(name.partition(".")[2] if name.startswith(OWN_MODULE) else name for name in own)
        return (
            f"{shown} is defined in candidates.py itself, so that a saved model would change with that file: put it "
            "into a package that is installed where trainings and scoring run, import it from there, and name it in "
            "training.trusted_types (a lambda or an inner function cannot be saved at all)"
        )
    never = sorted(name for name in strangers if runs_code(name))
    if never:
        made = "make the model without"
        if "functools.partial" in never:
            made += " (scikit-learn's boosting with categorical_features holds it: put codes(given) before it instead)"
        return f"{', '.join(never)} can run any code when it is loaded, so it is never trusted: {made}"
    named = ", ".join(sorted(strangers))
    return f"if you know the type and trust it, add to training.trusted_types in model.yaml: {named}"
