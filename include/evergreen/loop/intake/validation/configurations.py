"""Have Great Expectations make the configuration of an expectation once, where it makes it some sixty times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def kept() -> Iterator[None]:
    """Within this block, an expectation's `configuration` is the same object at each look.

    It is made of the expectation's fields, which do not change while it is evaluated, and what reads it changes nothing
    in it: that took half the time of evaluating a table of some thousand rows (Great Expectations 1.24).
    """
    from great_expectations.expectations.expectation import Expectation

    made: dict[int, tuple[Any, Any]] = {}  # with the expectation, so that no other gets its id
    before = Expectation.__dict__["configuration"]

    def configuration(expectation: Any) -> Any:
        found = made.get(id(expectation))
        if found is None:
            found = made[id(expectation)] = (expectation, before.fget(expectation))
        return found[1]

    Expectation.configuration = property(configuration)
    try:
        yield
    finally:
        Expectation.configuration = before
