"""A live stack in a temporary folder, and the story that drives it through the REST API."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evergreen.core.definition import load_definition
from evergreen.core.ledger import Ledger
from evergreen.settings import Settings
from evergreen.stack.config.home import PROJECT, Home
from evergreen.stack.control import Stack
from evergreen.tools.demo.story import Story
from helpers import orders_model
from helpers.live_stack import MODEL


def pytest_collection_modifyitems(config, items):
    for item in items:
        marker = item.get_closest_marker("shape")
        if marker and marker.args[0] != config.getoption("--shape"):
            item.add_marker(pytest.mark.skip(reason=f"runs with --shape {marker.args[0]}"))


def quick_to_decide(models):
    """A day is too long for a test that waits until it is over."""
    path = models / MODEL / "model.yaml"
    path.write_text(path.read_text().replace("gate:\n", "gate:\n  approval_timeout: PT25S\n"))


def impatient(models):
    """A grace period of two seconds, and beside the shipped models one whose challengers are made of two weeks."""
    path = models / MODEL / "model.yaml"
    path.write_text(re.sub(r"grace: \w+", "grace: PT2S", path.read_text()))
    text = orders_model.DEFINITION.replace("window: 4", "window: 2")
    orders_model.write_model(models / "orders", text.replace("start: 2024-01-01", "start: 2024-01-01, end: 2024-06-24"))


@dataclass
class OneAtATime:
    """The live stack. It takes a minute to start: files whose models are changed in the same way share it.

    Attributes:
        models: a copy of the shipped models, for tests that edit a definition; the compose file's image has its own.
    """

    factory: pytest.TempPathFactory
    change: object = None
    stack: Stack | None = None
    models: Path | None = None
    patch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)

    def of(self, change, shape):
        """The stack whose models are changed so; one of others ends first."""
        if self.change is not change:
            self.end()
            self.models = self.factory.mktemp("models") / "models"
            shutil.copytree(PROJECT / "include" / "models", self.models, ignore=shutil.ignore_patterns("__pycache__"))
            change(self.models)
            self.patch.setenv("EVERGREEN_MODELS_DIR", str(self.models))
            self.stack = Stack(Home(self.factory.mktemp("stack")), shape=shape)
            self.stack.start(tied=True)
            for name, value in self.stack.environment().items():
                self.patch.setenv(name, value)
            self.change = change
        return self.stack

    def end(self):
        if self.stack is not None:
            self.stack.stop()
        self.change = self.stack = None
        self.patch.undo()


@pytest.fixture(scope="session")
def one_at_a_time(tmp_path_factory):
    running = OneAtATime(tmp_path_factory)
    try:
        yield running
    finally:
        running.end()


@pytest.fixture(scope="module")
def stack(one_at_a_time, request):
    return one_at_a_time.of(quick_to_decide, request.config.getoption("--shape"))


@pytest.fixture(scope="module")
def impatient_stack(one_at_a_time):
    return one_at_a_time.of(impatient, "embedded")


@pytest.fixture(scope="module")
def models_dir(one_at_a_time, stack):
    return one_at_a_time.models


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
