"""What the audit takes for landed: the marks that intake takes."""

import datetime as dt

import pytest

from evergreen.core.definition.load import read_definition
from evergreen.loop.intake.landing_zone import find_drop
from evergreen.operations.audit.files import landed
from helpers.drops import put
from helpers.intake_fixtures import DEFINITION

KEY = "2024-01-01"
NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)


@pytest.fixture
def definition(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "model.yaml").write_text(DEFINITION)
    return read_definition(tmp_path / "shop" / "model.yaml")


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({}, False),
        ({"_SUCCESS": 400}, True),
        ({"inputs/_SUCCESS": 400}, True),
        ({"inputs/_SUCCESS": 200, "_SUCCESS": 400}, False),
        ({"inputs/_SUCCESS": 400, "_SUCCESS": 200}, True),
        ({"inputs.source.json": 400}, False),
    ],
)
def test_a_folder_of_parts_is_whole_as_intake_says(tmp_path, definition, marks, expected):
    folder = tmp_path / definition.feed.name / KEY
    put(folder / "inputs" / "part-0.parquet", 300)
    for mark, when in marks.items():
        put(folder / mark, when)
    assert bool(landed(definition, tmp_path.as_uri(), NOW)) is expected
    assert (find_drop(tmp_path.as_uri(), definition.feed.name, "inputs", KEY) is not None) is expected


@pytest.mark.parametrize(
    ("name", "when", "expected"), [("parquet", 400, True), ("parquet", 200, False), ("csv", 400, False)]
)
def test_a_querys_answer_is_whole_by_its_note(tmp_path, definition, name, when, expected):
    folder = tmp_path / definition.feed.name / KEY
    put(folder / f"inputs.{name}", 300)
    put(folder / "inputs.source.json", when)
    assert bool(landed(definition, tmp_path.as_uri(), NOW)) is expected
    assert (find_drop(tmp_path.as_uri(), definition.feed.name, "inputs", KEY) is not None) is expected
