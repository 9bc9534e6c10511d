"""`evergreen test` of a model that reads references and inputs without labels."""

import pandas as pd
import pytest

from evergreen.core.definition.load import read_definition
from evergreen.tools.model_test import beside_tests, feature_tests
from evergreen.tools.model_test.feature_tests import Subject
from evergreen.tools.model_test.result import attempt
from helpers import orders_model

KEY = "2024-01-01"
DEFINITION = orders_model.DEFINITION.replace(
    "features: {look_back: 0,",
    "  references:\n    prices:\n      columns: {country: string, since: timestamp, list_price: float}\n"
    "      key: country\n      valid_from: since\nfeatures: {look_back: 0, recent_inputs: 1,",
)
SOUND = """
from evergreen.features import as_of


def build(inputs, history, references, recent):
    known = references["prices"]
    rows = as_of(inputs, known, by="country", at="ordered_at", valid_from="since", columns=["list_price"])
    counts = recent.groupby("country").size()
    busy = inputs["country"].map(counts).fillna(0).astype("float64")
    return inputs.assign(price=rows["list_price"], age=busy, country=inputs["country"].fillna("none"))
"""
FAULTS = {
    "no row of a reference is read before it is valid": SOUND.replace(
        'rows = as_of(inputs, known, by="country", at="ordered_at", valid_from="since", columns=["list_price"])',
        'newest = known.sort_values("since").drop_duplicates("country", keep="last").set_index("country")\n'
        '    rows = inputs.assign(list_price=inputs["country"].map(newest["list_price"]))',
    ),
    "references and recent inputs may be empty": SOUND.replace(
        "counts = recent", "first = known['list_price'].iloc[0]\n    counts = recent"
    ),
    "build() does not change its arguments": SOUND.replace(
        "    counts = recent", '    known["list_price"] *= 2\n    known.iloc[0, 2] = 0.0\n    recent.iloc[0, 0] = "x"\n'
        "    counts = recent"
    ),
    "the order of rows does not matter": SOUND.replace(
        'price=rows["list_price"]', 'price=rows["list_price"] + known["list_price"].iloc[0]'
    ),
}  # fmt: skip


def subject(folder, features):
    orders_model.write_model(folder / "orders", DEFINITION)
    (folder / "orders" / "features.py").write_text(features)
    definition = read_definition(folder / "orders" / "model.yaml")
    inputs, _ = orders_model.week(0, KEY)
    before, truth = orders_model.week(1, "2023-12-25")
    since = pd.to_datetime(["2023-01-01"] * 3 + [f"{KEY}T03:00"], utc=True, format="ISO8601").astype(
        "datetime64[us, UTC]"
    )
    prices = pd.DataFrame({"country": ["SE", "FI", "NO", "SE"], "since": since, "list_price": [1.0, 2.0, 3.0, 4.0]})
    history = before.merge(truth[["order_id", "returned"]]).iloc[:0]
    return Subject(definition, KEY, inputs.head(60), history, {"recent": before, "references": {"prices": prices}})


def outcomes(about):
    tests = (*feature_tests.TESTS, *beside_tests.tests_of(about))
    return {name: attempt("features", name, lambda test=test: test(about)) for name, test in tests}


def test_a_sound_file_passes_all(tmp_path):
    found = outcomes(subject(tmp_path, SOUND))
    assert {name: o.said for name, o in found.items() if o.state != "passed"} == {}
    assert set(found) > {name for name, _ in beside_tests.TESTS}
    said = found["build() does not change its arguments"].said
    assert said == "inputs and history and recent and references[prices] are as they were"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_own_test(tmp_path, name):
    assert outcomes(subject(tmp_path, FAULTS[name]))[name].state == "failed"


def test_a_model_that_reads_neither_has_no_such_tests(tmp_path):
    about = subject(tmp_path, SOUND)
    plain = about.definition.model_copy(
        update={
            "feed": about.definition.feed.model_copy(update={"references": {}}),
            "features": about.definition.features.model_copy(update={"recent_inputs": 0}),
        }
    )
    assert beside_tests.tests_of(Subject(plain, KEY, about.inputs, about.history)) == ()
