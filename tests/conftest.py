"""Real servers for the tests. They start on first use, once for each test process, and end with it however it ends."""

import gc
import os
import shutil
import tempfile

import hypothesis
import pytest

from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from evergreen.stack.embedded import caught_mails
from evergreen.stack.shapes import SHAPES
from helpers.kept import (
    NOWHERE,
    Place,
    connected,
    copy_database,
    database,
    mlflow_login,
    relax,
    settings_values,
    superuser_url,
)

_TEMPLATE = "ledger_template"

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("evergreen", deadline=None)
hypothesis.settings.load_profile("evergreen")

# Most of what a test waits for is a disk: databases, repositories and stores that live for seconds. Memory has no such
# waits. `tmp_path_retention_policy` gives it back as tests pass.
_MEMORY, _ENOUGH = "/dev/shm", 8 << 30
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH:
    os.environ["TMPDIR"], tempfile.tempdir = _MEMORY, None

# A test process has millions of objects of the libraries, which live as long as it does: to look through them again and
# again, as the collector does by itself, finds nothing.
gc.set_threshold(50_000, 20, 50)

# Unlike the stack's, the shell's choice would make each test process compile the libraries it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser):
    parser.addoption("--shape", choices=tuple(SHAPES), default="embedded", help="what the end-to-end tests run on")


@pytest.fixture(scope="session")
def database_stack(tmp_path_factory):
    """PostgreSQL and the mail catcher."""
    stack = Stack(Home(tmp_path_factory.mktemp("servers")), only=("postgres", "databases", "mail"))
    try:
        stack.start(tied=True)
        relax(stack)
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def postgres_url(database_stack):
    """URL (superuser) of a throw-away PostgreSQL."""
    return superuser_url(database_stack)


@pytest.fixture(scope="session")
def _ledger_template(postgres_url):
    from evergreen.core.ledger.migrate import upgrade

    _execute(postgres_url, f'CREATE DATABASE "{_TEMPLATE}"')
    upgrade(database(postgres_url, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def kept():
    """What the test begins with, if it asks for something that is made once and kept; tests/integration has such."""


@pytest.fixture
def ledger_url(postgres_url, _ledger_template, kept):
    """URL of a fresh, migrated ledger, or of a copy of the kept one."""
    name = "ledger_of_a_test"  # always the same: what this process knows how to ask the last one, it can ask this one
    copy_database(postgres_url, name, kept.ledger if kept else _ledger_template)
    yield database(postgres_url, name)
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def mlflow_stack(tmp_path_factory):
    """An MLflow server with its own PostgreSQL: slow to start, so only for tests that ask."""
    stack = Stack(Home(tmp_path_factory.mktemp("mlflow")), only=("postgres", "databases", "mlflow"))
    try:
        stack.start(tied=True)
        relax(stack)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def mlflow_uri(mlflow_stack, monkeypatch):
    """Tracking URI of a real MLflow server, its login in the environment."""
    for name, value in mlflow_login(mlflow_stack).items():
        monkeypatch.setenv(name, value)
    return mlflow_stack.urls["mlflow"]


@pytest.fixture
def place(tmp_path, kept):
    """Folders of an empty store, landing zone and feature repository, or the kept ones."""
    return kept.place if kept else Place.create(tmp_path / "place")


@pytest.fixture
def feature_remotes(place):
    """(Git URL, DVC URL) of the feature repository."""
    place.create_git()
    return str(place.git), str(place.dvc)


@pytest.fixture
def store_url(place):
    """URL of the store."""
    return place.store.as_uri()


@pytest.fixture
def landing_url(place):
    """URL of the landing zone."""
    return place.landing.as_uri()


@pytest.fixture
def settings(request, ledger_url, place, feature_remotes, monkeypatch):
    """Settings over real servers, in the environment too. MLflow's is real if the test asks for `mlflow_uri`."""
    mlflow_url = request.getfixturevalue("mlflow_uri") if "mlflow_uri" in request.fixturenames else NOWHERE
    values = settings_values(ledger_url, place, mlflow_url)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Settings.from_env(values)


class MailCatcher:
    """The mail catcher as a test sees it.

    Attributes:
        env: variables that tell a sender where it is.
    """

    def __init__(self, stack: Stack) -> None:
        self._folder = stack.home.mail
        ours = ("EVERGREEN_SMTP", "EVERGREEN_MAIL")
        self.env = {name: value for name, value in stack.environment().items() if name.startswith(ours)}

    def mails(self) -> list[caught_mails.Mail]:
        """What was caught, oldest first."""
        return caught_mails.read_all(self._folder)

    def clear(self) -> None:
        """Forget what was caught."""
        for item in self.mails():
            item.path.unlink()


@pytest.fixture
def mail_catcher(database_stack, monkeypatch):
    """A real SMTP server that keeps what it is sent; its address and login are in the environment."""
    catcher = MailCatcher(database_stack)
    catcher.clear()
    for name, value in catcher.env.items():
        monkeypatch.setenv(name, value)
    return catcher


def _execute(url: str, statement: str) -> None:
    with connected(url) as connection:
        connection.cursor().execute(statement)
