"""The record of a model's challengers, read from what the gate wrote: who met which champion, and how much newer."""

import pytest

from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.past_challengers import past_challengers
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit

pytestmark = pytest.mark.integration


def compared(shop, number):
    run = assemble(
        shop.definition, cause="operator", cause_key=f"operator-again-{number}", reason="a test asks for it",
        as_of=shop.key(number), settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(shop.definition, run, settings=shop.settings)
    return evaluate(shop.definition, run, settings=shop.settings)


def test_challengers_are_on_record_and_stand_in_the_next_comparison(shop):
    with shop.ledger.transaction() as session:
        before = past_challengers(session, shop.definition)
    compared(shop, 5)
    with shop.ledger.transaction() as session:
        [*_, one] = found = past_challengers(session, shop.definition)
        assert past_challengers(session, shop.definition, up_to=shop.key(0)) == []
    assert len(found) == len(before) + 1, "one that met the base rate says nothing of newer labels"
    assert one.newer >= 0
    assert set(one.keys) <= {shop.key(n) for n in range(6)}
    absolute = shop.definition.model_copy(update={"task": "regression"})
    with shop.ledger.transaction() as session:
        assert past_challengers(session, absolute) == [], "gains in another loss are not comparable"
