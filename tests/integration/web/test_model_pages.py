"""The pages over a ledger with a life in it."""

import re
import shutil
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from evergreen.core.store import Store, layout
from evergreen.web import verdicts
from evergreen.web.app import create_app
from helpers.ledger_life import HOSTILE


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
        "2013-03-18: drift", "3 weeks",
    ):  # fmt: skip
        assert words in said
    assert re.search(r"report 1\b", said), "one mail is owed"


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
    assert 'src="data:image/svg+xml;base64,' in answer.text
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
