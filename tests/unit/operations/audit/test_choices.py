"""The audit reckons each choice again, by what the ledger says of the version and by nothing else."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from evergreen.core.definition.decision import Costs
from evergreen.loop.training.decide import Rule
from evergreen.operations.audit import choices

PREDICTION = {"created_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}
COSTS = Costs(("a", "b", "c"), ((0.0, 2.0, 4.0), (3.0, 0.0, 1.0), (20.0, 10.0, -1.0)), "EUR")


def said(table, rule):
    return [one.what for one in choices.check("it", PREDICTION, pa.table(table), rule)]


@pytest.mark.parametrize("seed", range(5))
def test_what_the_package_chooses_the_audit_finds_right_and_a_changed_choice_wrong(seed):
    rng = np.random.default_rng(seed)
    rule, p = Rule("tuned", 0.1, 0.1, 20), rng.random(50) ** 3
    two = {"id": [f"o{n}" for n in range(50)], "prediction": p, "choice": rule.choose(p)}
    assert said(two, rule.as_json()) == []
    two["choice"] = ~two["choice"]
    assert said(two, rule.as_json()) == ["50 choices are not what the version's rule says, such as that of 'o0'"]

    several, shares = Rule("least_cost", costs=COSTS), rng.dirichlet(np.ones(3), 50)
    table = {"id": two["id"], "prediction": ["a"] * 50, "choice": several.choose(shares, ("c", "a", "b"))}
    table |= {f"probability_{name}": shares[:, n] for n, name in enumerate(("c", "a", "b"))}
    assert said(table, several.as_json()) == []
    table["choice"] = ["nobody", *table["choice"][1:]]
    assert said(table, several.as_json()) == ["1 choices are not what the version's rule says, such as that of 'o0'"]


def test_files_without_choices_and_versions_without_a_rule_have_nothing_to_compare():
    table = {"id": ["o1"], "prediction": [0.5]}
    assert said(table, Rule("fixed", 0.1).as_json()) == said(table | {"choice": [False]}, None) == []
