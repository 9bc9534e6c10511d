"""May the features of a partition be built, or is it worth waiting for the labels that they look back on?"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.readiness import Wait
from evergreen.core.ledger import Ledger
from evergreen.core.names import PartitionKey
from evergreen.errors import NotReadyError
from evergreen.loop.features.build_plan import BuildPlan, read_plan
from evergreen.loop.features.feature_code import serving
from evergreen.settings import Settings


@dataclass(frozen=True)
class Readiness:
    """`ready` if nothing is missing or the grace period has ended; `reason` says which, in words."""

    ready: bool
    missing: list[str]
    """Partition keys that are looked back on and cannot be read yet, and references that have never landed"""
    deadline: dt.datetime
    reason: str


def readiness(definition: ModelDefinition, key: PartitionKey, *, settings: Settings, now: dt.datetime) -> Readiness:
    """Whether the features of partition `key` may be built at the instant `now` (aware).

    Raises:
        NotReadyError: the inputs of `key` have no accepted version.
        PartitionKeyError: `key` is not a partition key.
        UnavailableError: the ledger does not answer.
    """
    with Ledger.from_settings(settings).transaction() as session:
        then = serving(session, definition).definition
        plan = read_plan(session, then, key, unmeasured=False)  # the build measures them
    return judge(definition, plan, now)


def judge(definition: ModelDefinition, plan: BuildPlan, now: dt.datetime) -> Readiness:
    """Whether `plan` is complete, or has been waited for long enough. Pure.

    The grace period runs from the instant at which the inputs were due, or were received if that was later: in a
    backfill the labels of long ago land in the same hour as the inputs.
    """
    begin = max(plan.inputs[0].received_at, definition.partitions.due(plan.key))
    deadline = begin + definition.feed.grace
    # Labels that are there and incomplete may stay so: nobody waits for them, and the build is made again.
    missing = [key for key in plan.missing if key not in plan.held]
    missing += [key for key in (*plan.beside.recent_missing, *plan.beside.never_landed) if key not in missing]
    about = f"features of {definition.name} {plan.key}"
    if not missing and plan.held:
        reason = f"{about}: built without {plan.describe_missing()}, and again when they are complete"
    elif not missing:
        reason = f"{about}: all {len(plan.history)} label partitions that they look back on have been accepted"
    elif now >= deadline:
        reason = (
            f"{about}: {plan.describe_missing()} not accepted by {deadline:%Y-%m-%d %H:%M} UTC, when the grace period "
            "ended: they are built without, and built again when it comes"
        )
    else:
        reason = (
            f"{about}: not accepted yet (late, or in quarantine): {plan.describe_missing()}; "
            f"waiting until {deadline:%Y-%m-%d %H:%M} UTC"
        )
    return Readiness(not missing or now >= deadline, missing, deadline, reason)


def look(
    definition: ModelDefinition,
    key: PartitionKey,
    *,
    subject: str,
    settings: Settings,
    since: dt.datetime | None = None,
) -> Wait:
    """Look once; past the grace period the build goes ahead without what is missing.

    Without accepted inputs there is nothing to wait for: whatever accepts them has a run of its own started.
    """
    try:
        found = readiness(definition, key, settings=settings, now=dt.datetime.now(dt.UTC))
    except NotReadyError as error:
        return Wait("never", str(error))
    return Wait("ready" if found.ready else "waiting", found.reason)
