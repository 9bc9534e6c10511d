"""The pages over a ledger with a life in it."""

import datetime as dt
import re
import shutil
from html import escape
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from evergreen.core.definition import load_definition
from evergreen.core.ledger.outbox import owe
from evergreen.core.ledger.queries import decisions
from evergreen.core.ledger.tables import Alert, Incident, Performance, TrainingRun
from evergreen.core.ledger.views.monitoring import checks, losses
from evergreen.core.ledger.views.standings import standings
from evergreen.core.store import Store, layout
from evergreen.web import verdicts
from evergreen.web.app import create_app
from helpers.ledger_life import HOSTILE, partition


@pytest.fixture
def client(settings):
    return TestClient(create_app(settings=lambda: settings, identify=lambda: "ada", may_read=lambda user, model: True))


def text_of(answer):
    assert answer.status_code == 200, answer.text
    words = []
    parser = HTMLParser()
    parser.handle_data = words.append
    parser.feed(answer.text.split("</style>")[1])
    return " ".join(" ".join(words).split())


def test_the_overview_says_what_serves_and_what_was_seen(lived, client):
    said = text_of(client.get("/"))
    for words in (
        "Late flights out of New York", "version 2", "inputs 2013-03-25: quarantined", "labels 2013-03-18: accepted",
        "0.18", "2013-03-18: nothing to tell", "3 weeks",
    ):  # fmt: skip
        assert words in said
    assert "Nothing. No open incident" in said


def test_an_empty_ledger_has_an_overview_and_a_page(settings, client):
    assert "none yet" in text_of(client.get("/"))
    assert "Nothing has landed yet" in text_of(client.get("/models/nyc_flights"))


def test_the_life_of_a_model(lived, client, settings):
    answer = client.get("/models/nyc_flights")
    said = text_of(answer)
    for words in (
        "beats version 1 by 8 %", "not proven better", "inconclusive, version 2", "drift 0, not yet",
        f"column {HOSTILE} is missing", "0.1800", "2013-03-11 1, 2 50 1 of 40 0.1250 30 0.1700",
    ):  # fmt: skip
        assert words in said.replace("drift 0 not yet", "drift 0, not yet")
    assert answer.text.count('<g class="point') == 4, "a loss of each of the four partitions"
    assert f'href="{settings.airflow_url}/evergreen/reports/nyc_flights/2013-03-18/drift.html"' in answer.text
    assert 'href="http://airflow/dags/run"' in answer.text


def test_late_feeds_and_when_they_came(lived, client):
    said = text_of(client.get("/models/nyc_flights"))
    assert f"inputs 2013-04-01 2013-03-24 16:00 2013-03-24 22:00 not yet no {HOSTILE} yet" in said
    assert "labels 2013-02-25 2013-03-24 16:00 2013-03-24 22:00 2013-03-25 00:00 8 h accepted" in said


def test_the_verdicts_of_a_model_newest_first_with_their_pages(lived, client, settings):
    answer = client.get("/models/nyc_flights/verdicts")
    said = text_of(answer)
    assert said.index("labels 2013-02-25 2 accepted") < said.index("inputs 2013-03-25 1 quarantined")
    assert said.index("inputs 2013-03-25 1 quarantined") < said.index("inputs 2013-02-25 1 accepted")
    link = f'href="{settings.airflow_url}/evergreen/validation/nyc_flights/inputs/2013-03-25/aa-bb.html"'
    assert link in answer.text
    assert link in client.get("/models/nyc_flights").text
    assert "Older" not in said


def test_older_verdicts_are_a_page_of_their_own(lived, client, monkeypatch):
    monkeypatch.setattr(verdicts, "PAGE", 4)
    seen, address = [], "/models/nyc_flights/verdicts"
    while address:
        page = client.get(address).text
        seen += re.findall(r"<td class=\"tight\">(inputs|labels)</td><td class=\"tight\">(\S+)</td><td>(\d)</td>", page)
        older = re.search(r'href="(/models/[^"]+)">Older', page)
        address = older and older.group(1)
    assert len(seen) == len(set(seen)) == 10


def test_hostile_names_stay_text(lived, client):
    for address in ("/", "/models/nyc_flights", "/models/nyc_flights/verdicts"):
        page = client.get(address).text
        assert HOSTILE not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "javascript:" not in page


