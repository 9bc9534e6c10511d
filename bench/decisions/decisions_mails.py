"""D8: mails about input drift over a year of each stream, what they lead to, and planted faults that must be told.

The monitor is replayed partition by partition (`tools/backtest`), and at each what a check would weigh and mail is
computed by the functions of `loop/monitoring/telling`. A mail about drift leads to something if, at its partition or
within four, a loss lies above expectation (of its own rows, or of the champion at its promotion, beyond the error; how
many lie above that of their own rows is counted by itself) or a challenger is promoted. Faults are planted one at a
time into partitions of every stream (`bench/lib/broken.py`); one counts as told if a column
that it changed is among the steps of that partition's check, which are what is mailed. One set of defaults.

python -m bench.decisions.decisions_mails [FAULTS]
    faults of each kind and stream (default 4); writes bench/results/decisions_mails.json. Slow: what was followed of a
    stream is kept below var/replay/mails, and used again for as long as the code that it was followed by is the same.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from bench.lib.followed import YEAR, Checked, Followed, Planted, follow
from bench.lib.report import number_asked, write
from bench.lib.streams import all_streams
from evergreen.core.names import PartitionKey
from evergreen.loop.monitoring import policy
from evergreen.loop.monitoring.loss.harm_test import HarmResult
from evergreen.loop.monitoring.telling import matter, seasons
from evergreen.loop.monitoring.telling.expected import Expectation, Outlook, Pair, expect, look_ahead
from evergreen.loop.monitoring.telling.past import NEWEST
from evergreen.loop.monitoring.telling.seasons import Step

WITHIN = 4
"""Partitions within which a mail must lead to something"""
KINDS = {"unit": "unit", "scale": "unit", "join": "dropped join", "frozen": "frozen column", "nulls": "30 % nulls"}


@dataclass
class Told:
    """What a stream's checks mailed, and what came of it."""

    partitions: int = 0
    years: float = 0.0
    drifted: int = 0
    """Checks whose inputs had drifted"""
    mails: list[dict[str, Any]] = field(default_factory=list)
    """About drift: key, what, and what it led to (None: nothing)"""
    bad: list[str] = field(default_factory=list)
    """Partitions whose loss lay above expectation"""
    others: Counter[str] = field(default_factory=Counter)
    """Mails of other kinds"""
    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)


def told(followed: Followed) -> Told:
    """Replay the telling of one stream."""
    margin = followed.definition.monitoring.harm_margin
    found, said = Told(), dict[int, policy.PastCheck]()
    found.partitions = len(followed.checks)
    found.years = found.partitions / YEAR[followed.definition.calendar.period]
    expected = _expectations(followed, margin)
    promoted = {s.key for s in followed.steps if s.ending == "promoted" or s.wish.kind == "promote"}
    for place, check in enumerate(followed.checks):
        outlook = look_ahead(check.estimate, _pairs(followed, place), margin=margin)
        steps = _steps(followed, check, check)
        decision, bad = _decide(followed, place, said, outlook, steps, expected)
        said[place] = _recorded(check, decision, bad, outlook)
        found.drifted += bool(check.drifted)
        if matter.is_told(decision):
            kind = matter.kind(_seen(decision, bad, outlook, steps, check))
            if kind == "drift":
                after = followed.checks[place : place + WITHIN + 1]
                found.mails.append(
                    {
                        "key": check.key, "what": list(decision.told), "columns": [s.name for s in steps][:4],
                        "loss": next((c.key for c in after if _above(c, expected)), None),
                        "beyond_its_own": next((c.key for c in after if _beyond_its_own(c, expected)), None),
                        "promoted": next((c.key for c in after if c.key in promoted), None),
                    }
                )  # fmt: skip
            else:
                found.others[kind] += 1
        for fault in check.planted:
            _try(followed, check, fault, found)
    found.bad = [key for key, one in expected.items() if one.above]
    return found


def _beyond_its_own(check: Checked, expected: dict[PartitionKey, Expectation]) -> bool:
    """Whether a partition lost more than its own rows let expect."""
    found = expected.get(check.key)
    return found is not None and found.above


def _above(check: Checked, expected: dict[PartitionKey, Expectation]) -> bool:
    """The same, or more than the champion lost at its promotion, beyond the same error: what an estimate foretells."""
    found = expected.get(check.key)
    if found is None:
        return False
    usual = sum(c.loss * c.rows for c in check.holdout) / sum(c.rows for c in check.holdout)
    return found.above or found.loss - usual > found.high - found.expected


def _try(followed: Followed, check: Checked, fault: Planted, found: Told) -> None:
    """Whether the check of a partition with a fault in it mails that."""
    kind = KINDS[fault.kind]
    found.planted[kind] += 1
    steps = _steps(followed, check, fault)
    if any(step.name in fault.columns for step in steps):
        found.found[kind] += 1
    else:
        found.missed.append(f"{fault.kind} {check.key} {', '.join(fault.columns)[:60]}")


def _steps(followed: Followed, check: Checked, seen: Checked | Planted) -> tuple[Step, ...]:
    now = seen.shapes if isinstance(seen, Planted) else followed.shapes[check.key]
    before = [followed.shapes[key] for key in sorted(followed.shapes) if key < check.key and followed.shapes[key]]
    return seasons.steps(now, before[-NEWEST:], worth=seen.worth, among=seen.drifted)


