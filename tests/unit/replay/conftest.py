"""Small streams whose challengers are trained once for all tests of the replay."""

import pytest

from evergreen.replay.fits import fit_all
from evergreen.replay.streams import stream, stream_definition


@pytest.fixture(scope="session")
def definition():
    return stream_definition(training={"candidates": ["linear"], "trials": 1, "window": 4, "validation": 1})


@pytest.fixture(scope="session")
def abrupt(definition):
    """Twenty weeks; the concept changes after the tenth."""
    return fit_all(stream("abrupt", 1, partitions=20, rows=600, definition=definition), jobs=1)


@pytest.fixture(scope="session")
def still(definition):
    return fit_all(stream("stationary", 1, partitions=16, rows=600, definition=definition), jobs=1)
