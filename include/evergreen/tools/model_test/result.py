"""What the tests of a model say: one outcome a test, for people, for programs and for CI (JUnit)."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from evergreen.errors import EvergreenError

State = Literal["passed", "failed", "skipped"]


class BrokenError(Exception):
    """A test found what must not be. The message says what, where, and what to do."""


class SkipError(Exception):
    """A test does not apply. The message says why."""


@dataclass(frozen=True)
class Outcome:
    """One test and how it ended.

    Attributes:
        group: `data`, `features` or `model`.
        name: of the test, in words.
        said: what was found, in a sentence.
        seconds: how long it took.
    """

    group: str
    name: str
    state: State
    said: str
    seconds: float


def attempt(group: str, name: str, test: Callable[[], str]) -> Outcome:
    """Run one test: it returns what it found, or raises.

    A mistake in the team's own files (EvergreenError) is a failed test, so that the others still run. Any other
    exception is a mistake of this program and goes through.
    """
    begun = time.perf_counter()
    try:
        state, said = "passed", test()
    except SkipError as reason:
        state, said = "skipped", str(reason)
    except (BrokenError, EvergreenError) as error:
        state, said = "failed", str(error)
    return Outcome(group, name, state, said, time.perf_counter() - begun)  # type: ignore[arg-type]


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that failed."""
    return [outcome for outcome in outcomes if outcome.state == "failed"]


def junit(model: str, outcomes: Sequence[Outcome]) -> bytes:
    """The outcomes as JUnit XML, which CI servers read: one suite named after the model, one case a test.

    Source of the format: the schema that pytest's `xunit2` family follows (Jenkins xUnit plugin).
    """
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(len(failures(outcomes))),
        "skipped": str(sum(outcome.state == "skipped" for outcome in outcomes)),
        "errors": "0",
        "time": f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    }
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", {"name": f"evergreen.{model}", **counts})
    for outcome in outcomes:
        about = {"classname": f"{model}.{outcome.group}", "name": outcome.name, "time": f"{outcome.seconds:.3f}"}
        case = ET.SubElement(suite, "testcase", about)
        said = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in outcome.said)
        if outcome.state == "failed":
            ET.SubElement(case, "failure", {"message": said}).text = said
        elif outcome.state == "skipped":
            ET.SubElement(case, "skipped", {"message": said})
        else:
            ET.SubElement(case, "system-out").text = said
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
