"""Builds on real PostgreSQL, Git and DVC: once for each input, whatever goes wrong on the way."""

import importlib
import multiprocessing
import os
import signal
import subprocess
from dataclasses import replace

import pandas as pd
import pytest
from pydantic import SecretStr

from evergreen.core.feature_repository import snapshots as repository
from evergreen.core.feature_repository.snapshots import read_frame
from evergreen.core.ledger.queries import snapshots
from evergreen.core.ledger.tables import Alert, Incident, Snapshot
from evergreen.errors import BadInputError, NotReadyError, QuarantinedError, UnavailableError
from evergreen.loop.features import validate
from evergreen.loop.features.build import build
from evergreen.loop.features.feature_code import of_hash, today
from evergreen.loop.features.readiness import readiness
from evergreen.loop.features.stale import stale_keys, to_rebuild
from evergreen.loop.intake.limits import LIMITS

pytestmark = pytest.mark.integration
DAYS = ("2024-01-01", "2024-01-02")
KEY = "2024-01-03"
build_module = importlib.import_module("evergreen.loop.features.build")


@pytest.fixture
def ready(feed):
    """Two labelled days and the inputs of a third."""
    feed.days(*DAYS)
    feed.accept(KEY)
    return feed


def make(feed, key: str = KEY):
    return build(feed.definition, key, settings=feed.settings, run_url="http://airflow/run")


def stored(feed) -> list[Snapshot]:
    with feed.ledger.transaction() as session:
        return session.query(Snapshot).order_by(Snapshot.id).all()


def commits(settings) -> list[str]:
    """Commits of the model's features, newest first."""
    command = ["git", "log", "--format=%H", "main", "--", "shop"]
    log = subprocess.run(command, cwd=settings.features_git_url.get_secret_value(), capture_output=True, text=True)
    return log.stdout.split()


def read(feed, built) -> pd.DataFrame:
    return read_frame(feed.settings, built.git_commit, built.dvc_path, dvc_hash=built.dvc_hash)


def test_a_build_is_published_and_recorded(ready, reported):
    built = make(ready)
    frame = read(ready, built)
    assert frame["order_id"].tolist() == [f"{KEY}-{n}" for n in range(6)]
    # Orders 0 and 4 of each day are returned; every other order is Swedish, beginning with the first.
    assert frame["return_rate"].tolist() == pytest.approx([2 / 3, 0] * 3)
    (row,) = stored(ready)
    assert (row.id, row.snapshot_id, row.rows, row.version) == (built.snapshot_row, built.snapshot_id, 6, 1)
    assert list(row.labels_used) == list(row.inputs_looked_back) == list(DAYS)
    assert row.run_url == "http://airflow/run"
    assert row.git_commit in commits(ready.settings)
    told = reported.text
    assert "looking back on labels of 2024-01-01 to 2024-01-02 (2 partitions)" in told
    assert f"published as shop/{KEY}.parquet" in told
    assert not [r for r in reported.records if r.name.startswith(("dvc", "scmrepo", "git", "fsspec", "asyncio"))]


def test_nothing_but_the_log_is_written(ready, capfd):
    make(ready)
    assert capfd.readouterr() == ("", "")


def test_a_second_run_finds_the_first_ones_result(ready):
    first = make(ready)
    again = make(ready)
    assert again.reused
    assert (again.snapshot_row, again.snapshot_id) == (first.snapshot_row, first.snapshot_id)
    assert len(commits(ready.settings)) == len(stored(ready)) == 1


def test_labels_accepted_while_it_builds_are_built_in_as_well(ready, monkeypatch):
    """Who accepted them saw no snapshot to call stale; without a second look nobody would build them in."""
    publish, calls = build_module._publish, []

    def publish_late(*args, **kwargs):
        if not calls:
            ready.accept(DAYS[1], "labels", shift=1)
            assert stale_keys(ready.definition, settings=ready.settings) == []
        calls.append(1)
        return publish(*args, **kwargs)

    monkeypatch.setattr(build_module, "_publish", publish_late)
    built = make(ready)
    assert (built.version, built.reused, len(calls)) == (2, False, 2)
    assert stale_keys(ready.definition, settings=ready.settings) == []


