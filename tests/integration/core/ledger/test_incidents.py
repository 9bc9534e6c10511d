"""One cause, one incident: on a real ledger, in any order, from several processes at once."""

import datetime as dt
import itertools
import threading
import uuid
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from evergreen.core.ledger import incidents
from evergreen.core.ledger.incidents import Cause, Met
from evergreen.core.ledger.outbox import AlertBody, owe
from evergreen.core.ledger.tables import Alert, Incident, Occurrence

pytestmark = pytest.mark.integration
NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
BODY = AlertBody(headline="It is in quarantine.", summary="A column is missing.")
PRICE, STORE = (Cause("quarantine", "inputs", (f"missing {name}",), f"inputs: {name}") for name in ("price", "store"))


class Story:
    """What happens to a model's partitions."""

    def __init__(self, ledger, definition, model="nyc_flights"):
        self.ledger, self.definition = ledger, definition.model_copy(update={"name": model})
        self.model, self.numbers = model, itertools.count()  # its next() is one step, whatever the thread

    def bad(self, key, cause=PRICE, now=NOW, name=None):
        name = name or f"q:{next(self.numbers)}"
        with self.ledger.transaction() as session:
            told = partial(owe, session, self.definition)
            incidents.well(
                session, self.model, "quarantine", "inputs", part=key, key=key, how="another cause", owe=told,
                except_for=cause, came_through=False, now=now,
            )  # fmt: skip
            return incidents.occur(
                session, self.model, cause, [Met(name, key, f"{key} lacks it", run_url="http://a/log")],
                subject="inputs quarantined", body=BODY, owe=told, now=now,
            )  # fmt: skip

    def good(self, key, now=NOW):
        with self.ledger.transaction() as session:
            return incidents.well(
                session, self.model, "quarantine", "inputs", part=key, key=key, how="accepted",
                owe=partial(owe, session, self.definition), now=now,
            )  # fmt: skip

    def settle(self, now):
        with self.ledger.transaction() as session:
            return incidents.settle(session, self.model, owe=partial(owe, session, self.definition), now=now)

    def rows(self, table):
        with self.ledger.transaction() as session:
            return list(session.scalars(select(table).where(table.model == self.model).order_by(table.id)))

    def subjects(self):
        with self.ledger.transaction() as session:
            found = session.scalars(select(Alert).where(Alert.model == self.model).order_by(Alert.created_at))
            return [alert.subject.partition(": ")[2] for alert in found]


@pytest.fixture
def story(ledger, definition):
    return Story(ledger, definition)


def key(number):
    return f"2024-{1 + number // 28:02}-{1 + number % 28:02}"


def test_twenty_partitions_of_one_cause_are_two_mails_and_all_on_record(story):
    alerts = [story.bad(key(n)) for n in range(20)]
    assert [n for n, alert in enumerate(alerts, 1) if alert] == [1, 10]
    assert story.subjects() == ["inputs quarantined", "10 partitions, one cause: inputs: price"]
    assert [row[0] for row in alerts[9].body["table"]["rows"]] == [key(n) for n in range(10)]
    assert alerts[9].body["table"]["rows"][0][-1] == "http://a/log"
    (incident,) = story.rows(Incident)
    assert (incident.partitions, incident.told, incident.closed_at) == (20, 10, None)
    assert [one.key for one in story.rows(Occurrence)] == [key(n) for n in range(20)]


def test_another_cause_is_another_incident_with_a_mail_of_its_own(story):
    for n in range(8):
        story.bad(key(n), PRICE if n % 2 else STORE)
    assert story.subjects() == ["inputs quarantined"] * 2
    assert [incident.partitions for incident in story.rows(Incident)] == [4, 4]


def test_a_later_partition_that_comes_through_ends_it_and_says_what_is_left(story):
    story.bad(key(1)), story.bad(key(2))
    assert story.good(key(0)) == [], "an earlier partition says nothing about it"
    (alert,) = story.good(key(3))
    assert story.good(key(4)) == []
    assert alert.subject.endswith("all clear: inputs: price")
    assert "2 partitions of it still need a person" in alert.body["summary"]
    assert [row[3] for row in alert.body["table"]["rows"]] == ["not resolved"] * 2
    story.good(key(1))
    assert [one.how for one in story.rows(Occurrence)] == ["accepted", None]


def test_it_ends_when_all_its_partitions_are_resolved(story):
    story.bad(key(1)), story.bad(key(2))
    assert story.good(key(2)) == []
    (alert,) = story.good(key(1))
    assert "all of it is resolved" in alert.body["summary"]
    assert alert.body["next_steps"] == ["Nothing."]


def test_a_partition_that_is_bad_for_another_cause_now_is_resolved_for_the_first(story):
    story.bad(key(1))
    story.bad(key(1), STORE)
    mails = ["all clear: inputs: price", "inputs quarantined", "inputs quarantined"]
    assert sorted(story.subjects()) == mails, "two of them are of one transaction, and of one instant"


