"""What a reproduction concludes from what it compared."""

import pytest

from evergreen.operations.reproduce import Check, conclude

NAMES = (
    "code version", "code", "libraries", "machine", "dataset", "feature files", "hyperparameters", "registered file",
    "model", "predictions",
)  # fmt: skip


def checks(*differing):
    return [Check(name, f"{name}-then", f"{name}-{'now' if name in differing else 'then'}") for name in NAMES]


def test_equal_results_are_a_reproduction_whatever_else_has_changed():
    assert conclude(checks()) == (
        True,
        "reproduced: dataset dataset-then, model model-then, predictions predictions-, each equal bit for bit",
    )
    done, said = conclude(checks("code version", "libraries", "machine"))
    assert done
    assert said.endswith("though libraries and machine differ")


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        (["model", "predictions", "code"], "the model differs; code differs from what it was trained with"),
        (["predictions", "machine", "libraries"], "the predictions differ; libraries and machine differ"),
        (["dataset", "model", "code"], "the dataset differs; the data is not what it was trained on"),
        (["feature files"], "the feature files differ; the data is not"),
        (["registered file", "model", "predictions"], "the registered file differs; the file in the registry is not"),
        (["hyperparameters", "model", "predictions", "code"], "the hyperparameters differ; code differs"),
        (["model", "code version"], "the model differs; data, code, libraries and machine are as recorded"),
    ],
)
def test_the_first_result_that_differs_is_named_with_its_cause(differing, said):
    done, sentence = conclude(checks(*differing))
    assert not done
    assert sentence.startswith(f"not reproduced: {said}")
