"""`features.py` changes while a version serves: each version is still fed by the code that it was made from."""

import json

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from evergreen.core.definition.load import read_definition
from evergreen.core.feature_repository.snapshots import read_frame
from evergreen.core.ledger.queries import snapshots
from evergreen.core.ledger.tables import (
    Alert,
    Comparison,
    Decision,
    FeatureCode,
    Performance,
    Prediction,
    Snapshot,
    TrainingRun,
)
from evergreen.core.store import Store
from evergreen.errors import BadInputError, UnavailableError
from evergreen.loop.features.feature_code import of_version, serving_code, today
from evergreen.loop.features.stale import stale_keys
from evergreen.loop.intake.labels import coverage
from evergreen.loop.monitoring.check import run
from evergreen.loop.monitoring.rivals.shadow_scores import score_in_shadow
from evergreen.loop.scoring.score import read_predictions, score
from evergreen.operations.audit.audit import audit
from evergreen.operations.reproduce import reproduce

pytestmark = pytest.mark.integration
CENTS = """
from unit import CENTS


def build(inputs, history):
    return inputs.drop(columns="day").assign(price=inputs["price"] * CENTS)
"""
RATE = """
from pathlib import Path


def build(inputs, history):
    rate = float((Path(__file__).parent / "rate.txt").read_text())
    return inputs.drop(columns="day").assign(price=inputs["price"] * rate)
"""


def change(shop, features=CENTS, **files):
    """The team counts in cents from now on, in a module beside features.py."""
    (shop.definition.folder / "features.py").write_text(features)
    for name, text in (files or {"unit": "CENTS = 100\n"}).items():
        (shop.definition.folder / f"{name}.py").write_text(text)
    shop.definition = read_definition(shop.definition.folder / "model.yaml")


def rows(shop, query):
    with shop.ledger.transaction() as session:
        return session.scalars(query).all()


def features_of(shop, number):
    """Each code's features of a week, by the code's hash."""
    found = rows(shop, select(Snapshot).where(Snapshot.key == shop.key(number)).order_by(Snapshot.version))
    read = [read_frame(shop.settings, s.git_commit, s.dvc_path, dvc_hash=s.dvc_hash) for s in found]
    return {s.code_hash: frame for s, frame in zip(found, read, strict=True)}


def predictions_of(shop, number):
    (found,) = rows(shop, select(Prediction).where(Prediction.key == shop.key(number)))
    return found.version, read_predictions(found, shop.settings)["prediction"].to_numpy()


def check(shop, number):
    return run(shop.definition, shop.key(number), settings=shop.settings)


def disagreements(shop):
    found = audit(shop.definition, settings=shop.settings, now=pd.Timestamp.now("UTC").to_pydatetime())
    return [(one.area, one.about, one.what) for one in found.disagreements if one.area in ("feature code", "features")]


def ask(shop, number, count=3, server=None):
    from evergreen.loop.online.answer import Online

    asked = json.loads(shop.week(number)[0].head(count).to_json(orient="records", date_format="iso"))
    answer = (server or Online(shop.settings)).answer(shop.definition, json.dumps({"rows": asked}).encode())
    return answer.version, [row["prediction"] for row in answer.predictions]


def test_the_champion_is_fed_by_its_own_code_and_the_next_version_learns_from_one(shop, caplog):
    caplog.set_level("INFO")
    before = today(shop.definition).hash
    unchanged = shop.live(6)
    shop.accept("inputs", 7, shop.week(7)[0])
    built = shop.build(7)
    first = read_frame(shop.settings, built.git_commit, built.dvc_path)

    change(shop)
    after = today(shop.definition).hash
    assert before != after
    assert serving_code(shop.definition, shop.settings).hash == before
    assert stale_keys(shop.definition, settings=shop.settings) == []
    assert shop.build(7).reused, "changed code builds nothing by itself"
    assert score(shop.definition, shop.key(7), settings=shop.settings).version == unchanged.version
    shop.accept("labels", 7, shop.week(7)[1])
    shop.live(8)
    assert list(features_of(shop, 8)) == [before]
    assert features_of(shop, 8)[before]["price"].to_numpy() == pytest.approx(shop.week(8)[0]["price"])
    assert "the feature code has changed" in caplog.text
    # In a request as in the batch.
    version, prices = ask(shop, 8)
    assert version == shop.version
    assert prices == pytest.approx(predictions_of(shop, 8)[1][:3], abs=1e-12)

    # One mail, one retrain, however many checks see it.
    assert check(shop, 7).kind == "retrain"
    assert (check(shop, 8).kind, check(shop, 8).drifted_columns) == ("no_action", [])
    (mail,) = rows(shop, select(Alert).where(Alert.kind == "code"))
    assert "the feature code has changed" in mail.body["summary"]
    (decided,) = rows(shop, select(Decision).where(Decision.kind == "retrain"))
    assert (decided.evidence["cause"], decided.evidence["cause_key"]) == ("code", f"code-v1-{after[:12]}")

    second = shop.train(as_of=8, cause="code")
    trained = rows(shop, select(TrainingRun).order_by(TrainingRun.id))[-1]
    assert (trained.features_hash, trained.version) == (after, second)
    ids = list(trained.dataset["snapshots"].values())
    assert {s.code_hash for s in rows(shop, select(Snapshot).where(Snapshot.id.in_(ids)))} == {after}
    for week in range(4, 9):
        assert features_of(shop, week)[after]["price"].to_numpy() == pytest.approx(100 * shop.week(week)[0]["price"])
    assert first.equals(features_of(shop, 7)[before]), "what fed the champion stays as it was"

    # The new champion is fed by the new code; what the old one has predicted stays.
    assert score(shop.definition, shop.key(8), settings=shop.settings).version == shop.version
    shop.live(9)
    assert list(features_of(shop, 9)) == [after]
    assert predictions_of(shop, 9)[0] == second
    found = check(shop, 9)
    assert (found.kind, found.drifted_columns) == ("no_action", []), found.reason
    assert len(rows(shop, select(Alert).where(Alert.kind == "code"))) == 1
    assert disagreements(shop) == []


