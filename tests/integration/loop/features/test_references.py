"""Reference tables and inputs without labels, on real PostgreSQL, Git and DVC: what a partition may read, and when."""

import itertools
import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

from evergreen.core.feature_repository.snapshots import read_frame
from evergreen.core.ledger.queries import references
from evergreen.core.ledger.tables import Alert, Incident, ReferenceVersion, Snapshot
from evergreen.errors import UnavailableError
from evergreen.loop.features.build import build
from evergreen.loop.features.feature_code import today
from evergreen.loop.features.readiness import readiness
from evergreen.loop.features.stale import rebuilds_due, stale_keys
from evergreen.loop.intake import lake
from evergreen.loop.intake.drop_content import content_of
from evergreen.loop.intake.failures import UnfitFileError
from evergreen.loop.intake.references.bring_in import bring_in
from evergreen.loop.online.context import Contexts, read_basis
from helpers.reference_fixtures import land_reference, prices, with_references

pytestmark = pytest.mark.integration
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
KEY = DAYS[2]
FIRST = prices(("SE", "2023-01-01", 10.0), ("FI", "2023-01-01", 20.0))
RAISED = prices(("SE", "2023-01-01", 10.0), ("FI", "2023-01-01", 20.0), ("SE", f"{KEY}T02:30", 100.0),
                ("FI", "2024-02-01", 900.0))  # fmt: skip
HOLIDAYS = pd.DataFrame({"day": ["2024-01-03"], "name": ["Wednesday"]})


@pytest.fixture
def shop(feed):
    return with_references(feed)


def bring(shop, *landed: tuple[str, str, pd.DataFrame]):
    for name, stamp, frame in landed:
        land_reference(shop.settings, name, stamp, frame)
    return bring_in(shop.definition, settings=shop.settings, run_url="http://airflow/run")


def make(shop, key: str = KEY):
    return build(shop.definition, key, settings=shop.settings)


def read(shop, built) -> pd.DataFrame:
    return read_frame(shop.settings, built.git_commit, built.dvc_path, dvc_hash=built.dvc_hash)


def versions(shop) -> list[ReferenceVersion]:
    with shop.ledger.transaction() as session:
        return session.query(ReferenceVersion).order_by(ReferenceVersion.id).all()


def stored(shop, key: str = KEY) -> list[Snapshot]:
    with shop.ledger.transaction() as session:
        return session.query(Snapshot).filter_by(key=key).order_by(Snapshot.id).all()


def test_a_partition_reads_what_was_known_when_it_began_and_was_valid_at_each_event(shop):
    done = bring(shop, ("prices", "2023-12-31", FIRST), ("prices", KEY, RAISED), ("holidays", "2023-12-01", HOLIDAYS))
    assert [(d.name, d.stamp, d.outcome, d.rows) for d in done] == [
        ("prices", "2023-12-31", "accepted", 2), ("prices", KEY, "accepted", 4),
        ("holidays", "2023-12-01", "accepted", 1),
    ]  # fmt: skip
    shop.days(*DAYS[:2])
    shop.accept(KEY)
    built = make(shop)
    found = read(shop, built)
    # Orders come at each full hour from midnight on, Swedish first; Sweden's price rises at half past two.
    assert (found["rebate"] + found["price"]).tolist() == [10, 20, 10, 20, 100, 20]
    assert found["holiday"].tolist() == ["Wednesday"] * 6
    assert found["recent_orders"].tolist() == [6.0] * 6
    (row,) = stored(shop)
    ids = {(v.name, v.stamp): v.id for v in versions(shop)}
    assert row.references_used == {"prices": ids["prices", KEY], "holidays": ids["holidays", "2023-12-01"]}
    assert list(row.recent_inputs) == list(DAYS[:2])
    day_before = read(shop, (shop.days(), make(shop, DAYS[1]))[1])
    assert (day_before["rebate"] + day_before["price"]).tolist() == [10, 20] * 3
    assert day_before["holiday"].isna().all()


def test_the_end_does_not_depend_on_the_order_of_arrival(shop):
    steps = [
        lambda: bring(shop, ("prices", "2023-12-31", FIRST)),
        lambda: bring(shop, ("prices", DAYS[1], RAISED)),
        lambda: bring(shop, ("holidays", "2023-12-31", HOLIDAYS)),
        lambda: shop.days(*DAYS[:2]),
        lambda: shop.accept(KEY),
    ]
    ends = set()
    for order in itertools.islice(itertools.permutations(range(len(steps))), 0, 120, 17):
        shutil.rmtree(Path(shop.settings.landing_url.removeprefix("file://")) / "shop", ignore_errors=True)
        with shop.ledger.transaction() as session:
            session.execute(ReferenceVersion.__table__.delete())
            session.execute(Snapshot.__table__.delete())
            for table in ("verdict", "partition_version"):
                session.connection().exec_driver_sql(f"TRUNCATE {table} CASCADE")
        for number in order:
            steps[number]()
            for key in stale_keys(shop.definition, settings=shop.settings):
                make(shop, key)
            if number == 4:
                make(shop)
        assert stale_keys(shop.definition, settings=shop.settings) == []
        ends.add(stored(shop)[-1].content_hash)
    assert len(ends) == 1


