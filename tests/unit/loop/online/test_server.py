"""Who may ask is known before a port is opened."""

import socket

import pytest
from typer.testing import CliRunner

from evergreen.cli import app
from evergreen.errors import SettingsError
from evergreen.loop.online.server import MIN_TOKEN, TOKEN, tokens
from evergreen.settings import PREFIX, Settings

GOOD, OTHER = "g" * MIN_TOKEN, "o" * MIN_TOKEN


def test_one_token_or_two_while_clients_change():
    assert tokens({TOKEN: GOOD}) == (GOOD,)
    assert tokens({TOKEN: f"{GOOD}, {OTHER}"}) == (GOOD, OTHER)


@pytest.mark.parametrize("value", ["", " ", ","])
def test_without_a_token_nothing_is_served(value):
    with pytest.raises(SettingsError, match="EVERGREEN_ONLINE_TOKEN is not set"):
        tokens({TOKEN: value})


def test_a_short_token_is_refused_and_not_repeated():
    with pytest.raises(SettingsError, match="a token of 8 characters; give it 24 or more") as refused:
        tokens({TOKEN: f"{GOOD},tooshort"})
    assert "tooshort" not in str(refused.value)


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """An environment that names all addresses, of which none is asked."""
    for field, spec in Settings.model_fields.items():
        if spec.is_required():
            monkeypatch.setenv(PREFIX + field.upper(), f"file://{tmp_path}")
    monkeypatch.setenv("EVERGREEN_LEDGER_URL", "postgresql+psycopg2://ledger@127.0.0.1:9/ledger")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "no-stack"))
    monkeypatch.delenv(TOKEN, raising=False)


@pytest.mark.usefixtures("settings")
def test_the_command_says_what_is_missing():
    answer = CliRunner().invoke(app, ["serve", "--port", "18600"])
    assert isinstance(answer.exception, SettingsError)
    assert "openssl rand -hex 32" in str(answer.exception)


@pytest.mark.usefixtures("settings")
def test_the_command_says_who_holds_the_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = CliRunner().invoke(app, ["serve", "--port", str(taken.getsockname()[1])])
    assert isinstance(answer.exception, SettingsError)
    assert "choose another one with --port" in str(answer.exception)