def test_a_restated_partition_is_a_new_version_and_the_old_one_stays_readable(ready):
    first = make(ready)
    ready.accept(KEY, shift=10)
    assert stale_keys(ready.definition, settings=ready.settings) == [KEY]
    assert to_rebuild(ready.definition, "inputs", KEY, settings=ready.settings) == [], "its own inputs start that build"
    assert to_rebuild(ready.definition, "inputs", DAYS[1], settings=ready.settings) == [KEY]
    assert to_rebuild(ready.definition, "labels", KEY, settings=ready.settings) == [KEY]
    second = make(ready)
    assert (second.version, second.reused) == (2, False)
    assert read(ready, second)["price"].tolist() == [10, 11, 12, 13, 14, 15]
    assert read(ready, first)["price"].tolist() == [0, 1, 2, 3, 4, 5]
    assert stale_keys(ready.definition, settings=ready.settings) == []
    with ready.ledger.transaction() as session:
        assert snapshots.current(session, "shop", KEY).version == 2
        assert snapshots.current_map(session, "shop")[KEY].version == 2
        assert snapshots.current_map(session, "shop", ["2024-01-09"]) == {}


def test_labels_that_come_late_make_the_build_wait_then_go_on_then_be_made_again(feed):
    feed.days(DAYS[0])
    feed.accept(DAYS[1])
    feed.accept(KEY)
    now = pd.Timestamp.now("UTC").to_pydatetime()
    waits = readiness(feed.definition, KEY, settings=feed.settings, now=now)
    assert not waits.ready
    assert waits.missing == [DAYS[1]]
    assert readiness(feed.definition, KEY, settings=feed.settings, now=waits.deadline).ready
    without = make(feed)
    assert without.labels_missing == [DAYS[1]]
    feed.accept(DAYS[1], "labels")
    assert stale_keys(feed.definition, settings=feed.settings) == [KEY]
    complete = make(feed)
    assert complete.labels_missing == []
    assert stored(feed)[-1].labels_used.keys() == set(DAYS)


def test_the_end_does_not_depend_on_the_order_of_arrival_nor_on_the_repository(feed, tmp_path):
    feed.days(DAYS[0])
    feed.accept(DAYS[1])
    feed.accept(KEY)
    early = make(feed)
    feed.accept(DAYS[1], "labels", shift=1)
    end = make(feed)
    assert end.dvc_hash != early.dvc_hash
    bare = tmp_path / "other.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    with feed.ledger.transaction() as session:
        session.query(Snapshot).delete()
    changes = {"features_git_url": SecretStr(str(bare)), "features_dvc_url": str(tmp_path / "other-dvc")}
    feed.settings = feed.settings.model_copy(update=changes)
    assert make(feed).dvc_hash == end.dvc_hash


def test_feature_code_that_is_rolled_back_finds_what_it_has_built(ready):
    first = make(ready)
    code = ready.folder / "features.py"
    before = code.read_text()
    code.write_text(before.replace(".mean()", ".max()"))
    assert stale_keys(ready.definition, settings=ready.settings) == []
    second = make(ready)
    code.write_text(before)
    third = make(ready)
    assert [second.version, third.version, third.reused] == [2, 1, True]
    assert third.dvc_hash == first.dvc_hash != second.dvc_hash
    # Each code has files of its own: one commit holds them all.
    assert first.dvc_path == f"shop/{KEY}.parquet" != second.dvc_path
    expected = {built.dvc_path: built.dvc_hash for built in (first, second)}
    assert repository.commit_holding(ready.settings, expected) == second.git_commit


def test_a_version_that_is_quarantined_afterwards_gives_way_to_the_one_before(ready):
    first = make(ready)
    restated = ready.accept(KEY, shift=10)
    make(ready)
    ready.quarantine(restated)
    assert stale_keys(ready.definition, settings=ready.settings) == [KEY]
    back = make(ready)
    assert (back.version, back.dvc_hash) == (3, first.dvc_hash)
    assert stale_keys(ready.definition, settings=ready.settings) == []


def test_without_accepted_inputs_nothing_is_built(feed):
    with pytest.raises(NotReadyError, match="no accepted inputs"):
        make(feed)


def test_features_that_fail_their_suite_are_not_published_and_a_mail_is_owed(ready):
    good = make(ready)
    ready.accept(KEY, shift=5000)
    for _ in range(2):
        with pytest.raises(QuarantinedError, match="price"):
            make(ready)
    assert commits(ready.settings) == [good.git_commit]
    assert [row.id for row in stored(ready)] == [good.snapshot_row]
    with ready.ledger.transaction() as session:
        (alert,) = session.query(Alert).all()
    assert (alert.kind, alert.key) == ("quarantine", KEY)
    assert "price" in str(alert.body["table"]["rows"])
    assert alert.body["links"]["report"].startswith(ready.settings.store_url)