def test_what_becomes_known_later_changes_no_partition_that_had_begun(shop):
    bring(shop, ("prices", "2023-12-31", FIRST), ("holidays", "2023-12-31", HOLIDAYS))
    shop.days(*DAYS[:3])
    first = make(shop)
    bring(shop, ("prices", f"{KEY}T0001", RAISED), ("prices", "2024-06-01", RAISED))
    assert stale_keys(shop.definition, settings=shop.settings) == []
    assert make(shop).reused
    shop.accept(DAYS[3])
    after = stored(shop, make(shop, DAYS[3]) and DAYS[3])[-1]
    assert after.references_used["prices"] != stored(shop)[-1].references_used["prices"]
    assert (read(shop, first)["rebate"] + read(shop, first)["price"]).tolist() == [10, 20] * 3


def test_a_version_that_lands_late_has_what_should_have_read_it_built_again(shop):
    bring(shop, ("prices", "2023-12-31", FIRST), ("holidays", "2023-12-31", HOLIDAYS))
    shop.days(*DAYS[:3])
    before = make(shop)
    bring(shop, ("prices", KEY, RAISED))
    assert stale_keys(shop.definition, settings=shop.settings) == [KEY]
    after = make(shop)
    assert (after.version, after.reused) == (2, False)
    assert (read(shop, after)["rebate"] != read(shop, before)["rebate"]).any()
    assert stale_keys(shop.definition, settings=shop.settings) == []


def test_other_bytes_under_a_stamp_are_quarantined_and_a_correction_has_a_number(shop, reported):
    folder = land_reference(shop.settings, "prices", "2023-12-31", FIRST)
    bring(shop, ("holidays", "2023-12-31", HOLIDAYS))
    shop.days(*DAYS[:3])
    first = make(shop)
    (done,) = bring(shop, ("prices", "2023-12-31", RAISED))
    assert done.outcome == "quarantined"
    assert "land a correction of what was known then as 2023-12-31.2" in done.reason
    assert stale_keys(shop.definition, settings=shop.settings) == []
    assert bring(shop) == []
    land_reference(shop.settings, "prices", "2023-12-31", FIRST)
    assert bring(shop) == bring(shop) == []
    assert folder.is_dir()
    (done,) = bring(shop, ("prices", "2023-12-31.2", RAISED))
    assert done.outcome == "accepted"
    assert stale_keys(shop.definition, settings=shop.settings) == [KEY]
    assert make(shop).version == first.version + 1
    with shop.ledger.transaction() as session:
        assert "quarantine" in {alert.kind for alert in session.query(Alert)}
        (incident,) = session.query(Incident).all()
        assert incident.closed_at is not None


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (prices(("SE", "2023-01-01", 1.0), ("SE", "2023-01-01", 2.0)), "the same country and valid_from"),
        (prices(("SE", "2023-01-01", -1.0)), "list_price"),
        (FIRST.drop(columns="list_price"), "list_price"),
        (FIRST.assign(list_price="much"), "list_price"),
        (FIRST.iloc[:0], "no rows"),
        (FIRST.assign(valid_from=["2023-01-01", None]), "valid_from"),
    ],
)  # fmt: skip
def test_a_bad_version_is_quarantined_with_a_reason_and_the_one_before_is_read_on(shop, frame, said):
    bring(shop, ("prices", "2023-12-31", FIRST))
    (done,) = bring(shop, ("prices", "2024-01-01", frame))
    assert done.outcome == "quarantined"
    assert said in done.reason
    assert bring(shop) == [], "once is enough"
    with shop.ledger.transaction() as session:
        known = references.known_at(
            references.accepted(session, "shop", ["prices"]), shop.definition.partitions.period(KEY).start
        )
        (alert,) = session.query(Alert).all()
    assert known["prices"].stamp == "2023-12-31"
    assert said in str(alert.body)
    (mended,) = bring(shop, ("prices", "2024-01-01", RAISED))
    assert mended.outcome == "accepted"


