"""From comparison to promotion or refusal on real servers: ledger, registry and mail agree, whatever is run twice."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Alert, Decision, Deployment, FeatureCode
from evergreen.core.store import Store, layout
from evergreen.errors import BadInputError, NotReadyError, RefusedError
from evergreen.loop.champion import alias
from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.promotion import conclude, promote
from evergreen.loop.scoring.score import score
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit
from evergreen.loop.training.model_files import load
from evergreen.loop.training.tracking import Registry

pytestmark = pytest.mark.integration


def challenger(shop, as_of=5, cause="operator", definition=None):
    """A trained challenger; returns its training run."""
    run = assemble(
        shop.definition, cause=cause, cause_key=f"{cause}-again-{as_of}", reason="a test asks for it",
        as_of=shop.key(as_of), settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(definition or shop.definition, run, settings=shop.settings)
    return run


def land(shop, number, change=None):
    inputs, labels = shop.week(number)
    if change is not None:
        change(inputs, labels)
    shop.accept("inputs", number, inputs)
    shop.accept("labels", number, labels)
    shop.build(number)


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(table).order_by(table.created_at if table is Alert else table.id)))


def narrowed(shop):
    """The team reads one column less from now on."""
    features = shop.definition.features.model_copy(update={"numeric": ("age",)})
    shop.definition = shop.definition.model_copy(update={"features": features})


def test_a_champion_goes_on_reading_features_that_the_definition_no_longer_has(shop):
    narrowed(shop)
    land(shop, 6)
    assert score(shop.definition, shop.key(6), settings=shop.settings).version == 1
    run = challenger(shop, as_of=6)
    evaluate(shop.definition, run, settings=shop.settings)
    with shop.ledger.transaction() as session:
        comparison = versions.comparison_of(session, run)
    assert comparison.champion_version == 1
    assert comparison.result["champion_broken"] is None


def test_a_champion_whose_feature_code_is_lost_gives_way(shop):
    """Nobody has to force what every later training would be stuck with."""
    narrowed(shop)
    store = Store.from_settings(shop.settings)
    store.delete([store.name(code.uri) for code in rows(shop, FeatureCode)])
    for table, frame in zip(("inputs", "labels"), shop.week(6), strict=True):
        shop.accept(table, 6, frame)
    with pytest.raises(BadInputError, match=r"feature code .* is gone"):
        shop.build(6)
    run = challenger(shop, as_of=6)
    assert evaluate(shop.definition, run, settings=shop.settings).outcome == "promote"
    conclude(shop.definition, run, "promote", approval=None, settings=shop.settings)
    with shop.ledger.transaction() as session:
        comparison = versions.comparison_of(session, run)
    assert comparison.champion_version == 1
    assert comparison.result["reason"].startswith("champion 1 cannot serve (")
    assert "is gone" in comparison.result["champion_broken"]
    shop.build(6)
    assert score(shop.definition, shop.key(6), settings=shop.settings).version == 2


def fails_to_load(error):
    """The champion's file is there, and reading it ends with `error`."""

    def spoil(shop, monkeypatch):
        from evergreen.loop.training import model_files as saved

        thaw = saved.thaw

        def thaw_or_fail(data, trusted, *, what):
            if what == "orders version 1":
                raise error
            return thaw(data, trusted, what=what)

        saved._cache.clear()
        monkeypatch.setattr(saved, "thaw", thaw_or_fail)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda shop, _: shop.lose_file(1), "has version 1 of orders, and its file model.skops is gone"),
        (fails_to_load(RefusedError("it holds the untrusted type a.B")), "it holds the untrusted type a.B"),
        (fails_to_load(AttributeError("no attribute 'x'")), "it cannot predict (AttributeError: no attribute 'x')"),
    ],
)
def test_a_champion_that_cannot_be_loaded_gives_way(shop, monkeypatch, spoil, says):
    land(shop, 6)
    run = challenger(shop, as_of=6)
    spoil(shop, monkeypatch)
    said = evaluate(shop.definition, run, settings=shop.settings)
    assert (said.outcome, said.champion) == ("promote", 1)
    assert said.reason.startswith("champion 1 cannot serve (")
    with shop.ledger.transaction() as session:
        assert says in versions.comparison_of(session, run).result["champion_broken"]


