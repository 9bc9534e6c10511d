"""What goes and what stays: whatever lives a model has had, nothing that anybody can still reach is in the plan."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.core.definition import load_definition
from evergreen.core.definition.sections import RetentionSection
from evergreen.core.ledger.queries.collected import model_name, run_name
from evergreen.operations.retention.inventory import Built, Facts, Judged, Landed, Trained, Written
from evergreen.operations.retention.plan import GRACE, plan

_SHIPPED = load_definition("nyc_flights")
DEFINITION = _SHIPPED.model_copy(
    update={
        "training": _SHIPPED.training.model_copy(update={"window": 4, "validation": 1}),
        "gate": _SHIPPED.gate.model_copy(update={"holdout": 2}),
        "features": _SHIPPED.features.model_copy(update={"look_back": 3}),
    }
)
MODEL = DEFINITION.name
CALENDAR = DEFINITION.partitions
NOW = dt.datetime(2014, 1, 1, tzinfo=dt.UTC)
OLD, YOUNG = NOW - dt.timedelta(days=200), NOW - GRACE + dt.timedelta(minutes=1)
KEYS = CALENDAR.keys("2013-01-07", CALENDAR.shift("2013-01-07", 29))
KEEP = tuple(RetentionSection.model_fields)
LEAST = RetentionSection(**dict.fromkeys(KEEP, 1))
STATES = ["assembled", "trained", "compared", "promoted", "promoted", "refused", "refused", "failed"]

ages = st.sampled_from([OLD] * 9 + [YOUNG])
counts = st.one_of(st.none(), st.integers(1, 40))
policies = st.builds(RetentionSection, **dict.fromkeys(KEEP, counts))


@st.composite
def versions(draw):
    """Versions of landed partitions; the same bytes may land twice, and a verdict may be given again."""
    found, number = [], 0
    for key in KEYS:
        for table in ("inputs", "labels"):
            for version in range(1, draw(st.sampled_from([1, 1, 1, 2, 0])) + 1):
                number += 1
                content = f"{table}/{key}/{draw(st.integers(1, 2))}"
                verdicts = tuple(
                    _judged(number * 10 + n, f"{content}-{suite}", draw(st.sampled_from([True, True, True, False])))
                    for n, suite in enumerate(draw(st.sampled_from([[1], [1], [1], [1, 2], []])))
                )
                samples = tuple(f"sample/{v.results}" for v in verdicts if not v.accepted)
                profiles = tuple(f"profile/{v.clean}" for v in verdicts if v.accepted)
                found.append(
                    Landed(number, table, key, version, f"raw/{content}", verdicts, draw(ages), samples, profiles)
                )
    return tuple(found)


def _judged(number, name, accepted):
    if accepted:
        return Judged(number, True, clean=f"clean/{name}", rejected=f"rejected/{name}", results=f"results/{name}")
    return Judged(number, False, results=f"results/{name}")


@st.composite
def lives(draw):
    """Facts of a model. Datasets name snapshots and verdicts that exist; all else is arbitrary."""
    landed = draw(versions())
    verdicts = [verdict.id for version in landed for verdict in version.verdicts]
    inputs = [version for version in landed if version.table == "inputs"]
    built = tuple(
        Built(
            number, source.key, f"md5-{draw(st.integers(0, 60))}", f"results/{number}", source.id,
            draw(st.sampled_from([None, *(v.id for v in source.verdicts)])), draw(ages),
        )
        for number, source in enumerate(inputs)
        if draw(st.sampled_from([True, True, True, False]))
    )  # fmt: skip
    some = st.sets(st.sampled_from([b.id for b in built]), max_size=4) if built else st.just(set())
    labels = st.sets(st.sampled_from(verdicts), max_size=4) if verdicts else st.just(set())
    trained, version = [], 0
    for number in range(1, draw(st.sampled_from([0, 3, 5, 8])) + 1):
        state = draw(st.sampled_from(STATES))
        if state not in ("assembled", "failed"):
            version += 1
        made = version if state not in ("assembled", "failed") else None
        trained.append(
            Trained(
                number, made, draw(st.sampled_from(KEYS[10:])), state, frozenset(draw(some)),
                frozenset(draw(labels)), draw(ages),
            )
        )  # fmt: skip
    known = st.sampled_from(range(1, version + 1)) if version else st.nothing()
    pairs = st.tuples(known, st.one_of(st.none(), known))
    written = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 40), ages), min_size=3, max_size=10)
    return Facts(
        landed=landed,
        built=built,
        predicted=tuple(Written(key, f"predictions/{key}/{n}", born) for key, n, born in draw(written)),
        reported=tuple(Written(key, f"reports/{key}/{n}", born) for key, n, born in draw(written)),
        trained=tuple(trained),
        served=tuple(draw(st.lists(known, max_size=5))) if version else (),
        compared=frozenset(draw(st.sets(pairs, max_size=5))) if version else frozenset(),
        gone=frozenset(draw(st.sets(st.integers(0, 60).map("md5-{}".format), max_size=3))),
        foreign=frozenset(draw(st.sets(st.integers(0, 60).map("md5-{}".format), max_size=3))),
    )


def names(policy, facts):
    return {item.name for item in plan(DEFINITION, policy, facts, now=NOW)}


def current(facts, table):
    """The version of each key that stages read."""
    found = {}
    for version in sorted(facts.landed, key=lambda v: v.version):
        if version.table == table and version.accepted:
            found[version.key] = version
    return found


def dataset(facts, runs):
    """What a training reads, or reads again: features, labels, and the inputs beside them."""
    verdicts = {v.id: v for version in facts.landed for v in version.verdicts}
    latest = {version.id: version.verdicts[-1] for version in facts.landed if version.verdicts}
    found = set()
    for run in runs:
        found |= {verdicts[number].clean for number in run.labels}
        for built in (b for b in facts.built if b.id in run.snapshots):
            found.add(built.md5)
            read = verdicts.get(built.inputs_verdict) or latest.get(built.inputs_version)
            found |= {read.clean} if read else set()
    return found


def reachable(facts):
    """Objects that serving, going back, the monitor, the next training and the next features can ask for."""
    champion = facts.served[-1] if facts.served else None
    others = [version for version in facts.served if version != champion]
    rivals = {ours for ours, theirs in facts.compared if champion is not None and theirs == champion}
    in_use = {champion, others[-1] if others else None, *rivals}
    undecided = [run for run in facts.trained if run.state in ("assembled", "trained", "compared")]
    found = {model_name(MODEL, version) for version in {*facts.served, *rivals}}
    found |= {model_name(MODEL, r.version) if r.version else run_name(MODEL, r.id) for r in undecided}
    found |= dataset(facts, [run for run in facts.trained if run.version is not None and run.version in in_use])
    found |= dataset(facts, undecided)

    newest = {built.key: built for built in facts.built}
    inputs, labels = current(facts, "inputs"), current(facts, "labels")
    chosen = sorted(newest.keys() & labels.keys())[-(DEFINITION.training.window + DEFINITION.gate.holdout) :]
    for key in chosen:
        found |= {newest[key].md5, labels[key].verdicts[-1].clean}
    landed = sorted(inputs.keys() | labels.keys())
    for key in landed[-1:]:
        for wanted in (key, CALENDAR.shift(key, 1)):
            for past in CALENDAR.look_back(wanted, DEFINITION.features.look_back, DEFINITION.feed.label_delay):
                found |= {rows[past].verdicts[-1].clean for rows in (inputs, labels) if past in rows}
    for version in facts.landed:
        last = max(v.version for v in facts.landed if (v.table, v.key) == (version.table, version.key))
        if not version.accepted and version.version == last:
            found |= {version.raw, *version.samples}
    # The next verdicts compare with all of these: a comparison may reach further back than thirty weeks.
    for version in (*inputs.values(), *labels.values()):
        found.add(f"profile/{version.verdicts[-1].clean}")
    return found - {None}


@pytest.mark.slow
@given(lives(), policies)
@settings(max_examples=150, deadline=None)
def test_nothing_that_can_be_reached_goes(facts, policy):
    assert names(policy, facts) & reachable(facts) == set()
    assert names(LEAST, facts) & reachable(facts) == set()


@pytest.mark.slow
@given(lives(), policies)
@settings(max_examples=60, deadline=None)
def test_nothing_goes_twice_nor_what_is_young_or_of_another_model(facts, policy):
    going = names(policy, facts)
    assert not going & (facts.gone | facts.foreign)
    young = {v.raw for v in facts.landed if NOW - v.born < GRACE} | {b.md5 for b in facts.built if NOW - b.born < GRACE}
    assert not going & young
    assert names(policy, replace(facts, gone=facts.gone | going)) == set()


@pytest.mark.slow
@given(lives(), policies, policies)
@settings(max_examples=60, deadline=None)
def test_to_keep_more_never_collects_more(facts, one, other):
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in KEEP}
    more = {name: None if None in pair else max(pair) for name, pair in pairs.items()}
    assert names(RetentionSection(**more), facts) <= names(one, facts) & names(other, facts)
    assert names(RetentionSection(), facts) == set()


@pytest.mark.slow
@given(lives(), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_what_kept_features_look_back_on_is_kept_with_them(facts, count):
    """A partition that is kept and lands again is built again, from what it looked back on."""
    going = names(RetentionSection(keep_partitions=count), facts)
    inputs, labels = current(facts, "inputs"), current(facts, "labels")
    for key in sorted(inputs.keys() | labels.keys())[-count:]:
        for past in CALENDAR.look_back(key, DEFINITION.features.look_back, DEFINITION.feed.label_delay):
            assert not going & {rows[past].verdicts[-1].clean for rows in (inputs, labels) if past in rows}


def year(**changes):
    """Thirty quiet weeks, each with everything, one champion made of the first six, a refused challenger after it."""
    landed = tuple(
        Landed(n * 2 + t, table, key, 1, f"raw/{table}/{key}", (_judged(n * 2 + t, f"{table}/{key}", True),), OLD)
        for n, key in enumerate(KEYS)
        for t, table in enumerate(("inputs", "labels"))
    )
    built = tuple(Built(n, key, f"md5-{key}", None, n * 2, n * 2, OLD) for n, key in enumerate(KEYS))
    runs = (
        Trained(1, 1, KEYS[5], "promoted", frozenset(range(6)), frozenset(range(1, 12, 2)), OLD),
        Trained(2, 2, KEYS[8], "refused", frozenset(range(3, 9)), frozenset(), OLD),
        Trained(3, 3, KEYS[20], "promoted", frozenset(range(15, 21)), frozenset(), OLD),
        Trained(4, 4, KEYS[24], "promoted", frozenset(range(19, 25)), frozenset(), OLD),
    )
    facts = Facts(landed=landed, built=built, trained=runs, served=(1, 3, 4), compared=frozenset({(2, 1)}))
    return replace(facts, **changes)


def features_that_go(facts, policy=LEAST):
    return [item.key for item in plan(DEFINITION, policy, facts, now=NOW) if item.kind == "features"]


def test_old_weeks_go_but_not_those_a_champion_or_its_predecessor_was_made_of():
    assert features_that_go(year()) == KEYS[:15]
    assert features_that_go(year(), RetentionSection(keep_partitions=20)) == KEYS[:10]
    assert [item.name for item in plan(DEFINITION, LEAST, year(), now=NOW) if item.kind == "model"] == [
        model_name(MODEL, 2)
    ]


def test_the_season_a_year_ago_stays_where_checks_compare_with_it():
    keys = CALENDAR.keys("2013-01-07", CALENDAR.shift("2013-01-07", 79))
    landed = tuple(
        Landed(n, "inputs", key, 1, f"raw/{key}", (_judged(n, key, True),), OLD) for n, key in enumerate(keys)
    )
    built = tuple(Built(n, key, f"md5-{key}", None, n, n, OLD) for n, key in enumerate(keys))
    labels = tuple(replace(v, id=v.id + 100, table="labels", raw=f"{v.raw}/labels") for v in landed)
    facts, monitoring = Facts(landed=landed + labels, built=built), DEFINITION.monitoring
    for kind, first in (("training", 74), ("rolling", 70), ("season", 22)):
        asked = monitoring.model_copy(update={"reference": kind, "reference_window": 8})
        definition = DEFINITION.model_copy(update={"monitoring": asked})
        going = [item.key for item in plan(definition, LEAST, facts, now=NOW) if item.kind == "features"]
        assert going == keys[:first]


def test_profiles_stay_for_as_long_as_a_comparison_may_look_at_them():
    keys = CALENDAR.keys("2011-01-03", CALENDAR.shift("2011-01-03", 149))
    landed = tuple(
        Landed(
            n, table, key, 1, f"raw/{table}/{key}", (_judged(n, f"{table}/{key}", True),), OLD, (), (f"{table}/{key}",)
        )
        for n, (key, table) in enumerate((key, table) for key in keys for table in ("inputs", "labels"))
    )
    built = tuple(Built(n, key, f"md5-{key}", None, 2 * n, 2 * n, OLD) for n, key in enumerate(keys))
    facts = Facts(landed=landed, built=built)
    going = [item.name for item in plan(DEFINITION, LEAST, facts, now=NOW) if item.kind == "profile"]
    # The one that is landing is the last but one; a year before it is 52 weeks, and 60 before that may be asked for.
    assert sorted(going) == sorted(f"{table}/{key}" for key in keys[: 148 - 52 - 60] for table in ("inputs", "labels"))
    assert not plan(DEFINITION, RetentionSection(), facts, now=NOW)

    replaced, n = landed[200], 999
    again = replace(
        replaced, id=n, version=2, raw="raw/again", verdicts=(_judged(n, "again", True),), profiles=("new",)
    )
    policy = names(LEAST, replace(facts, landed=(*landed, again)))
    assert replaced.profiles[0] in policy, "those rows were replaced"
    assert "new" not in policy


def test_a_key_far_in_the_future_displaces_one_partition_only():
    strange = Landed(999, "inputs", "2099-01-05", 1, "raw/strange", (_judged(999, "strange", True),), OLD)
    facts = year(served=(), trained=())
    policy = RetentionSection(keep_partitions=20)
    assert features_that_go(facts, policy) == KEYS[:10]
    assert features_that_go(replace(facts, landed=(*facts.landed, strange)), policy) == KEYS[:11]


def test_a_failed_run_can_be_carried_on_until_a_later_one_is_concluded():
    failed = Trained(2, None, KEYS[8], "failed", frozenset(range(3, 9)), frozenset(), OLD)
    first, _, *rest = year().trained
    assert run_name(MODEL, 2) in names(LEAST, year(trained=(first, failed, *rest)))
    alone = year(trained=(first, failed), served=(1,))
    assert run_name(MODEL, 2) not in names(LEAST, alone)


def test_files_that_two_rows_name_go_when_both_let_them():
    facts = year(served=(), trained=())
    again = replace(facts.built[0], id=100, key=KEYS[-1])
    assert features_that_go(replace(facts, built=(*facts.built, again)))[0] == KEYS[1]