def test_what_comes_back_is_opened_again_and_then_has_to_be_well_for_a_while(story):
    story.bad(key(1))
    story.good(key(1))
    again = story.bad(key(2), now=NOW + HOUR)
    assert again.subject.endswith("again: inputs quarantined")
    assert "is back" in again.body["summary"]
    assert story.good(key(2), now=NOW + 2 * HOUR) == []
    assert story.bad(key(3), now=NOW + 2.5 * HOUR) is None, "it never was over"
    assert story.good(key(3), now=NOW + 3 * HOUR) == []
    assert story.settle(NOW + 3.9 * HOUR) == []
    (alert,) = story.settle(NOW + 4 * HOUR)
    assert alert.subject.endswith("all clear: inputs: price")
    assert story.settle(NOW + 9 * HOUR) == []


def test_while_it_grows_it_is_said_again_the_next_day(story):
    assert story.bad(key(1))
    assert story.bad(key(2), now=NOW + 23 * HOUR) is None
    assert story.bad(key(3), now=NOW + 24 * HOUR)
    assert story.bad(key(4), now=NOW + 48 * HOUR) is None
    assert story.bad(key(5), now=NOW + 72 * HOUR)


def test_the_same_partition_again_is_on_record_and_counts_once(story):
    assert [bool(story.bad(key(1))) for _ in range(12)] == [True] + [False] * 11
    (incident,) = story.rows(Incident)
    assert incident.partitions == 1
    assert len(story.rows(Occurrence)) == 12


def test_the_same_bytes_refused_again_are_on_record_once_while_it_goes_on(story):
    """A task that is cleared, or a callback that runs twice, meets the very same thing."""
    assert [bool(story.bad(key(1), name="build:abc")) for _ in range(3)] == [True, False, False]
    assert len(story.rows(Occurrence)) == 1


@pytest.mark.parametrize("well", [1, 2])
def test_the_same_bytes_refused_again_after_an_all_clear_are_told_again(story, well):
    """Whether it was resolved itself, or a later partition came through: people have been told that it is over."""
    story.bad(key(1), name="build:abc")
    assert story.good(key(well)), "the all-clear"
    again = story.bad(key(1), name="build:abc", now=NOW + HOUR)
    assert again is not None, "whoever was told that it is over must be told that it is not"
    assert again.subject.endswith("again: inputs quarantined")
    assert story.bad(key(1), name="build:abc", now=NOW + HOUR) is None
    assert [one.part for one in story.rows(Occurrence)] == [key(1)] * 2
    story.good(key(1), now=NOW + 2 * HOUR)
    assert story.settle(NOW + 4 * HOUR), "the second all-clear"
    assert story.bad(key(1), name="build:abc", now=NOW + 5 * HOUR), "a third time is a third occurrence"
    assert len({one.name for one in story.rows(Occurrence)}) == 3


def test_two_backfills_at_once_make_one_incident(story):
    barrier = threading.Barrier(8)

    def fail(first):
        barrier.wait()
        for n in range(first, 40, 8):
            story.bad(key(n), STORE if n % 5 == 0 else PRICE)

    threads = [threading.Thread(target=fail, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(incident.partitions for incident in story.rows(Incident)) == [8, 32]
    assert len(story.rows(Occurrence)) == 40
    assert len(story.subjects()) == 3


def test_what_is_rolled_back_leaves_nothing(story):
    class StopError(Exception):
        pass

    def stop(**mail):
        raise StopError

    with pytest.raises(StopError), story.ledger.transaction() as session:
        incidents.occur(session, story.model, PRICE, [Met("x", key(1), "bad")], subject="s", body=BODY, owe=stop)
    assert story.rows(Incident) == story.rows(Occurrence) == []


STEP = st.tuples(st.integers(0, 11), st.sampled_from([PRICE, STORE, None]), st.integers(0, 90))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=30))
def test_in_any_order_there_is_one_open_incident_a_cause_few_mails_and_one_all_clear_each(
    open_ledger, definition, steps
):
    story, now, seen = Story(open_ledger, definition, f"m{uuid.uuid4().hex[:12]}"), NOW, {PRICE: set(), STORE: set()}
    for number, cause, minutes in steps:
        now += dt.timedelta(minutes=minutes)
        story.settle(now)
        if cause is None:
            story.good(key(number), now)
        else:
            story.bad(key(number), cause, now)
            seen[cause].add(key(number))
    mails = story.subjects()
    assert len(story.rows(Occurrence)) == sum(cause is not None for _, cause, _ in steps)
    for cause, keys in seen.items():
        mine = [row for row in story.rows(Incident) if row.cause == cause.fingerprint]
        assert sum(row.closed_at is None for row in mine) <= 1
        assert bool(mine) == bool(keys)
        # Each return needs an hour of calm more, twice as long each time; one stream of steps lasts 45 hours at most.
        assert len(mine) <= 2 + (45).bit_length()
        clears = [mail for mail in mails if mail == f"all clear: {cause.what}"]
        assert len(clears) == sum(row.closed_at is not None for row in mine)
        assert sum(row.mails for row in mine) <= len(clears) + len(mine) * (len(str(len(keys))) + 3)
    end = now + dt.timedelta(days=40)
    for number in range(13):
        story.good(key(number), end)
    story.settle(end + dt.timedelta(days=2))
    assert all(row.closed_at for row in story.rows(Incident))
    assert all(one.resolved_at for one in story.rows(Occurrence))
    assert len([m for m in story.subjects() if m.startswith("all clear")]) == len(story.rows(Incident))
