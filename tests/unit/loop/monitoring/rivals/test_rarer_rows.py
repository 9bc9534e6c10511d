"""A rival is proven better only on as many rows of the rarer class as the gate asks for."""

from types import SimpleNamespace

import yaml

from evergreen.core.definition.model import ModelDefinition
from evergreen.loop.monitoring.rivals.compare import Candidate, Candidates, Rival, Rivals, _with_enough, rarer_rows
from evergreen.loop.monitoring.rivals.regret_test import RegretResult
from helpers.orders_model import DEFINITION

RARE = {"decision": {"unit": "EUR", "costs": {"false_positive": 5, "false_negative": 200}}}


def measured(rows, share):
    return SimpleNamespace(rows=rows, metrics={"mean_target": share})


def test_rows_of_the_rarer_class_are_counted_over_partitions_that_were_measured():
    losses = {"w1": measured(1000, 0.004), "w2": measured(500, 0.01)}
    assert rarer_rows(losses, ["w1", "w2", "w3"]) == 9
    assert rarer_rows({"w1": measured(100, 0.98)}, ["w1"]) == 2
    assert rarer_rows({}, ["w1"]) == 0


def test_what_is_proven_on_too_few_does_not_count_and_the_sentence_names_the_numbers():
    definition = ModelDefinition.model_validate(yaml.safe_load(DEFINITION) | RARE)
    plain = ModelDefinition.model_validate(yaml.safe_load(DEFINITION))
    found = Rivals(before=Rival(1, RegretResult(True, 1e-4, 1e-2, 0.3, 9, "it would have lost less.")))
    who = Candidates(Candidate(1, ("w1", "w2"), look=2), None)
    for share, proven in ((0.004, False), (0.04, True)):
        known = SimpleNamespace(losses={key: measured(1000, share) for key in ("w1", "w2")})
        assert _with_enough(definition, known, who, found).before.found.proven == proven
        assert _with_enough(plain, known, who, found) == found
    few = SimpleNamespace(losses={"w1": measured(1000, 0.004)})
    assert "has 4 labelled rows and 20 are needed" in _with_enough(definition, few, who, found).before.sentence


def test_of_a_number_nothing_is_rare():
    """A mean target of 12 once made a negative count of rare rows, and nothing was ever proven of a regression."""
    plain = ModelDefinition.model_validate(yaml.safe_load(DEFINITION))
    found = Rivals(before=Rival(1, RegretResult(True, 1e-4, 1e-2, 0.3, 9, "it would have lost less.")))
    known = SimpleNamespace(losses={"w1": measured(1000, 12.3)})
    assert _with_enough(plain, known, Candidates(Candidate(1, ("w1",), look=2), None), found) == found
