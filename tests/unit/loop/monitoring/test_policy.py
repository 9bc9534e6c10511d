"""The policy: action for harm, patience for drift, and never a loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.core.definition.sections import MonitoringSection
from evergreen.loop.champion.evaluation.record import Met, pace
from evergreen.loop.monitoring.policy import PastCheck, Signals, decide

POLICY = MonitoringSection()
"""The shipped defaults: cool-down 3, persistence 2, 1,000 new rows, a look after 4 partitions."""


def seen(**changes):
    return Signals(**{"version": 3, "serving": 3, "age": 3, "new_rows": 30_000, **changes})


def past(ago, kind="no_action", **changes):
    return PastCheck(**{"ago": ago, "version": 3, "kind": kind, "cause": None, **changes})


def retrain(ago, cause="drift", **changes):
    return past(ago, "retrain", cause=cause, **changes)


def test_quiet_data_asks_for_nothing():
    decision = decide(seen(), [past(1), past(2)], POLICY)
    assert decision.kind == "no_action"
    assert decision.reason == "the inputs are as they were, and the champion loses no more than it should"


def test_a_quiet_reason_does_not_pass_over_labels_that_are_held_back():
    decision = decide(seen(held=3), [past(1), past(2)], POLICY)
    assert decision.kind == "no_action"
    assert decision.reason.endswith(
        "the champion loses no more than it should as far as labels are complete (those of 3 partitions are not, and "
        "judge nothing)"
    )
    assert "no complete labels" in decide(seen(held=1, judged=False), [past(1), past(2)], POLICY).reason


def test_drift_that_costs_nothing_is_for_the_digest_and_asks_for_a_retrain_when_it_lasts():
    first = decide(seen(drifted=("temperature",)), [past(1)], POLICY)
    assert (first.kind, first.cause, first.told) == ("no_action", None, ())
    assert "2 checks in a row must see" in first.reason
    second = decide(seen(drifted=("temperature", "carrier")), [past(1, drifted=("temperature",))], POLICY)
    assert (second.kind, second.cause, second.cause_key) == ("retrain", "drift", "drift-v3-1")
    assert second.reason.startswith("temperature has drifted for 2 checks in a row")
    assert second.told == (), "what becomes of the challenger has a mail of its own"


def test_two_columns_that_take_turns_are_not_lasting_drift():
    decision = decide(seen(drifted=("carrier",)), [past(1, drifted=("temperature",))], POLICY)
    assert decision.kind == "no_action"


def test_a_check_that_was_left_out_breaks_the_row():
    assert decide(seen(drifted=("carrier",)), [past(2, "alert", drifted=("carrier",))], POLICY).kind == "no_action"


def test_what_looks_like_a_fault_is_told_at_once_whatever_was_told_before():
    before = [past(1, "alert", cause="drift", drifted=("temperature",), told=("fault",))]
    decision = decide(seen(drifted=("carrier",), faults=("carrier",)), before, POLICY)
    assert (decision.kind, decision.cause, decision.told) == ("alert", "drift", ("fault",))


def test_drift_that_may_cost_is_told_once_and_again_if_it_grows():
    found = decide(seen(drifted=("temperature",), costly=0.2), [past(1)], POLICY)
    assert (found.kind, found.cause, found.told) == ("alert", "drift", ("cost",))
    told = [past(20, "alert", cause="drift", told=("cost",), costly=0.2)]
    assert decide(seen(costly=0.29), told, POLICY).kind == "no_action"
    assert decide(seen(costly=0.31), told, POLICY).kind == "alert"
    assert decide(seen(costly=0.2), [past(2, told=(), costly=0.2)], POLICY).kind == "alert", "nobody was told"


def test_a_bad_week_is_told_once_and_soon_again_only_if_it_is_much_worse():
    found = decide(seen(bad="2013-06-24", rise=0.5), [past(1)], POLICY)
    assert (found.kind, found.cause, found.told) == ("alert", "loss", ("loss",))
    assert "2013-06-24 lost more than was to be expected" in found.reason
    told = past(1, "alert", cause="loss", told=("loss",), bad="2013-06-24", rise=0.5)
    assert decide(seen(bad="2013-06-24", rise=0.5), [told], POLICY).kind == "no_action", "the labels landed again"
    assert decide(seen(bad="2013-07-01", rise=0.6), [told], POLICY).kind == "no_action"
    assert decide(seen(bad="2013-07-01", rise=0.8), [told], POLICY).kind == "alert"
    long_ago = past(5, "alert", cause="loss", told=("loss",), bad="2013-06-24", rise=0.5)
    assert decide(seen(bad="2013-07-29", rise=0.3), [long_ago], POLICY).kind == "alert"


def test_a_bad_week_is_not_told_again_under_a_new_champion():
    told = PastCheck(1, 2, "alert", "loss", told=("loss",), bad="2013-06-24", rise=0.5)
    again = decide(seen(bad="2013-06-24", bad_version=2, rise=0.5), [told], POLICY)
    assert (again.kind, again.told) == ("no_action", ())
    assert "2013-06-24, which version 2 predicted, lost more than was to be expected" in again.reason
    assert decide(seen(bad="2013-07-01", rise=0.6), [told], POLICY).told == ()
    assert decide(seen(bad="2013-07-01", rise=0.8), [told], POLICY).told == ("loss",)


def test_what_was_found_in_a_partition_of_a_replaced_champion_is_told_and_its_harm_is_not():
    late = seen(serving=4, harmed=True, faults=("wind",), bad="2013-06-24", rise=0.5)
    found = decide(late, [], POLICY)
    assert (found.kind, found.cause, found.told) == ("alert", "loss", ("loss", "fault"))
    assert found.reason == "version 4 has replaced version 3 since"
    assert decide(seen(serving=4, harmed=True), [], POLICY).kind == "no_action"


@given(
    harmed=st.booleans(), bad=st.sampled_from([None, "2013-06-24"]), costly=st.sampled_from([0.0, 0.3]),
    faults=st.sampled_from([(), ("carrier",)]), age=st.integers(0, 60),
)  # fmt: skip
def test_what_is_told_is_ordered_and_an_alert_has_something_to_tell(harmed, bad, costly, faults, age):
    decision = decide(seen(harmed=harmed, bad=bad, rise=0.4, costly=costly, faults=faults, age=age), [], POLICY)
    wanted = [("harm", harmed), ("loss", bad is not None), ("cost", costly > 0), ("fault", bool(faults))]
    assert decision.told == tuple(name for name, there in wanted if there)
    assert decision.kind != "alert" or decision.told
    assert decision.kind != "no_action" or not decision.told


def test_harm_asks_at_once_and_says_whether_the_inputs_moved():
    decision = decide(seen(harmed=True), [], POLICY)
    assert (decision.kind, decision.cause, decision.cause_key) == ("retrain", "harm", "harm-v3-1")
    assert "the concept has changed" in decision.reason
    assert "its inputs have drifted" in decide(seen(harmed=True, drifted=("carrier",)), [], POLICY).reason


def test_harm_that_must_wait_is_told_once():
    young = seen(harmed=True, age=1)
    assert decide(young, [], POLICY).kind == "alert"
    assert decide(young, [past(1, "alert", harmed=True)], POLICY).kind == "no_action"


@pytest.mark.parametrize("kind", ["rollback", "promote", "retrain", "alert"])
def test_harm_counts_as_told_by_what_was_told_and_not_by_what_was_done(kind):
    young = seen(harmed=True, age=1)
    about_a_loss = past(1, kind, cause="loss", harmed=True, told=("loss",))
    assert decide(young, [about_a_loss], POLICY).told == ("harm",), "of a late check harm is on record, and not told"
    assert decide(young, [past(1, kind, harmed=True, told=("harm",))], POLICY).told == ()
    before_it_was_recorded = decide(young, [past(1, kind, harmed=True)], POLICY)
    assert before_it_was_recorded.told == (() if kind in ("retrain", "alert") else ("harm",))


def test_a_late_check_of_a_replaced_champion_does_not_count_as_telling_its_harm():
    late = decide(seen(serving=4, harmed=True, bad="2013-06-24", rise=0.5), [], POLICY)
    assert late.told == ("loss",)
    record = past(2, late.kind, cause=late.cause, harmed=True, told=late.told, bad="2013-06-24", rise=0.5)
    assert decide(seen(harmed=True), [record], POLICY).told == ("harm",)


def test_a_champion_meets_a_challenger_when_it_is_due_though_nothing_is_wrong():
    assert decide(seen(age=4), [], POLICY).cause == "age"
    assert decide(seen(age=5), [retrain(1, "age")], POLICY).kind == "no_action"


def test_each_refusal_triples_the_wait_so_that_a_still_world_costs_two_trainings_a_year():
    asked, history = [], []
    for week in range(1, 52):
        decision = decide(seen(age=week), [past(week - at, "retrain", cause="age") for at in history], POLICY)
        if decision.kind == "retrain":
            history.append(week)
            asked.append(week)
    assert asked == [4, 16]


def test_a_champion_that_replaced_another_is_looked_at_as_soon_as_the_first():
    replaced = [PastCheck(5, 2, "retrain", "age"), PastCheck(9, 1, "retrain", "age")]
    assert decide(seen(age=4), replaced, POLICY).kind == "retrain"


def test_a_promotion_proven_a_mistake_is_taken_back_while_it_is_young():
    decision = decide(seen(before=2, served=3, regretted=True, harmed=True), [], POLICY)
    assert (decision.kind, decision.cause, decision.version) == ("rollback", "rollback", 2)
    assert "version 2 would have lost less than version 3" in decision.reason
    old = seen(before=2, served=POLICY.rollback_within + 1, regretted=True)
    assert decide(old, [], POLICY).kind == "no_action"
    assert decide(seen(before=2, served=3), [], POLICY).kind == "no_action"


def test_a_refused_challenger_that_is_proven_better_later_is_promoted():
    decision = decide(seen(challenger=5, surpassed=True), [retrain(2)], POLICY)
    assert (decision.kind, decision.cause, decision.version) == ("promote", "promotion", 5)
    assert decision.cause_key == "promotion-v5"
    assert decide(seen(challenger=5), [retrain(2)], POLICY).kind == "no_action"


def test_an_earlier_version_that_is_proven_better_comes_back_instead_of_a_training():
    decision = decide(seen(comeback=1, harmed=True, served=20), [], POLICY)
    assert (decision.kind, decision.cause, decision.version) == ("rollback", "rollback", 1)
    assert "version 1, which has served before, would lately have lost less than version 3" in decision.reason
    taken_back = decide(seen(comeback=1, before=2, served=3, regretted=True), [], POLICY)
    assert taken_back.version == 2, "a promotion that was a mistake is taken back first"
    assert decide(seen(comeback=1, challenger=5, surpassed=True), [], POLICY).version == 5


def test_where_promotions_are_a_persons_an_earlier_version_is_told_once_and_does_not_come_back_by_itself():
    asked = seen(comeback=1, served=20, approval=True)
    decision = decide(asked, [], POLICY)
    assert (decision.kind, decision.cause, decision.version) == ("alert", "rollback", None)
    assert decision.reason.endswith("; the definition leaves it to a person who serves")
    assert decide(asked, [past(1, "alert", cause="rollback")], POLICY).kind == "no_action"
    mistake = seen(comeback=1, before=2, served=3, regretted=True, approval=True)
    assert decide(mistake, [], POLICY).version == 2, "a mistake is taken back all the same"


def test_drift_is_not_held_by_an_age_whose_challenger_was_refused():
    history = [retrain(9, "age"), past(1, "alert", drifted=("carrier",))]
    assert decide(seen(age=35, drifted=("carrier",)), history, POLICY).cause == "drift"


def test_too_few_new_labels_hold_a_retrain():
    decision = decide(seen(harmed=True, new_rows=999), [], POLICY)
    assert decision.kind == "alert"
    assert "only 999 labelled rows are new, a retrain needs 1,000" in decision.reason


def test_labels_that_move_alone_are_told_apart():
    assert "the labels have moved" in decide(seen(label_drifted=True), [], POLICY).reason


def test_a_late_check_of_a_replaced_champion_decides_nothing():
    decision = decide(seen(serving=4, harmed=True, drifted=("carrier",)), [], POLICY)
    assert decision.kind == "no_action"
    assert decision.reason == "version 4 has replaced version 3 since"


def test_after_a_refused_retrain_the_same_cause_waits_twice_as_long_each_time():
    asked, history = [], []
    for week in range(60):
        ago = [past_check(week - at, kind, cause) for at, kind, cause in history]
        decision = decide(seen(harmed=True, age=min(5 + week, 25)), ago, POLICY)
        history.append((week, decision.kind, decision.cause))
        if decision.kind == "retrain":
            asked.append(week)
    assert asked == [0, 6, 18, 42]


def past_check(ago, kind, cause):
    return past(ago, kind, cause=cause if kind == "retrain" else None, harmed=True)


checks = st.lists(
    st.builds(
        PastCheck,
        ago=st.integers(1, 60),
        version=st.integers(1, 4),
        kind=st.sampled_from(["no_action", "alert", "retrain"]),
        cause=st.sampled_from(["drift", "harm", "age"]),
        drifted=st.sets(st.sampled_from("abc")).map(lambda s: tuple(sorted(s))),
        harmed=st.booleans(),
    ),
    max_size=25,
)
signals = st.builds(
    Signals,
    version=st.integers(1, 4),
    serving=st.integers(1, 4),
    age=st.integers(0, 60),
    new_rows=st.integers(0, 5000),
    drifted=st.sets(st.sampled_from("abc")).map(lambda s: tuple(sorted(s))),
    prediction_drifted=st.booleans(),
    label_drifted=st.booleans(),
    harmed=st.booleans(),
    before=st.none() | st.integers(1, 4),
    served=st.integers(0, 12),
    regretted=st.booleans(),
    challenger=st.none() | st.integers(5, 6),
    surpassed=st.booleans(),
    comeback=st.none() | st.integers(1, 4),
)
policies = st.builds(
    MonitoringSection,
    cool_down=st.integers(0, 6),
    min_new_rows=st.integers(0, 3000),
    refresh=st.integers(1, 20),
    max_age=st.integers(1, 40),
    persistence=st.integers(1, 4),
)


@given(signals, checks, policies)
def test_cool_down_new_rows_and_serving_hold_whatever_is_seen(now, history, policy):
    decision = decide(now, history, policy)
    if decision.kind != "retrain":
        return
    assert now.serving == now.version
    assert now.new_rows >= policy.min_new_rows
    assert now.age >= policy.cool_down
    assert all(check.ago >= policy.cool_down for check in history if check.kind == "retrain")


@given(signals, checks, policies)
def test_every_decision_has_a_reason_and_a_retrain_has_a_new_cause_key(now, history, policy):
    decision = decide(now, history, policy)
    assert decision.reason
    assert (decision.kind == "no_action") == (decision.cause is None)
    if decision.kind == "retrain":
        made = [c for c in history if c.kind == "retrain" and c.version == now.version and c.cause == decision.cause]
        assert decision.cause_key == f"{decision.cause}-v{now.version}-{len(made) + 1}"


@given(signals, checks, policies, st.randoms())
def test_the_order_of_the_history_does_not_matter(now, history, policy, random):
    shuffled = list({check.ago: check for check in history}.values())
    expected = decide(now, shuffled, policy)
    random.shuffle(shuffled)
    assert decide(now, shuffled, policy) == expected


@pytest.mark.slow
@given(st.lists(st.booleans(), min_size=60, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60), policies)
def test_a_champion_whose_challengers_are_all_refused_causes_few_retrains(drifts, harms, policy):
    history, retrains = [], 0
    for week, (drifted, harmed) in enumerate(zip(drifts, harms, strict=True)):
        now = seen(drifted=("a",) if drifted else (), harmed=harmed, age=week)
        ago = [PastCheck(week - at, 3, *rest) for at, *rest in history]
        decision = decide(now, ago, policy)
        retrains += decision.kind == "retrain"
        history.append((week, decision.kind, decision.cause, now.drifted, harmed))
    assert retrains <= 12 + 60 // policy.max_age


def test_new_feature_code_asks_for_a_retrain_at_once_and_after_harm_and_drift():
    code = "0123456789abcdef"
    decision = decide(seen(age=0, new_rows=0, new_code=code), [retrain(1)], POLICY)
    assert (decision.kind, decision.cause, decision.cause_key) == ("retrain", "code", "code-v3-0123456789ab")
    assert "the feature code has changed" in decision.reason
    harmed = decide(seen(harmed=True, new_code=code), [], POLICY)
    assert (harmed.kind, harmed.cause) == ("retrain", "harm")
    assert "the feature code has changed" in harmed.reason, "its challenger is made from the new code as well"
    assert "feature code" not in decide(seen(harmed=True), [], POLICY).reason


LEARNED = POLICY.model_copy(update={"learned_pace": True})


def fast(gain=0.03):
    return pace([Met((f"2024-{n}",), 4, 4 * gain, 1e-6) for n in range(3)])


def test_a_model_whose_newer_challengers_have_gained_meets_the_next_one_sooner():
    assert decide(seen(age=1), [], LEARNED).kind == "no_action"
    decision = decide(seen(age=1, pace=fast()), [], LEARNED)
    assert (decision.kind, decision.cause) == ("retrain", "age")
    assert "due after 1 (past challengers have gained 3.0 % for each partition that they were newer)" in decision.reason


def test_the_cool_down_and_the_new_rows_shrink_with_it():
    before = [retrain(1, "age", version=2)]
    assert decide(seen(age=1, pace=fast(), new_rows=250), before, LEARNED).kind == "retrain"
    assert "a retrain needs 250" in decide(seen(age=1, pace=fast(), new_rows=249), before, LEARNED).reason


def test_challengers_that_gained_nothing_change_nothing():
    slow = pace([Met(("2024-1",), 4, -0.2, 1e-6)])
    for age in (1, 3, 4, 9):
        assert decide(seen(age=age, pace=slow), [], LEARNED) == decide(seen(age=age), [], LEARNED)


def test_a_refused_challenger_makes_even_a_fast_model_wait():
    assert decide(seen(age=2, pace=fast()), [retrain(1, "age")], LEARNED).kind == "no_action"
    assert decide(seen(age=4, pace=fast()), [retrain(3, "age")], LEARNED).kind == "retrain"


def test_unless_asked_for_the_record_changes_nothing():
    for age in (1, 3, 4):
        assert decide(seen(age=age, pace=fast()), [], POLICY) == decide(seen(age=age), [], POLICY)
