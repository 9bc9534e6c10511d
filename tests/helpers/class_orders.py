"""The orders of `orders_model`, each of which ends in one of three ways: is it kept, swapped or returned?"""

import numpy as np

from helpers import orders_model

DEFINITION = (
    orders_model.DEFINITION.replace("task: binary", "task: multiclass")
    .replace("target: returned", "target: outcome")
    .replace("returned: boolean", "outcome: string")
    .replace("gate: {cluster: day}", "gate: {cluster: day, slices: [country], fairness: {by: [country]}}")
)
CLASSES = ("kept", "returned", "swapped")


def week(number, key):
    """Inputs and labels of a week: expensive orders are returned, those of young customers are swapped."""
    inputs, labels = orders_model.week(number, key)
    rng = np.random.default_rng(1_000 + number)
    pull = np.column_stack(
        [
            np.full(len(inputs), 0.6),
            2.0 * (np.log(inputs["price"]) - 3.1),
            -0.12 * (inputs["age"] - 38),
        ]
    )
    drawn = (pull + rng.gumbel(size=pull.shape)).argmax(axis=1)
    return inputs, labels.drop(columns="returned").assign(outcome=np.array(CLASSES, dtype=object)[drawn])
