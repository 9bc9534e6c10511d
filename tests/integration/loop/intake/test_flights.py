"""The shipped model's expectations: every real week passes, every malformed one is stopped with its reason."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.definition import load_definition
from evergreen.core.frames import to_parquet
from evergreen.loop.intake.limits import LIMITS
from evergreen.loop.intake.validation.judge import judge
from evergreen.loop.intake.validation.judged_before import Judged
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.tools.simulator.land import land
from evergreen.tools.simulator.sources import rows
from helpers.deep_schema import deep_schema
from helpers.malformed import corpus, unusual

pytestmark = pytest.mark.integration
KEY = "2013-01-07"


@pytest.fixture(scope="module")
def definition():
    return load_definition("nyc_flights")


@pytest.mark.parametrize(("table", "unlike"), [("inputs", ["2013-12-23"]), ("labels", ["2013-12-02"])])
def test_all_51_weeks_pass_and_two_tables_are_unlike_the_weeks_before(definition, table, unlike):
    """Christmas, and a week of December whose delays were long. Nothing else warns."""
    rules, judged = load_expectations(definition, table), Judged(definition)
    columns = definition.feed.tables[table].columns
    keys = definition.partitions.keys("2013-01-07", "2013-12-23")
    assert len(keys) == 51
    warned = []
    for key in keys:
        data = to_parquet(rows(definition, table, key), columns)
        result = judge(data, "parquet", definition, table, key, rules, past=judged.past(table, key, rules))
        assert result.accepted, f"{key}: {result.reason}"
        assert all("(from 8 accepted partitions" in failure.sentence for failure in result.failures), key
        warned += [key] * bool(result.failures)
        judged.keep(table, key, result)
    assert warned == unlike


@pytest.mark.parametrize("table", ["inputs", "labels"])
def test_every_malformed_drop_is_stopped_with_its_reason(definition, table):
    expectations = load_expectations(definition, table)
    wrong, count = [], 0
    for drop in corpus(definition, table, rows(definition, table, KEY)):
        count += 1
        result = judge(drop.data, drop.suffix, definition, table, KEY, expectations)
        if result.accepted or drop.says not in result.reason or not _readable(result.reason):
            wrong.append((drop.name, drop.says, result.reason))
    assert wrong == []
    assert count > (180 if table == "inputs" else 140)


def test_columns_that_nobody_asked_for_are_no_reason(definition):
    expectations = load_expectations(definition, "inputs")
    wrong, count = [], 0
    for name, suffix, data in unusual(rows(definition, "inputs", KEY)):
        count += 1
        result = judge(data, suffix, definition, "inputs", KEY, expectations)
        if not result.accepted:
            wrong.append((name, result.reason))
    assert wrong == []
    assert count > 50


def test_a_schema_that_crashes_pyarrow_is_refused_without_the_limit_on_columns_too(definition):
    nested, careless = deep_schema(200_000), replace(LIMITS, columns=1_000_000)
    for limits, says in ((LIMITS, "columns or nested fields"), (careless, "its reader cannot bear (SIGSEGV)")):
        result = judge(nested, "parquet", definition, "inputs", KEY, load_expectations(definition, "inputs"), limits)
        assert not result.accepted
        assert says in result.reason


def _readable(reason: str) -> bool:
    return reason.isprintable() and "Traceback" not in reason and 10 < len(reason) < 1500


def test_a_producer_gets_the_verdict_offline(definition, tmp_path):
    land(definition, [KEY, "2013-01-14"], landing_url=tmp_path.as_uri())
    feed = tmp_path / "nyc_flights"
    answer = CliRunner().invoke(app, ["check", "nyc_flights", str(feed), "--json"])
    assert answer.exit_code == 0, answer.output
    tables = json.loads(answer.output)["tables"]
    assert [(t["key"], t["table"], t["accepted"]) for t in tables] == [
        (KEY, "inputs", True),
        (KEY, "labels", True),
        ("2013-01-14", "inputs", True),
    ]
    (feed / KEY).rename(tmp_path / "2013-02-04")
    refused = CliRunner().invoke(app, ["check", "nyc_flights", str(tmp_path / "2013-02-04")])
    assert refused.exit_code == 3
    assert (
        "2013-02-04 inputs: scheduled_departure: 6,114 of 6,114 (100 %) rows lie outside the period" in refused.output
    )
    named = CliRunner().invoke(app, ["check", "nyc_flights", str(tmp_path / "2013-02-04"), "--key", KEY])
    assert named.exit_code == 0
