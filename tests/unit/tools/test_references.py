"""Versions of references that a person lands, checks on disk, and replays from landed files."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.definition.load import read_definition
from evergreen.errors import BadInputError
from evergreen.tools.backtest.landed_beside import beside_of, read_references
from evergreen.tools.check_drops import check_folder
from evergreen.tools.simulator.land_reference import land_reference
from helpers import orders_model

DEFINITION = orders_model.DEFINITION.replace(
    "features: {look_back: 0,",
    "  references:\n    prices: {columns: {country: string, since: timestamp, list_price: float}, key: country,"
    " valid_from: since}\nfeatures: {look_back: 0, recent_inputs: 2, recent_columns: [country],",
)
KEY = "2024-01-08"


@pytest.fixture
def model(tmp_path, monkeypatch):
    orders_model.write_model(tmp_path / "models" / "orders", DEFINITION)
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(tmp_path / "models"))
    return read_definition(tmp_path / "models" / "orders" / "model.yaml")


def prices(folder: Path, *rows: tuple[str, str, float]) -> Path:
    file = folder / "new.csv"
    pd.DataFrame(rows, columns=["country", "since", "list_price"]).to_csv(file, index=False)
    return file


def landed(model, tmp_path):
    """Three versions, of which the second is bad, and part files."""
    zone = f"file://{tmp_path}/landing"
    good = prices(tmp_path, ("SE", "2023-01-01", 1.0), ("SE", f"{KEY} 12:00", 2.0), ("FI", "2024-01-15", 9.0))
    for stamp in ("2023-12-31", f"{KEY}T0001"):
        land_reference(model, "prices", good, stamp, landing_url=zone)
    bad = prices(tmp_path, ("SE", "2023-01-01", 1.0), ("SE", "2023-01-01", 2.0))
    land_reference(model, "prices", bad, "2024-01-02", landing_url=zone)
    parts = tmp_path / "landing" / "orders" / "references" / "prices" / "2024-01-03" / "prices"
    parts.mkdir(parents=True)
    for n, country in enumerate(("SE", "NO")):
        prices(tmp_path, (country, "2023-01-01", 5.0 + n)).rename(parts / f"part-{n}.csv")
    (parts / "_SUCCESS").touch()
    return zone


def test_a_version_is_landed_once_under_its_stamp(model, tmp_path):
    zone, file = f"file://{tmp_path}/landing", prices(tmp_path, ("SE", "2023-01-01", 1.0))
    done = land_reference(model, "prices", file, "2024-03-01.2", landing_url=zone)
    assert done.new
    assert done.uri == f"{zone}/orders/references/prices/2024-03-01.2/prices.csv"
    assert not land_reference(model, "prices", file, "2024-03-01.2", landing_url=zone).new
    for name, stamp in (("holidays", "2024-03-01"), ("prices", "../x"), ("prices", "soon")):
        with pytest.raises(BadInputError):
            land_reference(model, name, file, stamp, landing_url=zone)


def test_the_command_lands_and_check_judges(model, tmp_path):
    file = prices(tmp_path, ("SE", "2023-01-01", 1.0))
    run = CliRunner().invoke(
        app,
        ["feed", "land-reference", "orders", "prices", str(file), "--known-from", "2024-03-01", "--to",
         str(tmp_path / "zone"), "--json"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert json.loads(run.output)["new"] is True
    feed = tmp_path / "zone" / "orders"
    assert CliRunner().invoke(app, ["check", "orders", str(feed)]).exit_code == 0
    prices(tmp_path, ("SE", "2023-01-01", 1.0), ("SE", "2023-01-01", 1.0)).rename(
        feed / "references" / "prices" / "2024-03-01" / "prices.csv"
    )
    run = CliRunner().invoke(app, ["check", "orders", str(feed / "references" / "prices" / "2024-03-01")])
    assert run.exit_code == 3
    assert "reference prices: country: 2 of 2 (100 %) rows have the same country and since" in run.output


def test_a_replay_reads_what_the_loop_would_have_read(model, tmp_path):
    zone = landed(model, tmp_path)
    found, left_out = read_references(model, zone)
    assert [(kept.stamp.text, len(kept.rows)) for kept in found["prices"]] == [
        ("2023-12-31", 3), ("2024-01-03", 2), (f"{KEY}T0001", 3),
    ]  # fmt: skip
    assert list(left_out) == ["2024-01-02 prices"]
    inputs = {key: orders_model.week(n, key)[0] for n, key in enumerate(("2024-01-01", KEY))}
    beside = beside_of(model, inputs, found, KEY)
    assert list(beside) == ["recent", "references"]
    assert beside["recent"].columns.tolist() == ["country"]
    assert len(beside["recent"]) == len(inputs["2024-01-01"])
    assert beside["references"]["prices"]["country"].tolist() == ["SE", "NO"]
    first = beside_of(model, inputs, found, "2024-01-01")["references"]["prices"]
    assert first["list_price"].tolist() == [1.0], "what is valid from the next week on is not given"
    assert {c.accepted for c in check_folder(model, tmp_path / "landing" / "orders")} == {True, False}
