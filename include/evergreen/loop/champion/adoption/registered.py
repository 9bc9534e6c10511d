"""A version that somebody has registered in MLflow, loaded as data: with skops, of types that are trusted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from evergreen.core.definition import ModelDefinition
from evergreen.core.spelling import spell
from evergreen.core.store.scratch import scratch_folder
from evergreen.core.text import listed
from evergreen.errors import BadInputError, RefusedError
from evergreen.loop.training.classes import Names, name_classes, names_of
from evergreen.loop.training.estimators.trusted import trusted_types
from evergreen.loop.training.model_files import MODEL_FILE, thaw
from evergreen.loop.training.tracking import Registry
from evergreen.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from evergreen.loop.training.losses import Floats, Targets

ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[1-9]\d*)")


def parse(address: str) -> tuple[str, int]:
    """Name and version in an address such as `models:/churn/3`.

    Raises:
        BadInputError: it is none.
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise BadInputError(f"{address[:80]!r} names no version of a registered model; write models:/NAME/3")
    return found["name"], int(found["version"])


def fetch(definition: ModelDefinition, address: str, settings: Settings) -> Any:
    """The estimator that is registered there.

    Raises:
        BadInputError: there is no such version, or it has no skops file.
        RefusedError: the file holds types that are not trusted, or needs a library that is not installed.
        UnavailableError: the registry does not answer.
    """
    name, version = parse(address)
    with scratch_folder("adopt") as folder:
        data = Registry(settings, name).download(version, MODEL_FILE, folder).read_bytes()
    return thaw(data, trusted_types(definition), what=address)


def as_version(
    definition: ModelDefinition, address: str, model: Any, rows: pd.DataFrame, target: Targets | None = None
) -> Pipeline:
    """The estimator as a version of this model: the definition's features go in, in the order that it wants.

    Raises:
        RefusedError: it cannot predict from them, or says something else than it does by itself.
    """
    features = definition.features
    wanted = [str(name) for name in getattr(model, "feature_names_in_", features.columns)]
    lacking = [name for name in wanted if name not in features.columns]
    if lacking:
        raise RefusedError(
            f"{address} reads {', '.join(lacking)}, which features.py of {definition.name} does not build: add them to "
            "features.py and to features in model.yaml"
        )
    if isinstance(model, Pipeline) and "features" in model.named_steps and hasattr(model["features"], "transformers"):
        adopted = model  # made by Evergreen: it says itself which columns it reads
    else:
        numeric = [name for name in wanted if name in features.numeric]
        categorical = [name for name in wanted if name in features.categorical]
        if wanted != [*numeric, *categorical]:
            raise RefusedError(
                f"{address} reads its columns in the order {', '.join(wanted)}: list the features of {definition.name} "
                "in that order in model.yaml, the numeric ones first"
            )
        adopted = Pipeline([("features", _columns(definition, numeric, categorical, rows)), ("model", model)])
    if not names_of(adopted):
        adopted = name_classes(adopted, _classes(definition, address, model, target))
    _compare(definition, address, model, adopted, rows, wanted)
    return adopted


def _classes(definition: ModelDefinition, address: str, model: Any, target: Targets | None = None) -> Names:
    """Names of the classes in the order of the columns of its probabilities; none if the task has no classes.

    Raises:
        RefusedError: it does not say which column is which class of the definition: guessed, they could be swapped.
    """
    if definition.task == "regression":
        return ()
    known = [str(value) for value in getattr(model, "classes_", ())]
    said = f"its classes_ are {listed(known)}" if known else "it has no classes_"
    if definition.task == "binary":
        if known and known not in (["0", "1"], ["0.0", "1.0"], ["False", "True"]):
            raise RefusedError(
                f"{address}: {said}, so nothing says which probability is that of {definition.target} = 1: register it "
                "fitted on 0 and 1"
            )
        return ()
    known = [spell(value) for value in getattr(model, "classes_", ())]  # as labels are
    classes = list(definition.classes) or sorted({str(value) for value in (() if target is None else target)})
    strangers = [name for name in known if classes and name not in classes]
    if not known or (strangers and (definition.classes or len(strangers) == len(known))):
        wanted = f" of {listed(classes)}" if classes else ""
        raise RefusedError(
            f"{address}: {said}, so nothing says which probability is that of which class{wanted}: register it fitted "
            f"on the values of {definition.target} as they land"
        )
    return tuple(known)


def _columns(
    definition: ModelDefinition, numeric: list[str], categorical: list[str], rows: pd.DataFrame
) -> ColumnTransformer:
    """The columns that it wants, in its order; the definition's others are taken in and left out."""
    features = definition.features
    steps = [
        ("numeric", "passthrough", numeric),
        ("categorical", "passthrough", categorical),
        ("empty", "drop", [name for name in features.numeric if name not in numeric]),
        ("unheard", "drop", [name for name in features.categorical if name not in categorical]),
    ]
    columns = ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)
    return columns.set_output(transform="pandas").fit(rows.head(2))


def _compare(
    definition: ModelDefinition, address: str, model: Any, adopted: Pipeline, rows: pd.DataFrame, wanted: list[str]
) -> None:
    try:
        before, after = _predict(definition, model, rows[wanted]), _predict(definition, adopted, rows)
    except Exception as error:
        raise RefusedError(
            f"{address} cannot predict from the features of {definition.name}: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    if not np.array_equal(before, after, equal_nan=True):
        raise RefusedError(f"{address} does not say the same as a version of {definition.name} as it does by itself")


def _predict(definition: ModelDefinition, model: Any, rows: pd.DataFrame) -> Floats:
    if definition.task == "regression":
        return np.asarray(model.predict(rows), dtype=np.float64)
    if not hasattr(model, "predict_proba"):
        raise TypeError(f"it has no predict_proba(), which task {definition.task} needs")
    found = np.asarray(model.predict_proba(rows), dtype=np.float64)
    return found[:, 1] if definition.task == "binary" else found
