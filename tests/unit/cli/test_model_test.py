"""`evergreen test` on landed files: exit codes, JUnit, and the CI files that call it."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evergreen.cli import app
from helpers import orders_model

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def landed(tmp_path, monkeypatch):
    """A model and four landed weeks of it."""
    patient = orders_model.DEFINITION.replace("gate: {", "gate: {max_latency_ms: 5000, ")  # whatever else runs here
    orders_model.write_model(tmp_path / "models" / "orders", patient)
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path / "models"))
    for number, key in enumerate(("2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22")):
        folder = tmp_path / "landing" / "orders" / key
        folder.mkdir(parents=True)
        for name, frame in zip(("inputs", "labels"), orders_model.week(number, key), strict=True):
            frame.to_parquet(folder / f"{name}.parquet")
        (folder / "_SUCCESS").touch()
    return tmp_path


def call(landed, *more):
    return CliRunner().invoke(app, ["test", "orders", "--landing", str(landed / "landing"), *more])


def test_a_sound_model_passes_and_says_what_was_tried(landed):
    done = call(landed, "--junit", str(landed / "out" / "model.xml"))
    assert done.exit_code == 0, done.output
    assert "10 tests of orders, 0 failed" in done.output
    assert "passed  data: the expectations accept what has landed: 4 inputs and 4 labels" in done.output
    assert "candidate linear is sound and can be saved" in done.output
    suite = ET.parse(landed / "out" / "model.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("10", "0")


def test_a_leak_fails_with_code_3_and_the_others_still_run(landed):
    file = landed / "models" / "orders" / "features.py"
    file.write_text("def build(inputs, history):\n    return inputs.assign(price=inputs['price'].rank(pct=True))\n")
    done = call(landed, "--json")
    assert done.exit_code == 3
    said = json.loads(done.output)
    failed = {test["name"] for test in said["tests"] if test["state"] == "failed"}
    assert failed == {"a row alone gets the features of its batch", "nothing later leaks into a row"}
    assert not said["passed"]


def test_what_would_be_quarantined_is_named(landed):
    (landed / "landing" / "orders" / "2024-01-22" / "labels.parquet").write_bytes(b"PAR1")
    (landed / "landing" / "orders" / "2024-01-22" / "_SUCCESS").touch()
    done = call(landed)
    assert done.exit_code == 3
    assert re.search(r"FAILED\s+data: .*1 of the tables .* 2024-01-22 labels", done.output)


def test_with_no_labels_the_candidates_are_skipped(landed):
    for folder in (landed / "landing" / "orders").iterdir():
        (folder / "labels.parquet").unlink()
    done = call(landed)
    assert done.exit_code == 0
    assert "skipped model: candidates: fewer than two partitions with labels" in done.output


def test_nothing_landed_is_an_error_that_says_how(landed, monkeypatch):
    shutil.rmtree(landed / "landing" / "orders")
    done = call(landed)
    assert done.exit_code == 1
    assert "nothing has landed for orders" in str(done.exception)


@pytest.mark.parametrize("name", ["github-actions.yaml", "gitlab-ci.yaml"])
def test_the_ci_files_call_the_command_with_options_that_it_has(name):
    text = (PROJECT / "deploy" / "ci" / name).read_text()
    assert yaml.safe_load(text)
    (line,) = [line for line in text.splitlines() if "evergreen test" in line and "#" not in line]
    options = CliRunner().invoke(app, ["test", "--help"]).output
    assert all(option in options for option in re.findall(r"--[a-z-]+", line))
