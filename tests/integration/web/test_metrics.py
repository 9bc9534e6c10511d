"""What a scraper reads from a ledger with a life in it, by Prometheus's own parser."""

import datetime as dt

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from evergreen.core.ledger.tables import Deployment, DriftCheck, Performance, Prediction, Snapshot
from evergreen.web import metrics


@pytest.fixture
def read(settings):
    def read():
        answer = metrics.answer(settings, "Bearer token", "token")
        assert answer.status_code == 200
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }

    return read


def of(found, name, **labels):
    return found[f"evergreen_{name}", tuple(sorted({"model": "nyc_flights", **labels}.items()))]


def test_the_ledger_is_what_is_counted(lived, read):
    found = read()
    assert of(found, "partitions", table="inputs", outcome="accepted") == 4
    assert of(found, "partitions", table="inputs", outcome="quarantined") == 1
    assert of(found, "partitions", table="labels", outcome="quarantined") == 0, "zero and not absent"
    assert of(found, "verdicts_total", table="inputs", outcome="quarantined") >= 1
    assert of(found, "checked_partitions") >= 1
    assert of(found, "champion_version") == 2
    assert of(found, "decisions_total", kind="promote") == 2
    assert of(found, "alerts_unsent") == 1
    assert of(found, "champion_age_partitions") == 3
    assert of(found, "definition_readable") == 1
    assert of(found, "drift_detected") == 1
    assert of(found, "online_differing_share") == 1 / 40
    assert of(found, "online_realised_loss") == 0.17
    assert of(found, "realised_loss") == pytest.approx(0.18, abs=0.02)
    newest = dt.datetime(2013, 3, 18, tzinfo=dt.UTC).timestamp()
    assert of(found, "newest_partition_start_seconds", table="inputs") == newest, "the quarantined week does not count"
    late = dt.datetime(2013, 4, 1, 6, tzinfo=dt.UTC).timestamp()
    assert of(found, "next_partition_late_seconds", table="inputs") == late, "the end of the week after, and six hours"


def test_what_nobody_could_have_scored_is_not_missed(lived, read):
    def count(**values):
        with lived.transaction() as session:
            for snapshot in session.scalars(sa.select(Snapshot).where(Snapshot.key == "2013-03-04")):
                session.execute(sa.delete(Performance).where(Performance.key == snapshot.key))
                session.execute(sa.delete(DriftCheck).where(DriftCheck.key == snapshot.key))
                session.execute(sa.delete(Prediction).where(Prediction.key == snapshot.key))
            session.execute(sa.update(Deployment).values(**values))
        return of(read(), "unscored_partitions")

    assert of(read(), "unscored_partitions") == 0
    assert count(from_key="2013-03-04") == 1
    assert count(from_key="2013-03-11") == 0, "no champion served then"


def test_an_empty_ledger_has_metrics_too(settings, ledger, read):
    found = read()
    assert of(found, "definition_readable") == 1
    assert of(found, "trainings_failed") == 0, "so that the first failure is a rise"
    assert not [name for name, _ in found if "late_seconds" in name], "no feed has stopped that has not begun"
    assert ("evergreen_airflow_info", (("url", settings.airflow_url),)) in found
    assert ("evergreen_metrics_read_seconds", ()) in found


def test_all_names_are_documented(lived, read):
    from evergreen.stack.config.home import PROJECT

    page = (PROJECT / "docs" / "metrics.md").read_text()
    assert {name for name, _ in read() if f"`{name}`" not in page} == set()
