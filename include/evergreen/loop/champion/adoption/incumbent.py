"""What an incumbent is made of: the code that feeds it, and the estimator that is registered for it.

An incumbent by predictions is a version like any other. Its feature code takes one column of the inputs, and its model
returns that number. So whatever asks a version (scoring, the gate, the monitor, a rollback) need not know of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import FeaturesSection
from evergreen.errors import BadInputError, RefusedError
from evergreen.loop.features.code_files import EXPECTATIONS, FILE

if TYPE_CHECKING:
    import pandas as pd

_FEATURES = '''"""What the model that served before says, as it lands in a column. Written when it was adopted."""

COLUMN = {column!r}


def build(inputs, history, **beside):
    """The column, if each row has a value: a prediction that is missing is never invented."""
    missing = int(inputs[COLUMN].isna().sum())
    if missing:
        raise ValueError(
            f"{{missing:,}} of {{len(inputs):,}} rows have no prediction of the incumbent in column {{COLUMN}}: have "
            "it filled and land the rows again, or let another version serve"
        )
    return inputs[[{entity!r}, {event_time!r}, COLUMN]].reset_index(drop=True)
'''
_EXPECTATIONS = '''"""What is demanded of the predictions of the model that served before."""

import great_expectations.expectations as gxe


def inputs():
    return []


def labels():
    return []


def features():
    return [{rules}]
'''


def grouped_by_inputs(definition: ModelDefinition) -> ModelDefinition:
    """Without the gate's groups by features that only `features.py` builds: an incumbent has none of these."""
    gate, inputs = definition.gate, definition.feed.tables["inputs"].columns
    fair = gate.fairness if gate.fairness and all(name in inputs for name in gate.fairness.by) else None
    slices = tuple(name for name in gate.slices if name in inputs)
    return definition.model_copy(update={"gate": gate.model_copy(update={"slices": slices, "fairness": fair})})


def check_column(definition: ModelDefinition, column: str) -> None:
    """See that `column` can hold the predictions of an incumbent.

    Raises:
        BadInputError: the inputs have no such column, or it holds no numbers.
        RefusedError: the task has several classes.
    """
    inputs = definition.feed.tables["inputs"].columns
    where = f"feed.tables.inputs of {definition.name}"
    if column not in inputs:
        landed = "; it is a column of the labels, which is known only afterwards" * (
            column in definition.feed.tables["labels"].columns
        )
        raise BadInputError(
            f"{where} has no column {column[:80]!r}{landed}: have the predictions land with the inputs, and name their "
            f"column there (known: {', '.join(inputs)})"
        )
    if inputs[column] not in ("float", "integer"):
        raise BadInputError(f"column {column!r} of {where} is {inputs[column]}: predictions are numbers, of type float")
    if definition.task == "multiclass":
        raise RefusedError(
            f"{definition.name} has several classes, and one column holds one number: adopt a registered version "
            "(--version), or begin with a first champion of Evergreen's own"
        )
    if column in (definition.feed.entity, definition.feed.event_time):
        raise BadInputError(f"column {column!r} of {where} names the row, and is no prediction")


def write_code(definition: ModelDefinition, column: str, folder: Path) -> ModelDefinition:
    """Write the feature code of an incumbent by predictions into `folder`; the definition that goes with it.

    Probabilities outside 0 to 1 are refused by its expectations, as those of any features.
    """
    feed = definition.feed
    source = _FEATURES.format(column=column, entity=feed.entity, event_time=feed.event_time)
    rules = f"gxe.ExpectColumnValuesToNotBeNull(column={column!r})"
    if definition.task == "binary":
        rules += f", gxe.ExpectColumnValuesToBeBetween(column={column!r}, min_value=0, max_value=1)"
    (folder / FILE).write_text(source, encoding="utf-8")
    (folder / EXPECTATIONS).write_text(_EXPECTATIONS.format(rules=rules), encoding="utf-8")
    features = FeaturesSection(numeric=(column,), look_back=0)
    return definition.model_copy(update={"features": features, "folder": folder})


def reads(column: str, rows: pd.DataFrame) -> Pipeline:
    """A pipeline that returns the column, to the bit: a line through the origin with slope 1.

    It is made of scikit-learn's own parts, so that no type of ours has to be trusted when it is loaded.
    """
    first = ColumnTransformer([("numeric", "passthrough", [column])], verbose_feature_names_out=False)
    first.fit(rows[[column]].head(2))
    line = LinearRegression()
    line.coef_, line.intercept_, line.n_features_in_ = np.array([1.0]), 0.0, 1
    return Pipeline([("features", first), ("model", line)])
