"""The HTTP interface: who may ask, what each failure looks like, what is counted."""

import json

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import delete

from evergreen.core.ledger.tables import FeatureCode
from evergreen.loop.online.answer import Online
from evergreen.loop.online.app import create_app
from evergreen.loop.online.request import BODY_BYTES

pytestmark = pytest.mark.integration

OLD, NEW = "old-token-of-24-characters", "new-token-of-24-characters"
SCRAPER = "scraper-token-of-many-characters"
ASK = "/v1/models/orders/predictions"


@pytest.fixture
def ask(shop):
    """A client with a token, of a server with a champion."""
    return client(shop)


def client(shop, **settings):
    folder = shop.definition.folder.parent
    settings = shop.settings.model_copy(update={"models_dir": folder, **settings})
    online = Online(settings)
    app = create_app(settings, online, tokens=(OLD, NEW), metrics_token=SCRAPER)
    made = TestClient(app, raise_server_exceptions=False)
    made.headers["Authorization"] = f"Bearer {NEW}"
    made.online = online
    return made


def rows(shop, count=2):
    return {"rows": json.loads(json.dumps(shop.week(6)[0].head(count).to_dict("records"), default=str))}


def test_every_route_refuses_who_has_no_token(ask, shop):
    guarded = {
        (method, route.path)
        for route in ask.app.routes
        for method in route.methods - {"HEAD"}
        if route.path not in ("/health", "/ready")
    }
    assert guarded == {("GET", "/metrics"), ("GET", "/v1/models/{model}"), ("POST", "/v1/models/{model}/predictions")}
    for method, path in guarded:
        for header in ("", "Bearer ", "Bearer wrong", f"Basic {NEW}", NEW):
            answer = ask.request(method, path.format(model="orders"), headers={"Authorization": header})
            assert (answer.status_code, "token" in answer.text.lower()) == (401, True), (path, header)
    assert ask.get("/metrics").status_code == 401  # a client's token opens no metrics
    assert ask.post(ASK, json=rows(shop), headers={"Authorization": f"Bearer {SCRAPER}"}).status_code == 401
    assert ask.post(ASK, json=rows(shop), headers={"Authorization": f"Bearer {OLD}"}).status_code == 200


def test_an_answer(ask, shop):
    given = ask.post(ASK, json=rows(shop), headers={"Idempotency-Key": "first"}).json()
    assert given["model"] == "orders"
    assert (given["version"], given["request"], given["repeated"]) == (shop.version, "first", False)
    assert [p["order_id"] for p in given["predictions"]] == ["6-0", "6-1"]
    assert all(0 < p["prediction"] < 1 for p in given["predictions"])
    again = ask.post(ASK, json=rows(shop), headers={"Idempotency-Key": "first"}).json()
    assert (again["repeated"], again["predictions"]) == (True, given["predictions"])
    assert ask.post(ASK, json=rows(shop, 1), headers={"Idempotency-Key": "first"}).status_code == 409


def test_bad_rows_are_told_by_column(ask, shop):
    wrong = rows(shop, 3)
    wrong["rows"][1]["price"] = "dear"
    del wrong["rows"][2]["age"]
    answer = ask.post(ASK, json=wrong)
    assert answer.status_code == 422
    said = answer.json()
    assert said["error"].startswith("age: 1 of 3 (33 %) rows have no such field; send null where the value is unknown")
    assert {(f["name"], f["column"], *f["rows"]) for f in said["failures"]} == {
        ("column_missing", "age", 2), ("column_type", "price", 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        (b"", 422, "the body is not JSON"),
        (b'{"rows": [{"price": NaN}]}', 422, "NaN is no JSON number; send null"),
        (b"[" * 100_000, 422, "the body is not JSON"),
        (b'{"rows": 3}', 422, "not of the shape"),
        (b'{"rows": []}', 422, "0 rows"),
        (b'{"rows": [{}], "version": 3}', 422, "version"),
        (b"x" * (BODY_BYTES + 1), 413, "larger than"),
    ],
    ids=["empty", "NaN", "nested", "shape", "no rows", "another field", "huge"],
)
def test_what_is_no_request_is_refused_in_a_sentence(ask, sent, status, said):
    answer = ask.post(ASK, content=sent)
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_an_unknown_model_and_a_name_that_is_none(ask, shop):
    assert ask.post("/v1/models/flights/predictions", json=rows(shop)).status_code == 404
    assert ask.get("/v1/models/..%2f").status_code == 404
    assert ask.post(ASK, json=rows(shop), headers={"Idempotency-Key": "two words"}).status_code == 400


