"""Another version proves better on real servers: the one before is restored, a refused challenger takes over."""

import pytest
from sqlalchemy import select

from evergreen.core.ledger.tables import Alert, Decision, Deployment, ShadowLoss, TrainingRun
from evergreen.core.ledger.views import history
from evergreen.errors import BadInputError, NotReadyError
from evergreen.loop.champion.apply_decision import follow
from evergreen.loop.champion.evaluate import evaluate
from evergreen.loop.champion.promotion import conclude, promote
from evergreen.loop.champion.rollback import roll_back
from evergreen.loop.monitoring.check import run as check
from evergreen.loop.monitoring.rivals.shadow_scores import score_in_shadow
from evergreen.loop.scoring.score import score
from evergreen.loop.training.assemble import assemble
from evergreen.loop.training.fit import fit
from evergreen.loop.training.tracking import Registry

pytestmark = pytest.mark.integration


def turned(inputs, labels):
    """Expensive orders are no longer returned, cheap ones are."""
    labels["returned"] = inputs["price"] < 20


def rows(shop, table):
    with shop.ledger.transaction() as session:
        return list(session.scalars(select(table).order_by(table.created_at if table is Alert else table.id)))


def challenge(shop, definition, as_of, cause="drift"):
    """What the train DAG does; the gate decides."""
    run = assemble(
        definition, cause=cause, cause_key=f"{cause}-{as_of}", reason="a test", as_of=shop.key(as_of),
        settings=shop.settings,
    ).training_run_id  # fmt: skip
    fit(definition, run, settings=shop.settings)
    said = evaluate(definition, run, settings=shop.settings)
    return conclude(definition, run, said.outcome, approval=None, settings=shop.settings)


def look(shop, number, definition=None):
    return check(definition or shop.definition, shop.key(number), settings=shop.settings)


def with_gate(shop, **changes):
    gate = shop.definition.gate.model_copy(update=changes)
    return shop.definition.model_copy(update={"gate": gate})


def until(shop, kinds, numbers, change=None, definition=None):
    """Weeks go by until a check decides one of `kinds`."""
    for number in numbers:
        shop.live(number, change)
        found = look(shop, number, definition)
        if found.kind in kinds:
            return number, found
    raise AssertionError(f"no {kinds} in weeks {list(numbers)}")


@pytest.fixture
def mistaken(shop):
    """The world turned, a challenger learned it and was promoted by the gate, and the world turns back."""
    for number in range(6, 12):
        shop.live(number, turned)
    assert challenge(shop, shop.definition, 11).kind == "promote"
    return shop


def test_a_promotion_that_proves_a_mistake_is_taken_back_once(mistaken):
    shop = mistaken
    number, found = until(shop, ("rollback",), range(12, 16))
    assert number <= 15
    assert (found.cause, found.cause_key) == ("rollback", "rollback-v2")
    assert found.reason.startswith("Roll back: version 1 would have lost less than version 2")
    before = len(rows(shop, Alert))
    decided = follow(shop.definition, found.decision_id, settings=shop.settings, run_url="http://x/log")
    assert (decided.kind, decided.version, decided.reused) == ("rollback", 1, False)
    assert follow(shop.definition, found.decision_id, settings=shop.settings).reused
    last = rows(shop, Deployment)[-1]
    assert (last.version, last.decision_id, last.from_key) == (1, found.decision_id, shop.key(number + 1))
    assert Registry(shop.settings, "orders").alias("champion") == 1

    (mail,) = rows(shop, Alert)[before:]
    assert (mail.kind, mail.body["links"]["report"]) == ("rollback", found.report_uri)
    assert mail.body["links"]["log"] == "http://x/log"
    decision = next(d for d in rows(shop, Decision) if d.id == found.decision_id)
    assert decision.decided_by == "policy"
    assert decision.evidence["rivals"]["before"]["proven"]

    shop.accept("inputs", number + 1, shop.week(number + 1)[0])
    shop.build(number + 1)
    assert score(shop.definition, shop.key(number + 1), settings=shop.settings).version == 1
    assert look(shop, number + 1).kind not in ("rollback", "promote")