def test_what_ails_the_features_of_other_code_is_not_over_when_the_champions_are_built(ready):
    make(ready)
    earlier = today(ready.definition)
    code = ready.folder / "features.py"
    code.write_text(
        code.read_text().replace("    return ", "    inputs['price'] = inputs['price'].clip(upper=100)\n    return ")
    )
    with ready.ledger.transaction() as session:
        earlier = of_hash(session, ready.definition, earlier.hash)
    ready.accept(KEY, shift=5000)
    with pytest.raises(QuarantinedError, match="price"):
        build(ready.definition, KEY, settings=ready.settings, code=earlier)
    assert not make(ready).reused
    with ready.ledger.transaction() as session:
        (incident,) = session.query(Incident).all()
    assert (incident.scope, incident.closed_at) == ("features by code of an earlier version", None)


def test_an_expectation_that_comes_to_no_end_fails_the_features(ready, monkeypatch):
    monkeypatch.setattr(validate, "LIMITS", replace(LIMITS, judge_seconds=2))
    (ready.folder / "expectations.py").write_text(
        "import great_expectations.expectations as gxe\n\n\ndef features():\n"
        "    return [gxe.ExpectColumnValuesToMatchRegex(column='country', regex='^(a+)+$')]\n"
    )
    (ready.folder / "features.py").write_text(
        "def build(inputs, history):\n    return inputs.assign(return_rate=0.5, country='a' * 40 + '!')\n"
    )
    with pytest.raises(QuarantinedError, match=r"did not finish within 2 seconds .* on the 6 rows of these features"):
        make(ready)
    assert commits(ready.settings) == stored(ready) == []
    with ready.ledger.transaction() as session:
        (alert,) = session.query(Alert).all()
    assert alert.body["links"]["report"] is None


def test_a_warning_publishes_and_is_told(ready, reported):
    ready.accept(KEY, shift=600)
    assert make(ready).rows == 6
    assert "price" in reported.text
    assert "(warning)" in reported.text


def test_a_fault_in_features_py_leaves_nothing_behind(ready):
    (ready.folder / "features.py").write_text("def build(inputs, history):\n    return inputs\n")
    with pytest.raises(BadInputError, match=r"features\.py: build\(\) returned no column return_rate"):
        make(ready)
    assert commits(ready.settings) == stored(ready) == []


def in_process(target, *arguments) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def test_a_run_killed_between_publishing_and_recording_heals(ready, reported, monkeypatch, tmp_path):
    def publish_and_die(*arguments):
        published = repository.publish(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
        return published

    with monkeypatch.context() as patched:
        patched.setattr("evergreen.loop.features.build.publish", publish_and_die)
        patched.setattr("tempfile.tempdir", str(tmp_path))  # a killed process leaves its scratch folder behind
        process = in_process(make, ready)
        process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(commits(ready.settings)) == 1
    assert stored(ready) == []
    built = make(ready)
    assert commits(ready.settings) == [built.git_commit]
    assert "in the repository already" in reported.text
    assert read(ready, built)["order_id"].size == 6


@pytest.mark.parametrize("lost", ["features_git_url", "features_dvc_url"])
def test_a_remote_that_is_away_is_said_and_nothing_is_recorded(ready, tmp_path, lost):
    (tmp_path / "file").write_text("")
    away = str(tmp_path / "file" / "nowhere")
    value = SecretStr(away) if lost == "features_git_url" else away
    there, ready.settings = ready.settings, ready.settings.model_copy(update={lost: value})
    with pytest.raises(UnavailableError, match=f"EVERGREEN_{lost.upper()}"):
        make(ready)
    assert commits(there) == stored(ready) == []
    ready.settings = there
    assert make(ready).version == 1


def test_two_processes_that_build_one_key_make_it_once(ready):
    processes = [in_process(make, ready) for _ in range(2)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(commits(ready.settings)) == len(stored(ready)) == 1


def test_processes_that_build_different_keys_at_once_all_publish(feed):
    keys = [f"2024-01-{day:02}" for day in range(1, 9)]
    feed.days(*keys)

    def make_all(mine: list[str]) -> None:
        for key in mine:
            make(feed, key)

    processes = [in_process(make_all, keys[::2]), in_process(make_all, keys[1::2])]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    rows = stored(feed)
    assert sorted(row.key for row in rows) == keys
    assert sorted(row.git_commit for row in rows) == sorted(commits(feed.settings))
    for row in rows:
        assert read(feed, row)["order_id"].str.startswith(row.key).all()
    newest = commits(feed.settings)[0]
    assert repository.commit_holding(feed.settings, {row.dvc_path: row.dvc_hash for row in rows}) == newest
    assert repository.commit_holding(feed.settings, {rows[0].dvc_path: rows[1].dvc_hash}) is None
