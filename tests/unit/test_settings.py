"""Settings come from the environment, and never print a secret."""

import pytest

from evergreen.core.store.page_links import version_page
from evergreen.errors import SettingsError
from evergreen.settings import Settings

ENV = {
    "EVERGREEN_LEDGER_URL": "postgresql+psycopg2://ledger:hush@db/ledger",
    "EVERGREEN_STORE_URL": "s3://bucket/store",
    "EVERGREEN_LANDING_URL": "s3://bucket/landing",
    "EVERGREEN_FEATURES_GIT_URL": "https://bot:hush@git.example.com/features.git",
    "EVERGREEN_FEATURES_DVC_URL": "s3://bucket/dvc",
    "MLFLOW_TRACKING_URI": "http://mlflow:5500",
    "EVERGREEN_MODELS_DIR": "/opt/evergreen/include/models",
    "EVERGREEN_AIRFLOW_URL": "https://airflow.example.com",
}


def test_secrets_do_not_print():
    settings = Settings.from_env(ENV)
    assert "hush" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert settings.ledger_url.get_secret_value() == ENV["EVERGREEN_LEDGER_URL"]


def test_everything_missing_is_named_at_once():
    env = {k: v for k, v in ENV.items() if k not in ("EVERGREEN_STORE_URL", "MLFLOW_TRACKING_URI")}
    with pytest.raises(SettingsError, match=r"EVERGREEN_STORE_URL, MLFLOW_TRACKING_URI.*evergreen up"):
        Settings.from_env(env)


def test_people_are_linked_to_mlflows_own_address_where_it_has_one():
    assert version_page(Settings.from_env(ENV), "m", 2) == "http://mlflow:5500/#/models/m/versions/2"
    pages = ENV | {"EVERGREEN_MLFLOW_PAGES_URL": "https://mlflow.example.com/"}
    assert version_page(Settings.from_env(pages), "m", 2) == "https://mlflow.example.com/#/models/m/versions/2"


def test_commands_call_airflow_where_people_do_unless_told_otherwise():
    assert Settings.from_env(ENV).airflow_client_url == "https://airflow.example.com"
    inside = ENV | {"EVERGREEN_AIRFLOW_INTERNAL_URL": "http://api-server:8080"}
    assert Settings.from_env(inside).airflow_client_url == "http://api-server:8080"