def test_a_champion_that_was_replaced_meanwhile_is_left_alone(mistaken):
    shop = mistaken
    _, found = until(shop, ("rollback",), range(12, 16))
    roll_back(shop.definition, to=1, why="a person was faster", decided_by="Ada", cause_key="x", settings=shop.settings)
    for _ in range(2):
        with pytest.raises(NotReadyError, match=r"\(rollback\) was not carried out: .* version 1 serves now"):
            follow(shop.definition, found.decision_id, settings=shop.settings)
    assert [d.version for d in rows(shop, Deployment)] == [1, 2, 1]
    (said,) = [d for d in rows(shop, Decision) if d.dedup_key == f"follow:{found.decision_id}"]
    assert said.kind == "no_action"
    assert said.reason.startswith(f"decision {found.decision_id} (rollback) was not carried out: version 2 of orders")
    with shop.ledger.transaction() as session:
        assert said.id in [line.id for line in history.decisions(session, "orders", quiet=False)]
    quiet = next(d for d in rows(shop, Decision) if d.kind == "no_action")
    with pytest.raises(BadInputError, match="is not about who serves"):
        follow(shop.definition, quiet.id, settings=shop.settings)


def test_a_challenger_refused_for_want_of_proof_takes_over_once_it_has_proven_itself(shop):
    for number in range(6, 12):
        shop.live(number, turned)
    assert challenge(shop, with_gate(shop, alpha=1e-300), 11).kind == "refuse"

    asked = with_gate(shop, approval="borderline")
    shop.live(12, turned)
    assert look(shop, 12, asked).cause != "promotion"  # no label has landed that it has not been judged on

    number, found = until(shop, ("alert",), (13, 14), turned, asked)
    assert found.cause == "promotion"
    assert "leaves promotions to a person" in found.reason
    assert rows(shop, Alert)[-1].subject.endswith("a challenger that was refused is proven better")

    number, found = until(shop, ("promote",), range(number + 1, number + 3), turned)
    assert found.reason.startswith("Promote: version 2, refused for want of proof, is proven by now to lose less")
    decided = follow(shop.definition, found.decision_id, settings=shop.settings)
    assert (decided.kind, decided.version) == ("promote", 2)
    assert [d.version for d in rows(shop, Deployment)] == [1, 2]
    assert Registry(shop.settings, "orders").alias("champion") == 2
    assert rows(shop, TrainingRun)[-1].state == "promoted"
    assert rows(shop, Alert)[-1].kind == "promotion"
    with pytest.raises(BadInputError, match="version 2 of orders is the champion already"):
        promote(shop.definition, rows(shop, TrainingRun)[-1].id, settings=shop.settings, decided_by="Ada")
    assert [d.version for d in rows(shop, Deployment)] == [1, 2]

    # What is wrong with it need not show in the loss: it is not restored by the proof it had.
    roll_back(shop.definition, to=1, why="it is slow", decided_by="Ada", cause_key="slow", settings=shop.settings)
    shop.live(number + 1, turned)
    assert look(shop, number + 1).kind not in ("promote", "rollback")
    assert [d.version for d in rows(shop, Deployment)] == [1, 2, 1]


def test_a_rival_that_is_gone_stops_no_check(shop, caplog):
    from evergreen.loop.training import model_files

    for number in range(6, 12):
        shop.live(number, turned)
    assert challenge(shop, with_gate(shop, alpha=1e-300), 11).kind == "refuse"
    Registry(shop.settings, "orders").client.delete_model_version("orders", "2")
    model_files._cache.clear()
    for number in (12, 13):
        shop.live(number, turned)
        found = look(shop, number)
    assert found.cause != "promotion"
    assert "version 2 cannot be compared with the champion" in caplog.text


