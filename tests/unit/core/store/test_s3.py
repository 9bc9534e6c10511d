"""A server of S3 that is away, or in trouble, is one error that names it; what it does say stays what it is."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.core.definition import load_definition
from evergreen.core.store import Store
from evergreen.core.store.objects import publish
from evergreen.core.store.s3 import S3
from evergreen.errors import UnavailableError
from evergreen.loop.intake.landing_zone import find_drop, list_feed
from evergreen.tools.simulator.land import land

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def at(monkeypatch):
    """Have S3 at an address."""

    def point(url):
        for name, value in {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", "NO_PROXY": "127.0.0.1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        S3.clear_instance_cache()

    yield point
    S3.clear_instance_cache()


@pytest.fixture
def answering(at):
    """Have S3 answer everything in one way."""
    servers = []

    def answer(status, code):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} said</Message></Error>".encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_PUT = do_GET  # noqa: N815 - named by http.server

            def log_message(self, *_):
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        at(f"http://127.0.0.1:{servers[-1].server_port}")

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Store("s3://bucket/store").read("a/b"),
        lambda: Store("s3://bucket/store").exists("a/b"),
        lambda: Store("s3://bucket/store").write("a/b", b"1"),
        lambda: Store("s3://bucket/store").sizes("a"),
        lambda: Store("s3://bucket/store").delete(["a"]),
        lambda: publish("s3://bucket/a", b"1"),
        lambda: find_drop("s3://bucket/landing", "orders", "inputs", "2024-01-01"),
        lambda: list_feed("s3://bucket/landing", "orders", ["inputs"]),
        lambda: land(load_definition("nyc_flights"), ["2013-01-07"], landing_url="s3://bucket/landing"),
    ],
    ids=["read", "exists", "write", "sizes", "delete", "publish", "find a drop", "list a feed", "land"],
)
def test_a_server_that_is_away_is_named_with_what_to_do(at, ask):
    at(AWAY)
    with pytest.raises(UnavailableError, match=rf"S3 at {AWAY} did not .*check that it runs, AWS_ENDPOINT_URL"):
        ask()


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown"), (599, "Odd")])
def test_a_server_in_trouble_is_one_that_does_not_answer(answering, status, code):
    answering(status, code)
    with pytest.raises(UnavailableError, match="did not"):
        Store("s3://bucket/store").read("a/b")


def test_what_is_not_there_and_what_is_forbidden_are_answers(answering):
    answering(404, "NoSuchKey")
    with pytest.raises(FileNotFoundError):
        Store("s3://bucket/store").read("a/b")
    assert not Store("s3://bucket/store").exists("a/b")
    answering(403, "AccessDenied")
    with pytest.raises(PermissionError):
        Store("s3://bucket/store").read("a/b")


def test_the_command_line_says_it_in_a_sentence(at):
    at(AWAY)
    to = [
        "feed",
        "land",
        "nyc_flights",
        "--from",
        "2013-01-07",
        "--through",
        "2013-01-07",
        "--to",
        "s3://bucket/landing",
    ]
    assert isinstance(CliRunner().invoke(app, to).exception, UnavailableError)