def test_the_first_challenger_is_judged_against_the_base_rate(shop):
    with shop.ledger.transaction() as session:
        comparison = versions.comparison_of(session, 1)
    assert comparison.champion_version is None
    assert comparison.verdict == "superior"
    assert comparison.result["outcome"] == "promote"
    assert comparison.keys == [shop.key(4), shop.key(5)]
    assert "lowers the Brier score of the base rate by" in comparison.result["reason"]
    assert [guard["name"] for guard in comparison.guards] == [
        "slices", "calibration", "fairness", "latency", "size", "signature",
    ]  # fmt: skip
    (size,) = (guard["detail"][0]["bytes"] for guard in comparison.guards if guard["name"] == "size")
    assert size == load(shop.definition, 1, settings=shop.settings).file_bytes > 1000
    assert comparison.result["loosened"] == []
    assert comparison.result["gate"]["alpha"] == 0.01
    assert sum(day[1] for day in comparison.result["by_cluster"]) == comparison.result["rows"] == 1400

    (deployment,) = rows(shop, Deployment)
    assert (deployment.version, deployment.from_key) == (1, shop.key(6))
    data = Store.from_settings(shop.settings).read(layout.reference("orders", 1))
    reference = pd.read_parquet(io.BytesIO(data))
    assert set(reference.columns) == {
        "order_id", "ordered_at", "cluster", "price", "age", "country", "target", "prediction", "part",
    }  # fmt: skip
    assert reference["part"].value_counts().to_dict() == {"train": 2800, "holdout": 1400}
    assert reference["prediction"].between(0, 1).all()


def test_a_challenger_that_is_the_same_model_is_refused_once_and_can_be_forced(shop, caplog):
    caplog.set_level("INFO", "evergreen.champion")
    run = challenger(shop)
    said = evaluate(shop.definition, run, settings=shop.settings)
    assert (said.outcome, said.champion, said.challenger, said.verdict) == ("refuse", 1, 2, "inconclusive")
    assert evaluate(shop.definition, run, settings=shop.settings).reused
    assert "it is no better on these rows, refused" in said.reason

    decided = conclude(shop.definition, run, "refuse", approval=None, settings=shop.settings)
    again = conclude(shop.definition, run, "refuse", approval=None, settings=shop.settings)
    assert (decided.kind, decided.reused, again.reused) == ("refuse", False, True)
    assert again.decision_id == decided.decision_id
    assert [a.kind for a in rows(shop, Alert)] == ["promotion", "refusal"]
    assert Registry(shop.settings, "orders").alias("champion") == 1

    forced = promote(shop.definition, run, settings=shop.settings, decided_by="Ada")
    assert forced.kind == "promote"
    assert "promoted by Ada, against the gate" in forced.reason
    assert promote(shop.definition, run, settings=shop.settings, decided_by="Ada").reused
    assert Registry(shop.settings, "orders").alias("champion") == 2
    assert [d.version for d in rows(shop, Deployment)] == [1, 2]
    assert rows(shop, Alert)[-1].kind == "promotion"


def test_a_new_champion_serves_from_the_first_partition_without_predictions_on(shop):
    shop.accept("inputs", 6, shop.week(6)[0])
    shop.build(6)
    score(shop.definition, shop.key(6), settings=shop.settings)
    run = challenger(shop)  # on labels through 5, which land when 6 is checked
    evaluate(shop.definition, run, settings=shop.settings)
    promote(shop.definition, run, settings=shop.settings, decided_by="Ada")
    assert [(d.version, d.from_key) for d in rows(shop, Deployment)] == [(1, shop.key(6)), (2, shop.key(7))]
    assert rows(shop, Alert)[-1].body["summary"].startswith("Promoted by Ada, against the gate")