def test_the_gate_compares_both_versions_each_on_its_own_features(shop):
    shop.live(6)
    change(shop)
    shop.live(7)
    shop.train(as_of=7, cause="code")
    found = rows(shop, select(Comparison).order_by(Comparison.id))[-1]
    assert (found.champion_version, found.result["champion_broken"]) == (shop.version, None)
    # The same rows in other units: a linear model of one is worth as much as of the other.
    ours, theirs = (found.result[f"{who}_metrics"]["brier"] for who in ("champion", "challenger"))
    assert ours == pytest.approx(theirs, rel=0.05)


def test_a_rollback_to_a_version_of_older_code_is_fed_by_that_code_again(shop):
    from evergreen.loop.champion.rollback import roll_back

    shop.live(6)
    before = today(shop.definition).hash
    change(shop)
    shop.live(7)
    second = shop.train(as_of=7, cause="code")
    shop.live(8)
    assert predictions_of(shop, 8)[0] == second
    roll_back(
        shop.definition, to=shop.version, why="a test asks for it", decided_by="a test", cause_key="back",
        settings=shop.settings,
    )  # fmt: skip
    shop.live(9)
    assert predictions_of(shop, 9)[0] == shop.version
    assert list(features_of(shop, 9)) == [before]
    assert predictions_of(shop, 8)[0] == second, "nothing is predicted again because code has changed"
    assert check(shop, 9).kind != "retrain", "the code of today was tried already"
    assert ask(shop, 9)[1] == pytest.approx(predictions_of(shop, 9)[1][:3], abs=1e-12)
    assert disagreements(shop) == []


def test_versions_of_both_codes_are_scored_beside_each_other_on_their_own_features(shop):
    shop.live(6)
    change(shop)
    second = shop.train(as_of=6, cause="code")
    for week in (7, 8):
        shop.live(week)
    coverage.review(shop.definition, settings=shop.settings)
    shadow = score_in_shadow(
        shop.definition, [shop.version, second], [shop.key(7), shop.key(8)], settings=shop.settings
    )
    for week in (7, 8):
        old, new = (shadow[version, shop.key(week)] for version in (shop.version, second))
        assert [c.name for c in old] == [c.name for c in new]
        assert np.mean([c.loss for c in old]) == pytest.approx(np.mean([c.loss for c in new]), rel=0.1)
        assert len(features_of(shop, week)) == 2
    assert disagreements(shop) == []


def test_a_version_of_older_code_is_made_again_from_it(shop):
    change(shop)
    made = reproduce(shop.definition, shop.version, settings=shop.settings)
    assert made.reproduced, made.reason
    assert "code differs" not in made.reason


def test_a_partition_restated_after_the_change_is_predicted_again_by_who_had_not_seen_it(shop):
    shop.live(6)
    before = today(shop.definition).hash
    change(shop)
    shop.train(as_of=6, cause="code")
    inputs = shop.week(6)[0]
    shop.accept("inputs", 6, inputs.assign(price=inputs["price"] + 1))
    shop.build(6)
    again = score(shop.definition, shop.key(6), settings=shop.settings)
    assert (again.version, again.reused) == (shop.version, False), "the second version was judged on it"
    with shop.ledger.transaction() as session:
        of_old = snapshots.current(session, "orders", shop.key(6), before)
        scored = session.scalars(select(Prediction).where(Prediction.key == shop.key(6)).order_by(Prediction.id)).all()
    assert [p.version for p in scored] == [shop.version, shop.version]
    assert scored[-1].snapshot_id == of_old.id, "built of the new rows by the code that it was made from"


