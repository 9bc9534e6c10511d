"""Each model has its turn, whatever happens to the others."""

import pytest

from evergreen.core.definition import load_definition
from evergreen.errors import DefinitionError, UnavailableError
from evergreen.loop.champion import alias
from evergreen.operations.housekeeping.all_models import FIND_LIMIT, find_in_each, reconcile_aliases


@pytest.fixture
def models():
    shipped = load_definition("nyc_flights")
    return [shipped.model_copy(update={"name": name}) for name in ("first", "second", "third")]


def test_one_models_alias_keeps_no_other_from_its_own(models, monkeypatch):
    asked = []

    def answer(definition, settings):
        asked.append(definition.name)
        if definition.name == "second":
            raise UnavailableError("MLflow has no version 7")
        return definition.name == "third"

    monkeypatch.setattr(alias, "reconcile", answer)
    with pytest.raises(UnavailableError, match="for second: MLflow has no version 7"):
        reconcile_aliases(models, settings=None)
    assert asked == ["first", "second", "third"]
    del models[1]
    assert reconcile_aliases(models, settings=None) == ["third"]


def test_what_is_found_is_kept_though_a_model_fails(models):
    def find(definition, limit):
        if definition.name == "first":
            raise UnavailableError("no answer")
        yield definition.name, limit

    assert find_in_each(models, find) == [("second", FIND_LIMIT // 3), ("third", FIND_LIMIT // 3)]


@pytest.mark.parametrize(
    ("failures", "raised"),
    [
        ([UnavailableError] * 3, UnavailableError),
        ([UnavailableError, DefinitionError, UnavailableError], DefinitionError),
    ],
)
def test_an_outage_alone_is_told_apart_from_other_failures(models, failures, raised):
    left = iter(failures)

    def find(definition, limit):
        raise next(left)("away")

    with pytest.raises(raised):
        find_in_each(models, find)
