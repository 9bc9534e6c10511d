"""A ledger with a life in it, and SMTP servers with manners of their own."""

import contextlib
import socket

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy.pool import QueuePool

from evergreen.core.definition import load_definition
from evergreen.core.ledger import Ledger
from evergreen.loop.alerts.smtp import SmtpSettings
from helpers.ledger_life import live, owe_drifts


@pytest.fixture
def definition():
    return load_definition("nyc_flights")


@pytest.fixture
def ledger(ledger_url):
    return Ledger(ledger_url)


@pytest.fixture
def open_ledger(ledger_url):
    """The same, which keeps its connections: for tests of a thousand transactions."""
    kept = Ledger(ledger_url, poolclass=QueuePool, pool_size=2)
    yield kept
    kept.engine.dispose()


@pytest.fixture
def owed(ledger, definition):
    """Owe some mails: `owed(3)`."""

    def owe_some(count):
        with ledger.transaction() as session:
            owe_drifts(session, definition, count)

    return owe_some


@pytest.fixture
def smtp(mail_catcher):
    """Where the mail catcher of the stack is."""
    env = mail_catcher.env
    return SmtpSettings(
        host=env["EVERGREEN_SMTP_HOST"], port=int(env["EVERGREEN_SMTP_PORT"]), user=env["EVERGREEN_SMTP_USER"],
        password=env["EVERGREEN_SMTP_PASSWORD"], starttls=False, sender="Evergreen <evergreen@example.com>", timeout=5,
    )  # fmt: skip


@pytest.fixture
def free_port():
    """A port on which nothing listens."""
    return _free_port()


def _free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def serve():
    """Start an SMTP server with the given handler; returns the settings to reach it."""
    started = []

    def start(handler, port=None, **options):
        controller = Controller(handler, hostname="127.0.0.1", port=port or _free_port(), **options)
        controller.start()
        started.append(controller)
        return SmtpSettings(
            host="127.0.0.1", port=controller.port, starttls=False, sender="evergreen@example.com", timeout=5
        )

    yield start
    for controller in started:
        controller.stop()


@pytest.fixture
def lived(ledger, settings, definition):
    """The ledger with a life in it."""
    with ledger.transaction() as session:
        live(session, definition, settings.store_url)
    return ledger
