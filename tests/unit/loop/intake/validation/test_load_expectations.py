"""A team's expectations.py that cannot be loaded is named, with what to do."""

import pytest

from evergreen.core.definition.load import read_definition
from evergreen.errors import DefinitionError
from evergreen.loop.intake.validation.load_expectations import load_expectations
from helpers import orders_model


@pytest.fixture
def load(tmp_path):
    """Load the suite of inputs from a file of this text."""
    orders_model.write_model(tmp_path / "orders")

    def load(text):
        (tmp_path / "orders" / "expectations.py").write_text(text)
        return load_expectations(read_definition(tmp_path / "orders" / "model.yaml"), "inputs")

    return load


def test_comparisons_come_from_their_face(load):
    (rule,) = load("from evergreen.expectations import RowCount\n\n\ndef inputs():\n    return [RowCount()]\n")
    assert type(rule).__qualname__ == "RowCount", "it stands in the hash of the suite"


def test_the_place_of_release_0_1_0_is_named_with_the_new_one(load):
    with pytest.raises(DefinitionError, match=r"cannot be imported.*import .* from evergreen\.expectations"):
        load("from evergreen.intake.comparisons import RowCount\n")


def test_another_module_that_is_missing_is_not_said_to_have_moved(load):
    with pytest.raises(DefinitionError) as caught:
        load("import nowhere\n")
    assert "evergreen.expectations" not in str(caught.value)
