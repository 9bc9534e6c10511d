"""The model that serves today becomes the first champion, and is treated as any other from then on."""

import datetime as dt
import io

import numpy as np
import pandas as pd
import pytest

from evergreen.core.ledger.queries import versions
from evergreen.core.ledger.tables import Decision, Deployment, Performance, Prediction
from evergreen.errors import BadInputError, QuarantinedError, RefusedError
from evergreen.loop.champion.adoption.adopt import adopt
from helpers import incumbent_orders
from helpers.live_stack import rows

WEEKS, NEXT = 6, 6
WHO = {"why": "it has served for years", "decided_by": "ada"}


@pytest.fixture
def young(incumbent_shop_of):
    """Six weeks with a poor incumbent's predictions among the inputs, and no champion yet."""
    return incumbent_shop_of(WEEKS)


def take(shop, **asked):
    return adopt(shop.definition, settings=shop.settings, **WHO, **asked)


def train(shop, as_of, cause="operator", cause_key="by-hand"):
    """A challenger, judged by the gate and nobody else."""
    from evergreen.loop.champion.evaluate import evaluate
    from evergreen.loop.champion.promotion import conclude
    from evergreen.loop.training.assemble import assemble
    from evergreen.loop.training.fit import fit

    run = assemble(
        shop.definition, cause=cause, cause_key=cause_key, reason="a test asks for it", as_of=shop.key(as_of),
        settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(shop.definition, run, settings=shop.settings)
    said = evaluate(shop.definition, run, settings=shop.settings)
    return conclude(shop.definition, run, said.outcome, approval=None, settings=shop.settings), said


def serving(shop):
    with shop.ledger.transaction() as session:
        return versions.current_deployment(session, "orders").version


def predicted(shop, key):
    from evergreen.core.store import Store

    (row,) = rows(shop.ledger, Prediction, Prediction.key == key)
    store = Store.from_settings(shop.settings)
    return row, pd.read_parquet(io.BytesIO(store.read(store.name(row.uri))))


def test_by_its_predictions_it_serves_is_beaten_and_is_rolled_back_to(young):
    from evergreen.loop.champion.rollback import roll_back
    from evergreen.loop.monitoring.check import run as check
    from evergreen.operations.audit.audit import audit

    shop = young
    done = take(shop, column="old_score")
    assert (done.version, serving(shop)) == (1, 1)
    assert None not in (done.loss, done.base_rate_loss)
    decided = rows(shop.ledger, Decision)[-1]
    assert (decided.decided_by, decided.kind) == ("ada", "promote")
    assert "it has served for years" in decided.reason
    said = {guard["name"]: guard for guard in decided.evidence["guards"]}
    assert said["latency"]["sentence"] == "only its predictions land here: its latency is not known"
    assert take(shop, column="old_score").version == 1, "said again, it finds what was done"

    for number in (NEXT, NEXT + 1):
        shop.live(number)
    inputs, _ = shop.week(NEXT)
    row, frame = predicted(shop, shop.key(NEXT))
    assert row.version == 1
    assert np.array_equal(frame.set_index("order_id")["prediction"].loc[inputs["order_id"]], inputs["old_score"])
    checked = check(shop.definition, shop.key(NEXT + 1), settings=shop.settings)
    assert rows(shop.ledger, Performance)[-1].version == 1
    # made by other code than what stands in the folder: a challenger is due at once
    assert (checked.kind, checked.cause) == ("retrain", "code")

    decided, said = train(shop, NEXT + 1, checked.cause, checked.cause_key)
    assert said.champion == 1
    assert (decided.kind, serving(shop)) == ("promote", 2), said.reason
    shop.live(NEXT + 2)
    assert predicted(shop, shop.key(NEXT + 2))[0].version == 2
    asked = {"decided_by": "ada", "why": "the old one is trusted", "cause_key": "a-test"}
    roll_back(shop.definition, to=1, settings=shop.settings, **asked)
    assert serving(shop) == 1
    shop.live(NEXT + 3)
    assert predicted(shop, shop.key(NEXT + 3))[0].version == 1
    for number in (NEXT, NEXT + 2, NEXT + 3):
        check(shop.definition, shop.key(number), settings=shop.settings)
    found = audit(shop.definition, settings=shop.settings, now=dt.datetime.now(dt.UTC))
    # nobody sends mails here
    assert [d for d in found.disagreements if d.area != "mails"] == []


def test_an_incumbent_that_cannot_be_beaten_goes_on_serving(incumbent_shop_of):
    shop = incumbent_shop_of(WEEKS, incumbent_orders.perfect)
    take(shop, column="old_score")
    for number in (NEXT, NEXT + 1):
        shop.live(number, incumbent_orders.perfect)
    decided, said = train(shop, NEXT + 1)
    assert (decided.kind, serving(shop)) == ("refuse", 1), said.reason


def test_a_prediction_that_is_missing_is_never_invented(young):
    shop = young
    take(shop, column="old_score")

    def lose(inputs, labels):
        inputs.loc[:11, "old_score"] = np.nan

    with pytest.raises(BadInputError, match=r"12 of 700 rows have no prediction of the incumbent in column old_score"):
        shop.live(NEXT, lose)
    assert not rows(shop.ledger, Prediction)


def test_values_that_are_no_probabilities_are_refused_by_name(incumbent_shop_of):
    shop = incumbent_shop_of(WEEKS, lambda inputs, labels: inputs.update(inputs[["old_score"]] * 100))
    with pytest.raises(QuarantinedError, match="old_score"):
        take(shop, column="old_score")
    assert not rows(shop.ledger, Deployment)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("returned", "it is a column of the labels, which is known only afterwards"),
        ("score", "has no column 'score'"),
        ("country", "column 'country' of feed.tables.inputs of orders is string: predictions are numbers"),
    ],
)
def test_a_column_that_holds_no_predictions_is_refused(young, column, said):
    with pytest.raises(BadInputError, match=said):
        take(young, column=column)


