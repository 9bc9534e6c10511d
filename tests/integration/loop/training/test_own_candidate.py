"""A LightGBM of the team's own through the whole loop on real servers, and candidates that are refused."""

import numpy as np
import pytest
from integration.loop.online.test_answer import body
from integration.operations.test_reproduce import elsewhere
from sqlalchemy import select

from evergreen.core.definition.load import read_definition
from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Decision, Prediction, TrainingRun
from evergreen.errors import DefinitionError, RefusedError, UnavailableError
from evergreen.loop.online.answer import Online
from evergreen.loop.scoring.score import read_predictions
from evergreen.loop.training import publish
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit
from evergreen.loop.training.provenance import code_hash
from evergreen.loop.training.tracking import Registry, client
from evergreen.operations.reproduce import reproduce
from helpers import orders_model
from helpers.own_candidates import LIGHTGBM, returning

pytestmark = pytest.mark.integration
TRAINING = "candidates: [own], search: {method: random, trials: 3, minutes: 30, pruning: true}"


def bring(shop, text, training=TRAINING):
    """The team writes `candidates.py` and names its candidate in model.yaml."""
    folder = shop.definition.folder
    (folder / "candidates.py").write_text(text)
    changed = orders_model.DEFINITION.replace("candidates: [linear], trials: 1", training)
    (folder / "model.yaml").write_text(changed)
    shop.definition = read_definition(folder / "model.yaml")


def asked(shop, name):
    return assemble(
        shop.definition, cause="operator", cause_key=name, reason="a test asks for it",
        as_of=shop.key(5), settings=shop.settings,
    ).training_run_id  # fmt: skip


def serving(shop):
    with shop.ledger.transaction() as session:
        return versions.current_deployment(session, "orders").version


def test_an_own_lightgbm_is_trained_promoted_scored_asked_and_made_again(shop, monkeypatch):
    bring(shop, LIGHTGBM)
    version = shop.train(as_of=5, cause="operator")
    assert (version, serving(shop)) == (2, 2)
    with shop.ledger.transaction() as session:
        run = versions.run_of_version(session, "orders", 2)
    assert run.candidate == "own"
    assert set(run.params) == {"leaves", "rate", "balance"}
    assert [trial["number"] for trial in run.search["trials"]] == [0, 1, 2]
    logged = client(shop.settings).get_run(run.mlflow_run_id)
    assert len(logged.data.tags["evergreen.candidates_hash"]) == 64
    assert logged.data.params["search"].startswith('{"method":"random"')
    files = {file.path for file in client(shop.settings).list_artifacts(run.mlflow_run_id, "search")}
    assert files == {"search/trials.json", "search/candidates.py"}
    assert logged.data.metrics["importance.price"] > 0

    scored, inputs = shop.live(6), shop.week(6)[0]
    with shop.ledger.transaction() as session:
        batch = read_predictions(session.get_one(Prediction, scored.prediction_id), shop.settings)["prediction"]
    online = Online(shop.settings)
    one = online.answer(shop.definition, body(inputs.head(1))).predictions[0]["prediction"]
    some = [p["prediction"] for p in online.answer(shop.definition, body(inputs.head(30))).predictions]
    assert (one, some) == (batch[0], list(batch.head(30))), "to the bit"

    for options in ([], ["--tune"]):
        code, answer = elsewhere(shop, "2", *options)
        assert (code, answer["reproduced"]) == (0, True), answer
        assert all(check["same"] for check in answer["checks"])
    assert elsewhere(shop, "1")[0] == 0, "the version before, of another kind, is made again too"

    bring(shop, LIGHTGBM.replace("n_estimators=30", "n_estimators=31"))
    changed = reproduce(shop.definition, 2, settings=shop.settings)
    assert not changed.reproduced
    assert changed.reason == "not reproduced: the model differs; code differs from what it was trained with"
    np.testing.assert_array_equal(shop.live(7).version, 2)  # what serves does not read the file


def test_a_search_that_is_interrupted_goes_on_with_the_trials_it_had(shop, monkeypatch, caplog):
    caplog.set_level("INFO", "evergreen.training")
    bring(shop, LIGHTGBM)
    run_id = asked(shop, "interrupted")

    def down(*_):
        raise UnavailableError("MLflow has gone")

    with monkeypatch.context() as patch:
        patch.setattr(publish, "publish", down)
        with pytest.raises(UnavailableError):
            fit(shop.definition, run_id, settings=shop.settings)
    with shop.ledger.transaction() as session:
        run = session.get_one(TrainingRun, run_id)
        assert (run.state, len(run.search["trials"])) == ("assembled", 3)
        run.search = {**run.search, "trials": run.search["trials"][:2]}  # the kill came in the third
        kept = run.search["trials"]
    made = fit(shop.definition, run_id, settings=shop.settings)
    assert "2 trials of an attempt that was interrupted are taken over" in caplog.text
    with shop.ledger.transaction() as session:
        trials = session.get_one(TrainingRun, run_id).search["trials"]
    assert (trials[:2], len(trials)) == (kept, 3)
    whole = fit(shop.definition, asked(shop, "whole"), settings=shop.settings)
    hashes = [
        Registry(shop.settings, "orders").client.get_model_version("orders", str(v)).tags["evergreen.model_hash"]
        for v in (made.version, whole.version)
    ]
    assert hashes[0] == hashes[1], "as if nothing had happened"


def test_a_refused_candidate_leaves_the_champion_and_a_sentence_in_the_ledger(shop, caplog):
    unseeded = returning(
        "make_pipeline(codes(given), ExtraTreesClassifier(5, max_depth=2))",
        above="from sklearn.ensemble import ExtraTreesClassifier",
    )
    bring(shop, unseeded, training="candidates: [linear, own], trials: 1")
    run_id = asked(shop, "refused")
    with pytest.raises(RefusedError, match="candidate own is not deterministic"):
        fit(shop.definition, run_id, settings=shop.settings)
    with shop.ledger.transaction() as session:
        decision = session.scalars(select(Decision).order_by(Decision.id.desc()).limit(1)).one()
        run = session.get_one(TrainingRun, run_id)
    assert (decision.kind, decision.version, decision.decided_by, run.state) == ("refuse", None, "policy", "failed")
    assert decision.reason.startswith("no challenger was made: candidate own is not deterministic: two fits on the")
    assert decision.evidence["training_run"] == run_id
    assert decision.reason in caplog.text
    assert (serving(shop), Registry(shop.settings, "orders").alias("challenger")) == (shop.version, shop.version)
    assert shop.live(6).version == shop.version

    with pytest.raises(RefusedError):
        fit(shop.definition, run_id, settings=shop.settings)
    with shop.ledger.transaction() as session:
        assert session.query(Decision).filter_by(kind="refuse").count() == 1, "said once"

    bring(shop, unseeded.replace("max_depth=2", "max_depth=2, random_state=given.seed"), training="candidates: [own]")
    assert fit(shop.definition, run_id, settings=shop.settings).candidate == "own", "corrected, the task goes on"
    with shop.ledger.transaction() as session:
        assert session.get_one(TrainingRun, run_id).code_hash == code_hash(shop.definition) != run.code_hash


def test_a_name_that_nothing_defines_is_an_error_of_its_line(shop):
    folder = shop.definition.folder
    (folder / "model.yaml").write_text(orders_model.DEFINITION.replace("[linear]", "[linear, boosted_trees]"))
    with pytest.raises(DefinitionError, match=r"model\.yaml:\d+: training\.candidates: boosted_trees: built in are"):
        read_definition(folder / "model.yaml")
