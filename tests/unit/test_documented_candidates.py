"""The example of docs/candidates.md is a candidates.py that works, and its search can be asked for."""

import re
from pathlib import Path

import yaml

from evergreen.core.definition.training import BUILT_IN, TrainingSection
from evergreen.loop.training.learn import learn
from helpers.own_candidates import with_file
from helpers.synthetic_examples import examples

PAGE = Path(__file__).parents[2] / "docs" / "candidates.md"


def block(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.S).group(1)


def test_the_example_is_trained(tmp_path):
    rule = with_file(tmp_path, block("python"), candidates=("dear_orders", "linear"), trials=2)
    learned = learn(rule, examples())
    assert [trial.candidate for trial in learned.trials] == ["dear_orders"] * 2 + ["linear"] * 2
    assert learned.trials[0].params == {"leaves": 15, "rate": 0.1, "balance": None}


def test_the_search_is_a_search():
    training = TrainingSection.model_validate(yaml.safe_load(block("yaml"))["training"])
    assert (training.search.method, training.search.trials, training.search.pruning) == ("tpe", 30, True)


def test_the_page_names_every_kind():
    assert [name for name in BUILT_IN if f"| `{name}` |" not in PAGE.read_text()] == []