def test_a_better_challenger_is_promoted_with_its_reason(shop):
    def turned(inputs, labels):
        labels["returned"] = inputs["price"] < 20  # the world has changed: expensive orders are no longer returned

    for number in range(6, 12):
        land(shop, number, turned)
    run = challenger(shop, as_of=11, cause="drift")
    said = evaluate(shop.definition, run, settings=shop.settings)
    assert (said.outcome, said.verdict) == ("promote", "superior")
    assert said.reason.endswith("14 days, 1,400 rows) and passes all guards: promoted")
    assert conclude(shop.definition, run, "promote", approval=None, settings=shop.settings).kind == "promote"
    with shop.ledger.transaction() as session:
        assert alias.current(session, "orders").version == 2
        decision = session.scalars(select(Decision).order_by(Decision.id.desc()).limit(1)).one()
    assert decision.reason == said.reason
    assert decision.evidence["comparison"]["verdict"] == "superior"

    Registry(shop.settings, "orders").set_alias("champion", 1)
    assert alias.reconcile(shop.definition, settings=shop.settings)
    assert not alias.reconcile(shop.definition, settings=shop.settings)
    registry = Registry(shop.settings, "orders")
    assert registry.alias("champion") == 2
    registry.client.delete_model_version("orders", "2")
    with pytest.raises(BadInputError, match="has no version 2 of orders; restore MLflow from a backup"):
        alias.reconcile(shop.definition, settings=shop.settings)


def test_a_champion_that_changed_meanwhile_makes_the_comparison_void(shop):
    for number in (6, 7):
        land(shop, number)
    runs = [challenger(shop, as_of=as_of) for as_of in (6, 7)]
    for run in runs:
        evaluate(shop.definition, run, settings=shop.settings)
    with shop.ledger.transaction() as session:
        comparison = versions.comparison_of(session, runs[1])
        comparison.result = {**comparison.result, "outcome": "promote"}
    promote(shop.definition, runs[0], settings=shop.settings, decided_by="Ada")
    decided = conclude(shop.definition, runs[1], "promote", approval=None, settings=shop.settings)
    assert decided.kind == "refuse"
    assert "the champion changed to version 2 after version 3 was compared with version 1" in decided.reason


def test_a_champion_is_not_judged_on_what_it_was_trained_on(shop):
    land(shop, 6)
    with shop.ledger.transaction() as session:
        champion = versions.training_run(session, "orders", 1)
        champion.dataset = {**champion.dataset, "train_keys": [shop.key(n) for n in range(6)]}
    run = challenger(shop, as_of=6)
    evaluate(shop.definition, run, settings=shop.settings)
    with shop.ledger.transaction() as session:
        assert versions.comparison_of(session, run).keys == [shop.key(6)]

    run = challenger(shop, as_of=5)
    said = evaluate(shop.definition, run, settings=shop.settings)
    assert (said.outcome, said.verdict) == ("refuse", "inconclusive")
    assert "no labelled rows that the champion has not been trained on" in said.reason


def test_a_version_is_never_compared_with_itself(shop):
    with shop.ledger.transaction() as session:
        session.delete(versions.comparison_of(session, 1))
    with pytest.raises(RefusedError, match="never compared with itself"):
        evaluate(shop.definition, 1, settings=shop.settings)


