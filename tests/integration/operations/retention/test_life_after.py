"""Retention and a model that has lived: what nobody needs is gone, and it lives on as if nothing had been."""

import datetime as dt
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger.queries import collected
from evergreen.core.ledger.tables import Collection, DriftCheck, Prediction, TrainingRun
from evergreen.errors import CollectedError
from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.promotion import promote, refuse
from evergreen.loop.champion.rollback import roll_back
from evergreen.loop.monitoring.check import run as check
from evergreen.loop.scoring.score import read_predictions
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit
from evergreen.loop.training.model_files import load
from evergreen.operations.retention.collect import collect

pytestmark = pytest.mark.integration
POLICY = "retention: {keep_partitions: 1, keep_predictions: 1, keep_validations: 1, keep_reports: 1, keep_models: 1}"
LATER = dt.timedelta(days=30)


@pytest.fixture
def grown(shop):
    """Eleven weeks, four versions: 1, 3 and 4 have served in turn, 2 was refused while 1 served."""
    for number in range(6, 11):
        shop.live(number)
        check(shop.definition, shop.key(number), settings=shop.settings)
        if number == 7:
            refused(shop, 6)
        if number in (8, 9):
            assert shop.train(number, cause="operator") == number - 5
    model = shop.definition.folder / "model.yaml"
    model.write_text(f"{model.read_text()}{POLICY}\n")
    shop.definition = read_definition(model)
    return shop


def refused(shop, as_of):
    run = assemble(
        shop.definition, cause="age", cause_key="age", reason="a test asks for it", as_of=shop.key(as_of),
        settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(shop.definition, run, settings=shop.settings)
    evaluate(shop.definition, run, settings=shop.settings)
    refuse(shop.definition, run, settings=shop.settings, decided_by="a test")


def gc(shop, *, dry_run=False, later=LATER):
    return collect(shop.definition, settings=shop.settings, now=dt.datetime.now(dt.UTC) + later, dry_run=dry_run)


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(table).order_by(table.id)))


def bytes_below(folders):
    return sum(path.stat().st_size for folder in folders for path in Path(folder).rglob("*") if path.is_file())


def test_what_nobody_needs_is_gone_and_the_model_lives_on(grown, mlflow_stack, monkeypatch):
    shop = grown
    places = (shop.settings.store_url.removeprefix("file://"), shop.settings.features_dvc_url, mlflow_stack.home.mlflow)
    before = bytes_below(places)
    assert gc(shop, later=dt.timedelta(days=6)).objects == 0, "what was recorded in the last week stays"
    said = gc(shop, dry_run=True)
    assert (bytes_below(places), rows(shop, Collection)) == (before, [])

    found = gc(shop)
    assert (found.groups, found.bytes, found.removed) == (said.groups, said.bytes, said.objects)
    assert before - bytes_below(places) == found.bytes
    # Version 3, to which a rollback leads, was made of weeks 3 to 8; version 2 never served and has no champion now.
    assert {group.kind: (group.objects, group.oldest, group.newest, group.rule) for group in found.groups} == {
        "raw": (6, shop.key(0), shop.key(2), "keep_partitions: 1"),
        "features": (3, shop.key(0), shop.key(2), "keep_partitions: 1"),
        "validation": (20, shop.key(0), shop.key(9), "keep_validations: 1"),
        "report": (4, shop.key(6), shop.key(9), "keep_reports: 1"),
        "model": (1, shop.key(6), shop.key(6), "keep_models: 1"),
    }
    assert gc(shop).objects == 0
    _says_that_it_is_gone(shop, monkeypatch)
    _lives_on(shop)


def _says_that_it_is_gone(shop, monkeypatch):
    """Readers, pages and commands name the day and the rule."""
    from fastapi.testclient import TestClient
    from typer.testing import CliRunner

    from evergreen.cli import app as commands
    from evergreen.web.app import create_app

    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    with pytest.raises(
        CollectedError, match=f"orders version 2 cannot be read: collected on {today} by retention.keep_models: 1"
    ):
        load(shop.definition, 2, settings=shop.settings, anew=True)
    run = next(run for run in rows(shop, TrainingRun) if run.version == 2)
    with pytest.raises(CollectedError, match="version 2 of orders cannot serve: it was collected"):
        promote(shop.definition, run.id, settings=shop.settings, decided_by="a test")

    settings = shop.settings.model_copy(update={"models_dir": shop.definition.folder.parent})
    pages = TestClient(create_app(settings=lambda: settings, identify=lambda: "ada", may_read=lambda *_: True))
    names = [check.report_uri.removeprefix(settings.store_url) for check in rows(shop, DriftCheck)]
    answers = [pages.get(name) for name in names]
    assert [answer.status_code for answer in answers] == [410, 410, 410, 410, 200]
    assert f"This report was collected on {today} by retention.keep_reports: 1." in answers[0].text

    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(settings.models_dir))
    told = json.loads(CliRunner().invoke(commands, ["history", "orders", "--json"]).stdout)
    assert [training["version"] for training in told["trainings"]] == [1, 2, 3, 4]
    assert sum(line["objects"] for line in told["collected"]) == len(rows(shop, Collection))
    assert "Collected by retention" in CliRunner().invoke(commands, ["history", "orders"]).stdout
    assert "Nothing goes." in CliRunner().invoke(commands, ["gc", "orders"]).stdout
    assert CliRunner().invoke(commands, ["gc", "orders", "--yes", "--dry-run"]).exit_code == 2


def _lives_on(shop):
    """It predicts, is checked, goes back to any version that has served, trains and is promoted as ever."""
    assert shop.live(11).version == 4
    assert check(shop.definition, shop.key(11), settings=shop.settings).kind == "no_action"
    for version, number in ((1, 12), (3, 13)):
        roll_back(
            shop.definition, to=version, why="a test", decided_by="a test", cause_key=f"to {version}",
            settings=shop.settings,
        )  # fmt: skip
        assert shop.live(number).version == version
        check(shop.definition, shop.key(number), settings=shop.settings)
    assert shop.train(12, cause="harm") == 5
    assert shop.live(14).version == 5

    # Now the predictions of the first weeks may go; labels of theirs that land again are no trouble.
    shop.train(13, cause="operator")
    gc(shop)
    first = rows(shop, Prediction)[0]
    with shop.ledger.transaction() as session:
        assert first.uri in collected.gone(session, "orders")
    with pytest.raises(
        CollectedError,
        match=r"the predictions of 2024-02-12 cannot be read: collected .* by retention\.keep_predictions: 1",
    ):
        read_predictions(first, shop.settings)
    _, labels = shop.week(6)
    shop.accept("labels", 6, labels.iloc[:-1])
    shop.live(15)
    check(shop.definition, shop.key(15), settings=shop.settings)
