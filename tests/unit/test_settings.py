"""Settings come from the environment, and never print a secret."""

import pytest

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