def test_a_stored_report_is_served(lived, client, settings):
    Store(settings.store_url).write(layout.report("nyc_flights", "2013-03-18", "drift.html"), b"<h1>Drift</h1>")
    answer = client.get("/reports/nyc_flights/2013-03-18/drift.html")
    assert answer.content == b"<h1>Drift</h1>"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_one_broken_definition_does_not_hide_the_others(lived, settings, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(settings.models_dir, models)
    (models / "broken").mkdir()
    (models / "broken" / "model.yaml").write_text("name: broken\n<script>: 1\n")
    at = settings.model_copy(update={"models_dir": models})
    client = TestClient(create_app(settings=lambda: at, identify=lambda: "ada", may_read=lambda user, model: True))
    answer = client.get("/")
    assert "Its definition cannot be read." in text_of(answer)
    assert "version 2" in text_of(answer)
    assert "<script>: 1" not in answer.text
    assert client.get("/models/broken").status_code == 503


def test_what_needs_somebody_stands_first(lived, client):
    with lived.transaction() as session:
        session.execute(update(Alert).values(created_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)))
        incident = Incident(
            model="nyc_flights", kind="quarantine", scope="inputs", cause="c", what=f"column {HOSTILE} is missing",
            last_at=dt.datetime.now(dt.UTC), partitions=2,
        )  # fmt: skip
        session.add(incident)
        session.flush()
        number = incident.id
    page = client.get("/")
    said = text_of(page)
    assert said.index("1 message owed and not sent") < said.index("Champion")
    assert f"column {HOSTILE} is missing (2 partitions)" in said
    assert f'href="/models/nyc_flights#incident-{number}"' in page.text
    life = client.get("/models/nyc_flights").text
    assert f'<tr id="incident-{number}">' in life
    assert 'href="/runbooks/quarantine"' in life


def test_a_challenger_waits_for_an_answer_until_it_has_one(lived, client):
    with lived.transaction() as session:
        run = session.scalars(select(TrainingRun).where(TrainingRun.version == 3)).one()
        run.state = "compared"
        body = {"headline": "h", "summary": "s", "links": {"form": "http://airflow/form"}}
        definition = load_definition("nyc_flights")
        owe(session, definition, kind="approval", key=None, dedup_key=f"approval:{run.id}", subject="s", body=body)
        number = run.id
    page = client.get("/")
    assert "Version 3 waits for your answer" in text_of(page)
    assert 'href="http://airflow/form"' in page.text
    with lived.transaction() as session:
        decisions.record(
            session, model="nyc_flights", kind="refuse", key=None, dedup_key=decisions.gate_key(number, forced=False),
            reason="no", evidence={}, version=3, decided_by="ada", run_url=None,
        )  # fmt: skip
    assert "waits for your answer" not in text_of(client.get("/"))


def test_the_charts_show_each_stage_and_what_drifted(lived, client):
    answer = client.get("/models/nyc_flights")
    assert f"2013-03-25: inputs quarantined: column {escape(HOSTILE)} is missing" in answer.text
    assert f"2013-03-18: {escape(HOSTILE)} has drifted" in answer.text
    assert answer.text.count('class="cell heat') == 3 * 5, "two columns and the predictions of five weeks"
    fewer = client.get("/models/nyc_flights?last=1").text
    assert fewer.count('class="cell heat') == 0, "the newest week was not checked"
    assert client.get("/models/nyc_flights?last=-3").status_code == 200


def test_what_became_of_a_quarantine(lived, client):
    assert "is missing in quarantine validation" in text_of(client.get("/models/nyc_flights"))
    with lived.transaction() as session:
        partition(session, "2013-03-25", "inputs", version=2)
    assert "is missing accepted later, version 2" in text_of(client.get("/models/nyc_flights"))


def test_standings_tell_what_the_model_page_tells(lived):
    """The overview asks for many models at once; each number is the one that the model's own page shows."""
    with lived.transaction() as session:
        relabelled = partition(session, "2013-03-18", "labels", version=2)
        old = session.scalars(select(Performance).where(Performance.key == "2013-03-18")).one()
        for labels, rows, loss in ((relabelled.id, "", 0.5), (old.labels_version_id, "s2", 0.6)):
            again = {"prediction_id": old.prediction_id, "labels_version_id": labels, "labels_rows": rows}
            about = {"model": "nyc_flights", "key": old.key, "version": 2, "rows": 10, "clusters": [], "metrics": {}}
            session.add(Performance(loss=loss, **about, **again))
        session.flush()
        found = standings(session, ["nyc_flights", "unknown"])
        lines = {line.key: (line.version, line.loss) for line in losses(session, "nyc_flights")}
        checked = checks(session, "nyc_flights")
    mine = found["nyc_flights"]
    assert {one.key: (one.version, one.loss) for one in mine.losses} == lines
    assert [one.key for one in mine.losses] == sorted(lines)
    assert (mine.check.key, mine.check.columns) == (checked[-1].key, checked[-1].columns)
    assert (mine.champion.version, mine.champion.as_of) == (2, "2013-03-04")
    assert {(one.table, one.key, one.outcome) for one in mine.tables} == {
        ("inputs", "2013-03-25", "quarantined"), ("labels", "2013-03-18", "accepted"),
    }  # fmt: skip
    assert found["unknown"].champion is None
    assert found["unknown"].losses == []
