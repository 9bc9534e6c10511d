"""A second, empty stack to restore into."""

import pytest
from pydantic import SecretStr

from evergreen.operations.backup.locations import Places
from evergreen.settings import Settings
from evergreen.stack.config.home import Home
from evergreen.stack.control import Stack


@pytest.fixture(scope="session")
def other_stack(tmp_path_factory):
    """PostgreSQL, MLflow, a migrated ledger and an empty feature repository, in another folder on other ports."""
    stack = Stack(
        Home(tmp_path_factory.mktemp("other")), only=("postgres", "databases", "ledger-migrate", "folders", "mlflow")
    )
    try:
        stack.start(tied=True)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def places(mlflow_stack, settings):
    """Where the shop of these tests keeps everything."""
    known = mlflow_stack.mlflow_places
    return Places(settings, SecretStr(known["EVERGREEN_MLFLOW_DATABASE_URL"]), known["EVERGREEN_MLFLOW_ARTIFACTS_URL"])


@pytest.fixture
def elsewhere(other_stack):
    """The other stack's places, and its environment."""
    env = {**other_stack.environment(), **other_stack.mlflow_places}
    return Places(
        Settings.from_env(env), SecretStr(env["EVERGREEN_MLFLOW_DATABASE_URL"]), env["EVERGREEN_MLFLOW_ARTIFACTS_URL"]
    ), env
