"""A proposal from the first eight weeks of flights, held against the rest of the year and against broken drops."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.definition import load_definition
from evergreen.core.frames import to_parquet
from evergreen.errors import RefusedError
from evergreen.loop.intake.comparisons.rules import decides
from evergreen.loop.intake.validation.judge import judge
from evergreen.tools.propose.propose import load_text
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.sources import rows
from helpers.malformed import of_readable_rows

pytestmark = pytest.mark.integration
TABLES = ("inputs", "labels")


@pytest.fixture(scope="module")
def definition():
    return load_definition("nyc_flights")


@pytest.fixture(scope="module")
def landing(definition, tmp_path_factory):
    """Eight weeks, and one drop that is none."""
    folder = tmp_path_factory.mktemp("landing")
    keys = definition.partitions.keys("2013-01-07", "2013-03-04")
    land(definition, keys, landing_url=folder.as_uri())
    for name, data in (("inputs.parquet", b"not a table"), ("_SUCCESS", b"")):
        (folder / "nyc_flights" / "2013-03-04" / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def answer(landing, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "expectations.py"
    done = CliRunner().invoke(
        app, ["expectations", "propose", "nyc_flights", "--landing", str(landing), "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_it_says_what_it_was_made_from_and_passes_on_it(answer):
    assert [len(answer["partitions"][table]) for table in TABLES] == [8, 8]
    assert list(answer["left_out"]) == ["2013-03-04 inputs"]
    assert "not a Parquet file" in answer["left_out"]["2013-03-04 inputs"]
    assert all(tried["accepted"] for tried in answer["tried"])
    assert len(answer["tried"]) == 16


def test_a_file_that_is_there_stays_as_it_is_unless_forced(answer, landing):
    again = ["expectations", "propose", "nyc_flights", "--landing", str(landing), "--table", "labels", "--out"]
    refused = CliRunner().invoke(app, [*again, answer["out"]])
    assert isinstance(refused.exception, RefusedError)
    assert "--force" in str(refused.exception)
    assert Path(answer["out"]).read_text() == answer["text"]


def test_nothing_landed_is_said_with_what_to_do(tmp_path):
    done = CliRunner().invoke(app, ["expectations", "propose", "nyc_flights", "--landing", str(tmp_path)])
    assert "no inputs of nyc_flights that model.yaml allows have landed" in str(done.exception)


@pytest.mark.slow
def test_no_later_week_is_quarantined_by_it(definition, answer):
    module, held = load_text(answer["text"]), []
    deciding = {table: decides(getattr(module, table)()) for table in TABLES}
    for key in definition.partitions.keys("2013-03-04", "2013-12-23"):
        for table, rules in deciding.items():
            data = to_parquet(rows(definition, table, key), definition.feed.tables[table].columns)
            result = judge(data, "parquet", definition, table, key, rules)
            if not result.accepted:
                held.append((key, table, result.reason))
    assert held == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "missed"),
    [("inputs", {"inputs-hour-25", "inputs-humidity-as-a-share"}), ("labels", set())],
)
def test_it_stops_malformed_drops_but_those_that_only_a_person_can_know(definition, answer, table, missed):
    rules = getattr(load_text(answer["text"]), table)()
    key = "2013-01-07"
    accepted, asked = set(), 0
    for drop in of_readable_rows(table, rows(definition, table, key)):
        if judge(drop.data, drop.suffix, definition, table, key, []).accepted:  # model.yaml stops the rest by itself
            asked += 1
            if judge(drop.data, drop.suffix, definition, table, key, rules).accepted:
                accepted.add(drop.name)
    assert accepted == missed
    assert asked > 20