def test_an_earlier_version_whose_file_is_lost_stops_no_check(returned, caplog):
    shop = returned
    shop.lose_file(1)
    shop.live(15)
    found = look(shop, 15, old_hand(shop))
    assert found.kind != "rollback"
    assert "version 1 cannot be compared with the champion: the registry at" in caplog.text
    assert "its file model.skops is gone" in caplog.text


def test_what_was_scored_in_the_shadow_is_kept_and_scored_anew_for_other_labels(shop):
    shop.live(6)
    first = score_in_shadow(shop.definition, [1], [shop.key(6)], settings=shop.settings)
    again = score_in_shadow(shop.definition, [1], [shop.key(6)], settings=shop.settings)
    assert first == again
    assert len(rows(shop, ShadowLoss)) == 1
    inputs, labels = shop.week(6)
    turned(inputs, labels)
    shop.accept("labels", 6, labels)
    other = score_in_shadow(shop.definition, [1], [shop.key(6)], settings=shop.settings)
    assert other != first
    assert len(rows(shop, ShadowLoss)) == 2
    assert score_in_shadow(shop.definition, [1], [shop.key(9)], settings=shop.settings) == {}


@pytest.fixture
def returned(shop):
    """Version 2 learned the turned world and has served it for weeks; then the world of version 1 returns."""
    for number in range(6, 12):
        shop.live(number, turned)
    assert challenge(shop, shop.definition, 11).kind == "promote"
    for number in (12, 13, 14):
        shop.live(number, turned)
    return shop


def old_hand(shop):
    """No promotion is young enough to be taken back."""
    monitoring = shop.definition.monitoring.model_copy(update={"rollback_within": 0})
    return shop.definition.model_copy(update={"monitoring": monitoring})


def test_an_earlier_version_comes_back_with_its_world(returned):
    shop = returned
    definition = old_hand(shop)
    number, found = until(shop, ("rollback",), range(15, 19), definition=definition)
    assert (found.cause, found.cause_key) == ("rollback", "comeback-v2")
    assert "version 1, which has served before, would lately have lost less than version 2" in found.reason
    assert follow(definition, found.decision_id, settings=shop.settings).version == 1
    last = rows(shop, Deployment)[-1]
    assert (last.version, last.decision_id, last.from_key) == (1, found.decision_id, shop.key(number + 1))
    decision = next(d for d in rows(shop, Decision) if d.id == found.decision_id)
    (earlier,) = decision.evidence["rivals"]["earlier"]
    assert (earlier["version"], earlier["proven"]) == (1, True)
    assert rows(shop, Alert)[-1].kind == "rollback"


def test_nobody_comes_back_where_the_definition_keeps_no_pool_or_a_person_chose(returned):

    shop = returned
    definition = old_hand(shop)
    for number in (15, 16, 17):
        shop.live(number)
    none = definition.model_copy(update={"monitoring": definition.monitoring.model_copy(update={"pool": 0})})
    assert look(shop, 17, none).kind != "rollback"
    roll_back(shop.definition, to=1, why="a person knows", decided_by="Ada", cause_key="x", settings=shop.settings)
    for number in (18, 19, 20, 21):
        shop.live(number, turned)
    found = look(shop, 21, definition)
    assert found.kind != "rollback"
    decision = next(d for d in rows(shop, Decision) if d.id == found.decision_id)
    assert "earlier" not in decision.evidence["rivals"]


def test_where_a_person_approves_an_earlier_version_is_told_and_stays_away(returned):
    shop = returned
    definition = old_hand(shop)
    asked = definition.model_copy(update={"gate": definition.gate.model_copy(update={"approval": "always"})})
    seen = []
    for number in range(15, 19):
        shop.live(number)
        seen.append(look(shop, number, asked))
    (told,) = [found for found in seen if found.cause == "rollback"]
    assert told.kind == "alert"
    (mail,) = [
        row for row in rows(shop, Alert) if row.subject.endswith("a version that served earlier is proven better")
    ]
    assert "evergreen rollback orders --to 1 --why REASON" in str(mail.body)
    assert [d.version for d in rows(shop, Deployment)] == [1, 2]
