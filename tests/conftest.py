"""Real servers for the tests. They start on first use, once for each test process, and end with it however it ends."""

import os
import uuid
from pathlib import Path

import hypothesis
import pytest

from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack
from evergreen.stack.embedded import caught_mails, postgres
from evergreen.stack.embedded.features_remote import create_features_remote
from evergreen.stack.shapes import SHAPES

NOWHERE = "http://127.0.0.1:9"
"""Discard port: nothing answers there. What needs a server asks for its fixture."""
_TEMPLATE = "ledger_template"

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("evergreen", deadline=None)
hypothesis.settings.load_profile("evergreen")

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
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def postgres_url(database_stack):
    """URL (superuser) of a throw-away PostgreSQL."""
    from evergreen.stack.config import credentials

    password = credentials.load(database_stack.home.secrets)["POSTGRES_PASSWORD"]
    port = database_stack.status().ports["postgres"]
    return f"postgresql+psycopg2://{postgres.SUPERUSER}:{password}@127.0.0.1:{port}/postgres"


@pytest.fixture(scope="session")
def _ledger_template(postgres_url):
    from evergreen.core.ledger.migrate import upgrade

    _execute(postgres_url, f'CREATE DATABASE "{_TEMPLATE}"')
    upgrade(_database(postgres_url, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def ledger_url(postgres_url, _ledger_template):
    """URL of a fresh, migrated ledger."""
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{_ledger_template}"')
    yield _database(postgres_url, name)
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def mlflow_stack(tmp_path_factory):
    """An MLflow server with its own PostgreSQL: slow to start, so only for tests that ask."""
    stack = Stack(Home(tmp_path_factory.mktemp("mlflow")), only=("postgres", "databases", "mlflow"))
    try:
        stack.start(tied=True)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def mlflow_uri(mlflow_stack, monkeypatch):
    """Tracking URI of a real MLflow server, its login in the environment."""
    user, password = mlflow_stack.mlflow_login
    url = mlflow_stack.urls["mlflow"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    return url


@pytest.fixture
def feature_remotes(tmp_path):
    """(Git URL, DVC URL) of an empty feature repository."""
    bare, data = tmp_path / "features.git", tmp_path / "dvc"
    create_features_remote(bare)
    data.mkdir()
    return str(bare), str(data)


@pytest.fixture
def store_url(tmp_path):
    """URL of an empty store."""
    return _folder(tmp_path / "store")


@pytest.fixture
def landing_url(tmp_path):
    """URL of an empty landing zone."""
    return _folder(tmp_path / "landing")


@pytest.fixture
def settings(request, ledger_url, store_url, landing_url, feature_remotes, monkeypatch):
    """Settings over real servers, in the environment too. MLflow's is real where the test asks for `mlflow_uri`."""
    git_url, dvc_url = feature_remotes
    mlflow_url = request.getfixturevalue("mlflow_uri") if "mlflow_uri" in request.fixturenames else NOWHERE
    values = {
        "EVERGREEN_LEDGER_URL": ledger_url,
        "EVERGREEN_STORE_URL": store_url,
        "EVERGREEN_LANDING_URL": landing_url,
        "EVERGREEN_FEATURES_GIT_URL": git_url,
        "EVERGREEN_FEATURES_DVC_URL": dvc_url,
        "MLFLOW_TRACKING_URI": mlflow_url,
        "EVERGREEN_MODELS_DIR": str(Path(__file__).parents[1] / "include" / "models"),
        "EVERGREEN_AIRFLOW_URL": NOWHERE,
    }
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


def _folder(path: Path) -> str:
    path.mkdir()
    return path.as_uri()


def _database(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{name}"


def _execute(url: str, statement: str) -> None:
    import psycopg2

    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.autocommit = True
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()