def test_a_person_is_asked_and_silence_refuses(shop):
    gate = shop.definition.gate.model_copy(update={"approval": "always", "alpha": 0.2})
    asking = shop.definition.model_copy(update={"gate": gate})
    for number in range(6, 12):
        land(shop, number, lambda inputs, labels: labels.update({"returned": inputs["price"] < 20}))
    run = challenger(shop, as_of=11)
    with pytest.raises(NotReadyError, match="was not compared yet"):
        conclude(asking, run, "ask", approval=None, settings=shop.settings)
    form_url = "http://airflow.test/dags/orders.train/runs/a/tasks/approve/required_actions"
    said = evaluate(asking, run, settings=shop.settings, form_url=form_url)
    again = evaluate(asking, run, settings=shop.settings, form_url=form_url)
    assert (said.outcome, again.reused, again.form) == ("ask", True, said.form)
    assert not again.decided
    assert "gate loosened by model.yaml: alpha 0.2 (default 0.01); a person decides" in said.reason
    assert "**Gate loosened by model.yaml:** alpha 0.2 \\(default 0.01\\)" in said.form
    assert "**Judged on:** 2024-03-11, 2024-03-18" in said.form.replace("\\-", "-")
    assert "- **calibration** passed: calibration error 0." in said.form
    assert said.form.endswith("No answer within 24 hours refuses; the champion serves meanwhile.")
    (mail,) = [alert for alert in rows(shop, Alert) if alert.kind == "approval"]
    assert mail.body["links"]["form"] == form_url
    assert [row[0] for row in mail.body["table"]["rows"]][2] == "fairness"
    with pytest.raises(BadInputError, match="the gate's outcome was 'ask'"):
        conclude(asking, run, "promote", approval=None, settings=shop.settings)
    decided = conclude(asking, run, "ask", approval=None, settings=shop.settings)
    assert decided.kind == "refuse"
    assert decided.reason.startswith("refused by nobody in time; the gate said ask")
    assert evaluate(asking, run, settings=shop.settings, form_url=form_url).decided, "nobody is asked a second time"
    overruled = conclude(asking, run, "ask", approval=(True, "Ada"), settings=shop.settings)
    assert overruled.reused


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda model: model.coef_.fill(np.nan), "1,400 of 1,400 predictions are no usable numbers"),
        (lambda model: setattr(model, "coef_", model.coef_[:, :-1]), "it cannot predict (ValueError: "),
        (lambda model: setattr(model, "classes_", model.classes_[:1]), "it cannot predict (IndexError: "),
    ],
)
def test_a_challenger_that_gives_no_predictions_is_refused_and_cannot_be_forced(shop, spoil, says):
    run = challenger(shop)
    broken = load(shop.definition, 2, settings=shop.settings)
    last = broken.pipeline.steps[-1][1]
    if says.endswith("IndexError: "):
        last.predict_proba = lambda frame: np.ones((len(frame), 1))
    else:
        spoil(last)
    said = evaluate(shop.definition, run, settings=shop.settings)
    assert (said.outcome, said.verdict) == ("refuse", "inconclusive")
    assert said.reason.startswith(f"challenger 2 cannot serve, so it was not compared: {says}")
    decided = conclude(shop.definition, run, "refuse", approval=None, settings=shop.settings)
    assert decided.kind == "refuse"
    with pytest.raises(RefusedError, match="version 2 of orders cannot serve, whoever asks for it"):
        promote(shop.definition, run, settings=shop.settings, decided_by="Ada", why="I know better")
    assert Registry(shop.settings, "orders").alias("champion") == 1


def test_a_challenger_that_is_better_for_some_groups_only_is_refused(shop):
    from evergreen.core.definition.model import FairnessSection

    section = FairnessSection(by=("day", "country"), min_rows=30)  # the day is no feature
    gate = shop.definition.gate.model_copy(update={"fairness": section})
    fair = shop.definition.model_copy(update={"gate": gate})

    def turned(inputs, labels):
        cheap, coin = inputs["price"] < 20, inputs["order_id"].str[-1] < "5"
        labels["returned"] = np.where(inputs["country"] == "NO", coin, cheap)

    for number in range(6, 12):
        land(shop, number, turned)
    run = challenger(shop, as_of=11, definition=fair)
    said = evaluate(fair, run, settings=shop.settings)
    assert (said.outcome, said.verdict) == ("refuse", "superior")
    assert re.search(r"but the guard on fairness failed \(the .* rate is .* for country = NO \(", said.reason)
    with shop.ledger.transaction() as session:
        (guard,) = [g for g in versions.comparison_of(session, run).guards if g["name"] == "fairness"]
    assert {pair["column"] for pair in guard["detail"]} == {"country"}  # of one day nothing can be said
    assert any(pair["state"] == "failed" for pair in guard["detail"])
