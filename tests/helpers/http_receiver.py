"""A real HTTP server that takes what channels are given."""

import http.server
import json
import threading

import pytest

SECRET = "T0PS3CRET"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is given; `answer(receiver, number)` gives the status of each request."""

    daemon_threads = True

    def __init__(self, answer=lambda receiver, number: 200):
        self.got, self.answer = [], answer
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"

    def ids(self):
        return [body["id"] for _, body in self.got]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((dict(self.headers), body))
        status = self.server.answer(self.server, len(self.server.got))
        try:
            self.send_response(status)
            said = b"" if status == 204 else b"ok"  # Slack says so
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
        except OSError:
            pass  # the caller has gone

    def log_message(self, *args):
        pass


@pytest.fixture
def receive():
    """Start a receiver: `receive(answer)`."""
    started = []

    def start(*args):
        started.append(Receiver(*args))
        return started[-1]

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
