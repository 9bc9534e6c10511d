"""The record of a model's challengers, read from what the gate wrote: who met which champion, and how much newer."""

import pytest
from sqlalchemy import select

from evergreen.core.ledger.tables import Comparison, TrainingRun
from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.evaluation.record import pace
from evergreen.loop.champion.past_challengers import past_challengers
from evergreen.loop.monitoring.evidence import gather
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


def test_challengers_are_on_record_as_they_were_compared(shop):
    with shop.ledger.transaction() as session:
        before = past_challengers(session, shop.definition)
    compared(shop, 5)
    with shop.ledger.transaction() as session:
        [*_, one] = found = past_challengers(session, shop.definition)
        assert past_challengers(session, shop.definition, up_to=shop.key(0)) == []
        row = session.scalars(select(Comparison).order_by(Comparison.id.desc()).limit(1)).one()
        runs = {run.version: run for run in session.scalars(select(TrainingRun))}
    assert len(found) == len(before) + 1, "one that met the base rate says nothing of newer labels"
    champion, challenger = runs[row.champion_version], runs[row.challenger_version]
    assert one.newer == shop.definition.partitions.distance(champion.as_of, challenger.as_of)
    assert (one.keys, one.gain, one.p_value) == (tuple(row.keys), row.result["relative"], row.result["p_value"])
    absolute = shop.definition.model_copy(update={"task": "regression"})
    with shop.ledger.transaction() as session:
        assert past_challengers(session, absolute) == [], "gains in another loss are not comparable"


def test_a_check_reads_the_record_only_if_it_is_asked_for(shop):
    compared(shop, 5)
    shop.live(6)
    monitoring = shop.definition.monitoring.model_copy(update={"learned_pace": True})
    asked = shop.definition.model_copy(update={"monitoring": monitoring})
    with shop.ledger.transaction() as session:
        assert gather(session, shop.definition, shop.key(6)).pace is None
        through = gather(session, asked, shop.key(6)).labels_through
        assert gather(session, asked, shop.key(6)).pace == pace(past_challengers(session, asked, up_to=through))
