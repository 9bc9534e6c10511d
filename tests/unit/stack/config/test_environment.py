"""What a task's environment holds, and what it does not let in."""

import json

import pytest

from evergreen.settings import Settings
from evergreen.stack.config import credentials
from evergreen.stack.config.environment import environment
from evergreen.stack.config.home import Home
from evergreen.stack.config.ports import PREFERRED

SECRETS = credentials.generate()


@pytest.fixture
def env(tmp_path):
    def env(**shell):
        return environment(Home(tmp_path), PREFERRED, SECRETS, {"PATH": "/usr/bin", "LANG": "C.UTF-8", **shell})

    return env


def test_the_settings_of_a_task_can_be_read_from_it(env, tmp_path):
    settings = Settings.from_env(env())
    assert settings.store_url == (tmp_path / "store").as_uri()
    assert settings.mlflow_url == "http://127.0.0.1:5500"
    assert settings.ledger_url.get_secret_value().endswith("@127.0.0.1:5442/ledger")


def test_another_stack_or_a_git_hook_does_not_steer_it(env):
    found = env(
        EVERGREEN_STORE_URL="s3://elsewhere", MLFLOW_TRACKING_URI="http://elsewhere", GIT_DIR="/elsewhere",
        PGHOST="elsewhere", AIRFLOW_HOME="/elsewhere", AIRFLOW_CONN_SMTP_DEFAULT="elsewhere", PYTHONPATH="/elsewhere",
        PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    assert "elsewhere" not in json.dumps(found)
    assert not {"GIT_DIR", "PGHOST", "PYTHONDONTWRITEBYTECODE"} & set(found)


def test_addresses_that_definitions_name_reach_tasks(env):
    addresses = {
        "EVERGREEN_DATABASE_WAREHOUSE": "sqlite:////srv/shop.db",
        "EVERGREEN_CHANNEL_SHOP_CHAT": "json://chat.example",
    }
    assert addresses.items() <= env(**addresses).items()


def test_airflow_options_of_the_shell_win_except_for_what_makes_the_stack_one(env):
    found = env(AIRFLOW__CORE__PARALLELISM="8", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite://")
    assert found["AIRFLOW__CORE__PARALLELISM"] == "8"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("postgresql+psycopg2://airflow:")


def test_connections_and_variables_come_from_airflow_settings(env):
    found = env(EVERGREEN_MAIL_TO="team@example")
    smtp = json.loads(found["AIRFLOW_CONN_SMTP_DEFAULT"])
    assert (smtp["host"], smtp["port"], smtp["extra"]["disable_tls"]) == ("127.0.0.1", 1025, True)
    assert {"AIRFLOW_CONN_EVERGREEN_LEDGER", "AIRFLOW_CONN_EVERGREEN_MLFLOW"} <= set(found)
    assert found["AIRFLOW_VAR_EVERGREEN_MAIL_TO"] == "team@example"