def _expectations(followed: Followed, margin: float) -> dict[PartitionKey, Expectation]:
    found = {}
    for place, check in enumerate(followed.checks):
        before = [c.clusters for c in followed.checks[:place] if c.version == check.version]
        one = expect(check.key, check.clusters, check.holdout, before, margin=margin)
        if one is not None:
            found[check.key] = one
    return found


def _pairs(followed: Followed, place: int) -> list[Pair]:
    now = followed.checks[place]
    return [
        Pair(c.estimate.loss, sum(x.loss * x.rows for x in c.clusters) / sum(x.rows for x in c.clusters),
             c.estimate.holdout)
        for c in followed.checks[:place]
        if c.estimate is not None and c.key <= now.labels_through
    ]  # fmt: skip


def _decide(
    followed: Followed,
    place: int,
    said: dict[int, policy.PastCheck],
    outlook: Outlook | None,
    steps: tuple[Step, ...],
    expected: dict[PartitionKey, Expectation],
) -> tuple[policy.PolicyDecision, Expectation | None]:
    check = followed.checks[place]
    newest = expected.get(check.labels_through)
    bad = newest if newest is not None and newest.above else None
    signals = replace(
        check.signals,
        bad=bad.key if bad else None,
        rise=bad.rise if bad else 0.0,
        costly=outlook.rise if outlook and outlook.costs else 0.0,
        faults=tuple(step.name for step in steps),
    )
    past = [_as_told(one, said[place - one.ago]) for one in check.past]
    return policy.decide(signals, past, followed.definition.monitoring), bad


def _as_told(one: policy.PastCheck, then: policy.PastCheck) -> policy.PastCheck:
    return replace(one, told=then.told, bad=then.bad, rise=then.rise, costly=then.costly)


def _recorded(
    check: Checked, decision: policy.PolicyDecision, bad: Expectation | None, outlook: Outlook | None
) -> policy.PastCheck:
    return policy.PastCheck(
        0, check.version, decision.kind, decision.cause, told=decision.told, bad=bad.key if bad else None,
        rise=bad.rise if bad else 0.0, costly=outlook.rise if outlook and outlook.costs else 0.0,
    )  # fmt: skip


def _seen(
    decision: policy.PolicyDecision,
    bad: Expectation | None,
    outlook: Outlook | None,
    steps: tuple[Step, ...],
    check: Checked,
) -> matter.Seen:
    harm = HarmResult(check.signals.harmed, None, 0.0, 0.0, 0.0, 0.0, 0, "")
    return matter.Seen("loss", "week", harm, bad, outlook, steps, check.drifted, decision)


def main() -> None:
    """Measure and write the result."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    faults, started = int(number_asked("faults of each kind and stream", 4, __doc__)), time.monotonic()
    found: dict[str, Told] = {}
    for name, make in all_streams().items():
        found[name] = told(follow(name, make, faults))
        print(name, _line(found[name]), file=sys.stderr, flush=True)
    write("decisions_mails", bars=bars(found), measured={
        "streams": {name: _line(one) for name, one in found.items()}, "within": WITHIN, "faults": faults,
        "seconds": round(time.monotonic() - started),
    })  # fmt: skip


def bars(found: dict[str, Told]) -> dict[str, dict[str, Any]]:
    """The bars, over all streams."""
    mails = [mail for one in found.values() for mail in one.mails]
    led = sum(bool(mail["loss"] or mail["promoted"]) for mail in mails)
    idle = {name: _idle(one) for name, one in found.items()}
    worst = max(idle, key=idle.__getitem__)
    share = led / len(mails) if mails else 1.0
    planted, told_of = Counter[str](), Counter[str]()
    for one in found.values():
        planted.update(one.planted)
        told_of.update(one.found)
    bars = {
        "D8 drift mails that lead to something": {"value": share, "bar": ">= 0.7", "reached": share >= 0.7},
        f"D8 drift mails a year that lead to nothing, worst stream ({worst})": {
            "value": idle[worst], "bar": "<= 4", "reached": idle[worst] <= 4,
        },
    }  # fmt: skip
    for kind in sorted(planted):
        told_share = told_of[kind] / planted[kind]
        bars[f"D8 told within one check, {kind}"] = {
            "value": told_share, "bar": ">= 0.95", "reached": told_share >= 0.95,
        }  # fmt: skip
    return bars


def _idle(one: Told) -> float:
    """Mails a year that lead to nothing; of less than a year what there were, as if it were one."""
    return sum(not (mail["loss"] or mail["promoted"]) for mail in one.mails) / max(one.years, 1.0)


def _line(one: Told) -> dict[str, Any]:
    return {
        "partitions": one.partitions,
        "checks_that_drifted": one.drifted,
        "drift_mails": one.mails,
        "led": sum(bool(mail["loss"] or mail["promoted"]) for mail in one.mails),
        "led_by_own_rows": sum(bool(mail["beyond_its_own"] or mail["promoted"]) for mail in one.mails),
        "losses_above_expectation": one.bad,
        "other_mails": dict(one.others),
        "faults_told": {kind: f"{one.found[kind]} of {one.planted[kind]}" for kind in one.planted},
        "missed": one.missed,
    }


if __name__ == "__main__":
    main()