def test_a_later_partition_restated_after_the_change_is_predicted_again_by_who_serves(shop):
    shop.live(6)
    change(shop)
    second = shop.train(as_of=6, cause="code")
    shop.live(7)
    inputs = shop.week(7)[0]
    shop.accept("inputs", 7, inputs.assign(price=inputs["price"] + 1))
    shop.build(7)
    assert score(shop.definition, shop.key(7), settings=shop.settings).version == second
    with shop.ledger.transaction() as session:
        of_new = snapshots.current(session, "orders", shop.key(7), today(shop.definition).hash)
        scored = session.scalars(select(Prediction).where(Prediction.key == shop.key(7)).order_by(Prediction.id)).all()
    assert [p.version for p in scored] == [second, second]
    assert scored[-1].snapshot_id == of_new.id


def test_new_code_that_fails_leaves_the_champion_in_peace(shop):
    change(shop, "def build(inputs, history):\n    raise ValueError('not yet')\n")
    assert shop.live(6).version == shop.version
    with pytest.raises(BadInputError, match="not yet"):
        shop.train(as_of=6, cause="code")
    assert shop.live(7).version == shop.version


def test_a_running_server_reads_the_old_codes_files_after_they_have_changed(shop):
    from evergreen.loop.online.answer import Online

    rate = shop.definition.folder / "rate.txt"
    rate.write_text("2")
    change(shop, RATE)
    shop.live(6)
    shop.train(as_of=6, cause="code")
    server = Online(shop.settings)
    before = ask(shop, 7, server=server)
    rate.write_text("200")
    change(shop, RATE)
    assert ask(shop, 7, server=server) == before
    shop.live(7)
    assert before[1] == pytest.approx(predictions_of(shop, 7)[1][:3], abs=1e-12)


def test_code_that_changes_while_it_runs_publishes_nothing(shop, monkeypatch):
    from evergreen.loop.features import build

    compute = build._compute

    def overtaken(*args):
        frame = compute(*args)
        change(shop)
        return frame

    monkeypatch.setattr(build, "_compute", overtaken)
    shop.accept("inputs", 6, shop.week(6)[0])
    with pytest.raises(UnavailableError, match="changed while it ran; nothing was published"):
        shop.build(6)
    assert features_of(shop, 6) == {}


NAMES = {"order_id": "order_no", "ordered_at": "placed_at", "returned": "sent_back"}


def test_entity_event_time_and_target_may_get_other_names(shop):
    for week in (6, 7):
        shop.live(week)
    path = shop.definition.folder / "model.yaml"
    text = path.read_text()
    for old, new in NAMES.items():
        for kind in ("string", "timestamp", "boolean"):
            text = text.replace(f"{old}: {kind}", f"{new}: {{type: {kind}, aliases: [{old}]}}")
        text = text.replace(f": {old}\n", f": {new}\n")
    path.write_text(text)
    shop.definition = read_definition(path)
    feed = shop.definition.feed
    assert (feed.entity, feed.event_time, shop.definition.target) == tuple(NAMES.values())

    def renamed(*tables):
        for table in tables:
            table.rename(columns=NAMES, inplace=True)

    shop.live(8, renamed)
    assert check(shop, 8).kind == "retrain"  # the code has changed with the columns
    second = shop.train(as_of=8, cause="code")
    assert shop.live(9, renamed).version == second
    assert {p.key for p in rows(shop, select(Performance))} >= {shop.key(6), shop.key(7)}
    check(shop, 9)
    assert shop.key(8) in {p.key for p in rows(shop, select(Performance))}
    found = audit(shop.definition, settings=shop.settings, now=pd.Timestamp.now("UTC").to_pydatetime())
    waiting = ("were never checked", "was not sent")  # two weeks were left out, and nobody sends mail here
    left = [one for one in found.disagreements if not one.what.endswith(waiting) and one.area != "champion"]
    assert left == []


def test_rivals_are_judged_by_a_cluster_that_came_after_the_champion(shop):
    shop.live(6)
    path = shop.definition.folder / "model.yaml"
    text = path.read_text().replace("age: float}}", "age: float, channel: string}}")
    path.write_text(text.replace("gate: {cluster: day}", "gate: {cluster: channel}"))
    shop.definition = read_definition(path)
    shop.live(7, lambda inputs, labels: inputs.insert(6, "channel", "web"))
    shadow = score_in_shadow(shop.definition, [shop.version], [shop.key(6), shop.key(7)], settings=shop.settings)
    assert {key: [c.name for c in clusters] for (_, key), clusters in shadow.items()} == {
        shop.key(6): ["(none)"], shop.key(7): ["web"],
    }  # fmt: skip


def test_a_kept_copy_that_is_gone_is_said(shop):
    shop.live(6)
    change(shop)
    (kept,) = rows(shop, select(FeatureCode))
    store = Store.from_settings(shop.settings)
    store.delete([store.name(kept.uri)])
    shop.accept("inputs", 7, shop.week(7)[0])
    with pytest.raises(BadInputError, match=r"is gone; restore the store from a backup"):
        shop.build(7)
    assert [area for area, _, what in disagreements(shop) if "is not there" in what] == ["feature code"]
    with shop.ledger.transaction() as session:
        assert of_version(session, shop.definition, shop.version).hash == kept.code_hash
