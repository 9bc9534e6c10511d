"""A live stack in a temporary folder, and the story that drives it through the REST API."""

import shutil

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.ledger import Ledger
from evergreen.settings import Settings
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.control import Stack
from evergreen.tools.demo.story import Story

MODEL = "nyc_flights"


def pytest_collection_modifyitems(config, items):
    for item in items:
        marker = item.get_closest_marker("shape")
        if marker and marker.args[0] != config.getoption("--shape"):
            item.add_marker(pytest.mark.skip(reason=f"runs with --shape {marker.args[0]}"))


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    """A copy of the shipped models, for tests that edit a definition; the compose file's image has its own."""
    folder = tmp_path_factory.mktemp("models") / "models"
    shutil.copytree(PROJECT / "include" / "models", folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / MODEL / "model.yaml"
    # A day is too long for a test that waits until it is over.
    path.write_text(path.read_text().replace("gate:\n", "gate:\n  approval_timeout: PT25S\n"))
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory, models_dir, request):
    stack = Stack(Home(tmp_path_factory.mktemp("stack")), shape=request.config.getoption("--shape"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_MODELS_DIR", str(models_dir))
        try:
            stack.start(tied=True)
            for name, value in stack.environment().items():
                patch.setenv(name, value)
            yield stack
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def definition(stack):
    return load_definition(MODEL)


@pytest.fixture(scope="module")
def settings(stack):
    return Settings.from_env(stack.environment())


@pytest.fixture(scope="module")
def ledger(settings):
    return Ledger.from_settings(settings)


@pytest.fixture(scope="module")
def story(stack, definition, settings):
    story = Story(definition, settings, stack.airflow, say=lambda words: None, advance=lambda count: None)
    story.open()
    return story