def test_nobody_is_replaced_by_an_adoption(young):
    young.train(as_of=WEEKS - 1)
    with pytest.raises(RefusedError, match=r"version 1 of orders serves already"):
        take(young, column="old_score")


def test_a_champion_that_comes_during_an_adoption_is_not_replaced(young, monkeypatch):
    import evergreen.loop.champion.adoption.adopt as module

    evaluate = module.evaluate

    def meanwhile(*args, **named):
        found = evaluate(*args, **named)
        young.train(as_of=WEEKS - 1)
        return found

    monkeypatch.setattr(module, "evaluate", meanwhile)
    with pytest.raises(RefusedError, match=r"version 2 of orders serves by now"):
        take(young, column="old_score")
    assert serving(young) == 2


def test_it_cannot_be_made_again_and_that_is_said(young):
    from evergreen.operations.reproduce import reproduce

    take(young, column="old_score")
    with pytest.raises(BadInputError, match=r"version 1 of orders was adopted: .* column old_score"):
        reproduce(young.definition, 1, settings=young.settings)


def registered_elsewhere(settings, model):
    """A version that another team has registered, of a name of its own."""
    import mlflow
    import mlflow.sklearn

    mlflow.set_tracking_uri(settings.mlflow_url)
    mlflow.set_experiment("elsewhere")
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model, name="model", serialization_format="skops", registered_model_name="returns", pip_requirements=[]
        )
    return "models:/returns/1"


def test_a_registered_version_is_adopted(young):
    from sklearn.linear_model import LogisticRegression

    shop = young
    frames = [shop.week(number) for number in range(WEEKS)]
    features = np.concatenate([inputs[["price", "age"]].to_numpy() for inputs, _ in frames])
    target = np.concatenate([labels["returned"].to_numpy() for _, labels in frames])

    model = LogisticRegression().fit(pd.DataFrame(features, columns=["price", "age"]), target)
    address = registered_elsewhere(shop.settings, model)
    done = take(shop, address=address)
    assert serving(shop) == done.version == 1
    assert done.loss < done.base_rate_loss
    shop.live(NEXT)
    inputs, _ = shop.week(NEXT)
    _, frame = predicted(shop, shop.key(NEXT))
    expected = model.predict_proba(inputs[["price", "age"]])[:, 1]
    assert np.allclose(frame.set_index("order_id")["prediction"].loc[inputs["order_id"]], expected, rtol=0, atol=1e-15)


def test_a_version_that_reads_other_columns_is_refused(young):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(pd.DataFrame({"weight": [0.0, 1.0]}), [0, 1])
    address = registered_elsewhere(young.settings, model)
    with pytest.raises(RefusedError, match=r"models:/returns/1 reads weight, which features.py of orders does not"):
        take(young, address=address)


def learn_outcomes(shop, named=lambda outcomes: outcomes):
    """Another team's classifier of the shop's outcomes, which are `named` first."""
    from sklearn.linear_model import LogisticRegression

    frames = [shop.week(number) for number in range(WEEKS)]
    joined = pd.concat([inputs.merge(labels, on="order_id") for inputs, labels in frames])
    return LogisticRegression(max_iter=1000).fit(joined[["price", "age"]], named(joined["outcome"]))


def test_a_registered_version_of_several_classes_is_adopted_and_compared(class_shop):
    shop = class_shop
    model = learn_outcomes(shop)
    done = take(shop, address=registered_elsewhere(shop.settings, model))
    assert serving(shop) == done.version == 1
    assert done.loss < done.base_rate_loss
    for number in (NEXT, NEXT + 1):
        shop.live(number)
    inputs, _ = shop.week(NEXT)
    _, frame = predicted(shop, shop.key(NEXT))
    expected = model.predict_proba(inputs[["price", "age"]])
    found = frame.set_index("order_id").loc[inputs["order_id"]]
    for place, name in enumerate(model.classes_):
        assert np.allclose(found[f"probability_{name}"], expected[:, place], rtol=0, atol=1e-12)
    assert list(found["prediction"]) == list(model.predict(inputs[["price", "age"]]))
    _, said = train(shop, NEXT + 1)
    assert said.champion == 1, "a challenger is compared with it"


def test_a_version_that_numbers_its_classes_is_refused_and_nothing_serves(class_shop):
    shop = class_shop
    model = learn_outcomes(shop, lambda outcomes: outcomes.map({"kept": 0, "swapped": 1, "returned": 2}))
    with pytest.raises(RefusedError, match=r"its classes_ are 0, 1 and 2, .* of kept, returned and swapped"):
        take(shop, address=registered_elsewhere(shop.settings, model))
    assert not rows(shop.ledger, Deployment)


@pytest.mark.parametrize("address", ["returns/1", "models:/returns", "models:/returns@champion"])
def test_an_address_that_names_no_version_is_refused(young, address):
    with pytest.raises(BadInputError, match="write models:/NAME/3"):
        take(young, address=address)