def test_what_is_not_brought_in_is_told_once(shop):
    """A name that is misspelled anywhere, a missing _SUCCESS, an ending that nobody reads: features would miss it."""
    import evergreen.loop.intake.references.bring_in as module

    for stamp in ("yesterday", "2024-1-1", "_tmp"):
        land_reference(shop.settings, "prices", stamp, FIRST)
    folder = land_reference(shop.settings, "pricse", "2023-12-31", FIRST).parent.parent
    (folder / "prices.csv").write_text("loose")
    (land_reference(shop.settings, "prices", "2023-12-01", FIRST) / "_SUCCESS").unlink()
    other = land_reference(shop.settings, "prices", "2023-12-02", FIRST)
    (other / "prices.csv").rename(other / "price.csv")
    later = pd.Timestamp.now("UTC").to_pydatetime() + 2 * module.SETTLED
    for _ in range(2):
        assert bring_in(shop.definition, settings=shop.settings, now=later) == []
    with shop.ledger.transaction() as session:
        assert sorted(a.body["headline"].split()[0] for a in session.query(Alert)) == [
            "references/prices.csv", "references/prices/2023-12-01", "references/prices/2023-12-02",
            "references/prices/2024-1-1", "references/prices/yesterday", "references/pricse",
        ]  # fmt: skip


def test_what_is_still_being_written_is_told_to_nobody(shop):
    (land_reference(shop.settings, "prices", "2023-12-01", FIRST) / "_SUCCESS").unlink()
    assert bring_in(shop.definition, settings=shop.settings) == []
    with shop.ledger.transaction() as session:
        assert session.query(Alert).count() == 0


def test_one_version_that_cannot_be_read_holds_up_no_other(shop, monkeypatch):
    broken = land_reference(shop.settings, "prices", "2023-12-01", FIRST) / "prices.csv"
    land_reference(shop.settings, "holidays", "2023-12-31", HOLIDAYS)

    def cut(drop):
        if drop.uri.endswith(str(broken)):
            raise UnavailableError("the disk does not answer")
        return content_of(drop)

    monkeypatch.setattr("evergreen.loop.intake.references.bring_in.content_of", cut)
    with pytest.raises(UnavailableError, match="does not answer"):
        bring_in(shop.definition, settings=shop.settings)
    assert [(version.name, version.outcome) for version in versions(shop)] == [("holidays", "accepted")]


def test_a_file_that_is_written_while_it_is_read_is_not_taken(shop, monkeypatch):
    landed = land_reference(shop.settings, "prices", "2023-12-31", FIRST) / "prices.csv"

    def torn(drop):
        found = content_of(drop)
        landed.write_bytes(landed.read_bytes().replace(b"SE", b"NO"))
        os.utime(landed, (time.time() + 5, time.time() + 5))
        return found

    monkeypatch.setattr("evergreen.loop.intake.references.bring_in.content_of", torn)
    with pytest.raises(UnavailableError, match="changed while it was read"):
        bring_in(shop.definition, settings=shop.settings)
    assert versions(shop) == []


def test_a_build_is_asked_for_once_however_often_somebody_looks(shop):
    bring(shop, ("prices", "2023-12-31", FIRST), ("holidays", "2023-12-31", HOLIDAYS))
    shop.days(*DAYS[:2])
    shop.accept(KEY)
    make(shop)
    bring(shop, ("prices", DAYS[1], RAISED))
    assert stale_keys(shop.definition, settings=shop.settings) == [KEY]
    assert rebuilds_due(shop.definition, settings=shop.settings) == [KEY]
    assert rebuilds_due(shop.definition, settings=shop.settings) == []
    bring(shop, ("prices", f"{DAYS[1]}.2", FIRST))
    assert rebuilds_due(shop.definition, settings=shop.settings) == [KEY], "another build is wanted now"
    make(shop)
    assert rebuilds_due(shop.definition, settings=shop.settings) == []


def test_a_build_waits_for_what_has_never_landed_and_for_inputs_and_is_made_again(shop):
    bring(shop, ("holidays", "2023-12-31", HOLIDAYS))
    shop.days(DAYS[0])
    shop.accept(DAYS[1], "labels")
    shop.accept(KEY)
    now = pd.Timestamp.now("UTC").to_pydatetime()
    waits = readiness(shop.definition, KEY, settings=shop.settings, now=now)
    assert not waits.ready
    assert waits.missing == [DAYS[1], "prices"]
    assert "reference prices (no version of it has been accepted)" in waits.reason
    without = make(shop)
    assert read(shop, without)["rebate"].isna().all()
    assert stored(shop)[-1].recent_missing == [DAYS[1]]
    shop.accept(DAYS[1])
    assert stale_keys(shop.definition, settings=shop.settings) == [KEY]
    make(shop)
    bring(shop, ("prices", "2023-12-31", FIRST))
    assert stale_keys(shop.definition, settings=shop.settings) == [KEY]
    assert read(shop, make(shop))["rebate"].notna().all()
    # A version that became known after it began is no reason to wait.
    assert readiness(shop.definition, KEY, settings=shop.settings, now=now).ready


