"""A live stack in a temporary folder, and the story that drives it through the REST API."""

import pytest

from evergreen.definition import load_definition
from evergreen.demo.story import Story
from evergreen.ledger import Ledger
from evergreen.settings import Settings
from evergreen.stack.control import Stack
from evergreen.stack.home import Home

MODEL = "nyc_flights"


def pytest_collection_modifyitems(config, items):
    for item in items:
        marker = item.get_closest_marker("shape")
        if marker and marker.args[0] != config.getoption("--shape"):
            item.add_marker(pytest.mark.skip(reason=f"runs with --shape {marker.args[0]}"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory, request):
    stack = Stack(Home(tmp_path_factory.mktemp("stack")), shape=request.config.getoption("--shape"))
    with pytest.MonkeyPatch.context() as patch:
        try:
            stack.start(tied=True)
            for name, value in stack.environment().items():
                patch.setenv(name, value)
            yield stack
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def definition():
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