def test_a_model_says_what_it_wants(ask, shop):
    told = ask.get("/v1/models/orders").json()
    assert (told["version"], told["entity"], told["target"]) == (shop.version, "order_id", "returned")
    assert told["columns"]["ordered_at"] == "timestamp"


def test_what_is_counted(ask, shop):
    ask.post(ASK, json=rows(shop))
    ask.post(ASK, content=b"{}")
    text = ask.get("/metrics", headers={"Authorization": f"Bearer {SCRAPER}"}).text
    assert 'evergreen_online_requests_total{model="orders",outcome="answered"} 1.0' in text
    assert 'evergreen_online_requests_total{model="orders",outcome="bad_input"} 1.0' in text
    assert 'evergreen_online_predictions_total{model="orders"} 2.0' in text
    assert 'evergreen_online_seconds_count{model="orders"} 1.0' in text
    assert f'evergreen_online_version{{model="orders"}} {shop.version}.0' in text


def test_a_ledger_that_is_away_means_later_and_not_unrecorded(shop):
    nowhere = SecretStr("postgresql+psycopg2://ledger:secret@127.0.0.1:9/ledger")
    away = client(shop, ledger_url=nowhere)
    answer = away.post(ASK, json=rows(shop))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "does not answer" in answer.json()["error"]
    assert "secret" not in answer.text
    assert away.get("/health").status_code == 200
    assert away.get("/ready").status_code == 503


def test_a_server_is_ready_once_the_ledger_has_answered(ask, shop):
    assert ask.get("/ready").status_code == 503
    ask.online.warm([shop.definition])
    assert ask.get("/ready").json() == {"ready": True}


def test_a_model_that_cannot_be_loaded_is_not_the_callers_fault(shop, caplog):
    shop.lose_file(shop.version)
    broken = client(shop)
    answer = broken.post(ASK, json=rows(shop))
    assert answer.status_code == 500
    assert f"version {shop.version} of orders cannot be loaded" in answer.json()["error"]
    for _ in range(3):
        broken.online.warm([shop.definition])
    assert caplog.text.count("orders: version 1 of orders cannot be loaded") == 1, "it is said once"
    assert broken.get("/ready").json() == {"ready": True}, "the other models can be asked"
    text = broken.get("/metrics", headers={"Authorization": f"Bearer {SCRAPER}"}).text
    assert 'evergreen_online_requests_total{model="orders",outcome="failed"} 1.0' in text


def test_features_that_fail_on_the_rows_say_where(ask, shop):
    with shop.ledger.transaction() as session:
        session.execute(delete(FeatureCode))  # as of a version whose code was not kept: that of today feeds it
    (shop.definition.folder / "features.py").write_text("def build(inputs, history):\n    return 1 / 0\n")
    answer = ask.post(ASK, json=rows(shop))
    assert answer.status_code == 422
    assert "features.py:2: build() raised ZeroDivisionError" in answer.json()["error"]


def test_what_nobody_foresaw_is_a_sentence_too(ask, shop, monkeypatch, caplog):
    monkeypatch.setattr(ask.online, "answer", lambda *_: [][0])
    answer = ask.post(ASK, json=rows(shop))
    assert (answer.status_code, answer.json()) == (500, {"error": "the server failed; its log says why"})
    assert "IndexError" in caplog.text


def test_a_definition_that_cannot_be_read_is_counted_as_a_failure(ask, shop):
    (shop.definition.folder / "model.yaml").write_text("name: [")
    assert ask.post(ASK, json=rows(shop)).status_code == 500
    text = ask.get("/metrics", headers={"Authorization": f"Bearer {SCRAPER}"}).text
    assert 'evergreen_online_requests_total{model="orders",outcome="failed"} 1.0' in text