def test_restated_inputs_without_labels_have_the_partitions_after_them_built_again(shop):
    bring(shop, ("prices", "2023-12-31", FIRST), ("holidays", "2023-12-31", HOLIDAYS))
    for key in DAYS[:3]:
        shop.accept(key)
    make(shop)
    shop.accept(DAYS[1], shift=1)
    assert stale_keys(shop.definition, settings=shop.settings) == [KEY]
    assert make(shop).version == 2


def test_a_request_reads_what_the_batch_reads(shop):
    bring(shop, ("prices", "2023-12-31", FIRST), ("prices", DAYS[1], RAISED), ("holidays", "2023-12-31", HOLIDAYS))
    shop.days(*DAYS[:2])
    shop.accept(KEY)
    make(shop)
    with shop.ledger.transaction() as session:
        basis = read_basis(session, shop.definition, KEY)
    (row,) = stored(shop)
    assert basis.to_json()["references"] == row.references_used
    assert basis.to_json()["recent"] == row.recent_inputs
    context = Contexts(shop.settings).get(today(shop.definition), basis)
    assert len(context.more["recent"]) == 12
    assert context.more["references"]["prices"]["list_price"].tolist() == [10, 20, 100]
    assert context.rows == len(context.history) + 12 + 3 + 1


def test_refused_bytes_that_come_back_after_others_have_their_verdict(shop):
    """Recorded twice, the same bytes under the same rules broke the intake of every reference of the model."""
    twice = prices(("SE", "2023-01-01", 10.0), ("SE", "2023-01-01", 11.0))
    again = prices(("FI", "2023-01-01", 10.0), ("FI", "2023-01-01", 11.0))
    for frame in (twice, again, twice, again):
        bring(shop, ("prices", "2023-12-31", frame))
    assert [version.outcome for version in versions(shop)] == ["quarantined", "quarantined"]
    (done,) = bring(shop, ("prices", "2023-12-31", FIRST))
    assert done.outcome == "accepted"


def open_incidents(shop) -> int:
    with shop.ledger.transaction() as session:
        return sum(not (incident.closed_at or incident.well_at) for incident in session.query(Incident))


def test_the_incident_of_changed_bytes_follows_what_lies_there(shop):
    """It ends if the accepted bytes lie there again, and refused ones that come back are told again."""
    found = []
    for frame in (FIRST, RAISED, FIRST, RAISED, FIRST):
        bring(shop, ("prices", "2023-12-31", frame))
        found.append(open_incidents(shop))
    assert found == [0, 1, 0, 1, 0]
    assert [version.outcome for version in versions(shop)] == ["accepted", "quarantined"]


def test_accepted_bytes_that_are_put_back_with_their_old_time_end_the_incident(shop):
    file = land_reference(shop.settings, "prices", "2023-12-31", FIRST) / "prices.csv"
    written = file.stat()
    bring(shop)
    bring(shop, ("prices", "2023-12-31", RAISED))
    assert open_incidents(shop) == 1
    land_reference(shop.settings, "prices", "2023-12-31", FIRST)
    os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))
    bring(shop)
    assert open_incidents(shop) == 0


def test_an_earlier_correction_does_not_end_the_incident_of_a_later_version(shop):
    twice = prices(("SE", "2023-01-01", 10.0), ("SE", "2023-01-01", 11.0))
    bring(shop, ("prices", "2023-12-01", FIRST), ("prices", "2023-12-31", twice))
    bring(shop, ("prices", "2023-12-01.2", RAISED))
    with shop.ledger.transaction() as session:
        (incident,) = session.query(Incident)
        assert incident.closed_at is None
        assert incident.well_at is None


def test_a_lake_table_that_cannot_be_read_is_quarantined_with_the_reason_of_its_library(shop):
    folder = land_reference(shop.settings, "prices", "2023-06-01", FIRST)
    (folder / "prices.csv").unlink()
    log = folder / "prices" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{}")
    with pytest.raises(UnfitFileError) as told:
        lake.read(str(folder / "prices"), "delta")
    (done,) = bring(shop)
    assert (done.outcome, done.reason) == ("quarantined", told.value.failures[0].sentence)
    (kept,) = versions(shop)
    assert kept.raw_uri != kept.landed_uri
    assert bring(shop) == []
