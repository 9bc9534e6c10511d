"""Back to an earlier version on real servers: ledger, registry, predictions and mail agree, whatever is run twice."""

import pytest
from sqlalchemy import select

from evergreen.core.ledger.tables import Alert, Decision, Deployment, Prediction
from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.promotion import promote
from evergreen.loop.champion.rollback import roll_back, target
from evergreen.loop.scoring.score import score
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit
from evergreen.loop.training.tracking import Registry

pytestmark = pytest.mark.integration


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(table).order_by(table.created_at if table is Alert else table.id)))


def back(shop, cause="by hand", to=None, by="Ada"):
    return roll_back(
        shop.definition, to=to, why="it predicts nonsense", decided_by=by, cause_key=cause, settings=shop.settings
    )


@pytest.fixture
def second_champion(shop):
    """Version 2 was promoted by force and has predicted week 6."""
    run = assemble(
        shop.definition, cause="operator", cause_key="second", reason="a test asks for it", as_of=shop.key(5),
        settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(shop.definition, run, settings=shop.settings)
    evaluate(shop.definition, run, settings=shop.settings)
    promote(shop.definition, run, settings=shop.settings, decided_by="Ada")
    shop.accept("inputs", 6, shop.week(6)[0])
    shop.build(6)
    score(shop.definition, shop.key(6), settings=shop.settings)


def test_the_version_before_serves_again_from_the_next_partition_on(shop, second_champion):
    decided = back(shop)
    assert (decided.kind, decided.version, decided.reused) == ("rollback", 1, False)
    assert decided.reason.startswith(
        f"version 2 was replaced by version 1, which has served before, from {shop.key(7)}"
    )
    assert decided.reason.endswith("it predicts nonsense")
    assert [(d.version, d.from_key) for d in rows(shop, Deployment)][-1] == (1, shop.key(7))
    assert Registry(shop.settings, "orders").alias("champion") == 1
    mail = rows(shop, Alert)[-1]
    assert (mail.kind, mail.key) == ("rollback", shop.key(7))
    assert mail.body["summary"].startswith("Version 2 was replaced by version 1")
    assert mail.body["summary"].endswith("it predicts nonsense.")
    assert rows(shop, Decision)[-1].decided_by == "Ada"

    assert [p.version for p in rows(shop, Prediction) if p.key == shop.key(6)] == [2]
    shop.accept("inputs", 7, shop.week(7)[0])
    shop.build(7)
    assert score(shop.definition, shop.key(7), settings=shop.settings).version == 1


def test_one_cause_rolls_back_once(shop, second_champion):
    first, again = back(shop, by="policy"), back(shop, by="policy")
    assert again.reused
    assert again.decision_id == first.decision_id
    assert len(rows(shop, Deployment)) == 3
    assert sum(mail.kind == "rollback" for mail in rows(shop, Alert)) == 1


def test_the_registry_follows_where_the_process_died_before_it_did(shop, second_champion):
    back(shop)
    Registry(shop.settings, "orders").set_alias("champion", 2)
    assert back(shop).reused
    assert Registry(shop.settings, "orders").alias("champion") == 1


def test_only_a_version_that_has_served_and_loads_can_serve_again(shop, second_champion):
    with pytest.raises(BadInputError, match="version 7 of orders has never served"):
        back(shop, to=7)
    with pytest.raises(BadInputError, match="version 2 of orders is the champion already"):
        back(shop, to=2)
    Registry(shop.settings, "orders").client.delete_model_version("orders", "1")
    with pytest.raises(BadInputError, match="has no version 1 of orders"):
        back(shop)
    assert [d.version for d in rows(shop, Deployment)] == [1, 2]


def test_the_first_champion_has_nothing_to_go_back_to(shop):
    with pytest.raises(BadInputError, match="there is none to go back to"):
        back(shop)


def test_the_target_is_the_last_other_version():
    assert target([1, 2, 1, 3], None, "m") == 1
    assert target([1, 2, 1], None, "m") == 2
    assert target([1, 2, 3], 1, "m") == 1
    with pytest.raises(NotReadyError):
        target([], None, "m")
