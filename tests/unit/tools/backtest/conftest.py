"""Small streams whose challengers are trained once for all tests of the replay."""

from functools import cache

import pytest

from evergreen.tools.backtest.challengers import fit_all
from evergreen.tools.backtest.policies import make
from evergreen.tools.backtest.simulate import simulate
from evergreen.tools.backtest.synthetic_streams import stream, stream_definition


@pytest.fixture(scope="session")
def definition():
    return stream_definition(training={"candidates": ["linear"], "trials": 1, "window": 4, "validation": 1})


@pytest.fixture(scope="session")
def abrupt(definition):
    """Sixteen weeks; the concept changes after the eighth."""
    return fit_all(stream("abrupt", 1, partitions=16, rows=600, definition=definition), jobs=1)


@pytest.fixture(scope="session")
def still(definition):
    return fit_all(stream("stationary", 1, partitions=12, rows=600, definition=definition), jobs=1)


@pytest.fixture(scope="session")
def walk(abrupt, still):
    """What a policy of this name does on the stream `abrupt` or `still`, walked once for all tests."""
    streams = {"abrupt": abrupt, "still": still}

    @cache
    def walk(stream, policy):
        return simulate(streams[stream], make(policy))

    return walk
