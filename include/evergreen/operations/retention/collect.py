"""Collect what no champion and no policy needs: say what would go, or record it, remove it, and record that it is gone.

Order makes it safe. The plan is recorded while nobody can fix a dataset or change the champion; who does so afterwards
finds it recorded and leaves it alone. What is removed is looked at again first, under the lock of those who write it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.sections import RetentionSection
from evergreen.core.ledger import Ledger
from evergreen.core.ledger.queries import collected
from evergreen.core.ledger.session import hold
from evergreen.core.ledger.tables import Collection
from evergreen.core.store.objects import Unfinished
from evergreen.loop.intake.labels import coverage
from evergreen.operations.retention import abandoned_files, inventory
from evergreen.operations.retention.plan import Item, plan
from evergreen.operations.retention.remove import finish, open_collections
from evergreen.operations.retention.sizes import measure
from evergreen.settings import Settings

log = logging.getLogger("evergreen.retention")

KEEP_ALL = RetentionSection()


@dataclass(frozen=True)
class Group:
    """Objects of one kind that one rule lets go; the kind `scratch` is what killed writers left."""

    kind: str
    objects: int
    bytes: int
    oldest: str
    """Partition key; of scratch files the day on which they were written"""
    newest: str
    rule: str


@dataclass(frozen=True)
class Collected:
    """What went, or would go."""

    model: str
    dry_run: bool
    policy: dict[str, int | None] | None
    """None if model.yaml has no section `retention`: everything is kept"""
    groups: list[Group]
    objects: int
    bytes: int
    unfinished: int
    """Objects that an interrupted call left to be removed; removed too, unless in a dry run"""
    removed: int


def collect(
    definition: ModelDefinition,
    *,
    settings: Settings,
    now: dt.datetime,
    dry_run: bool = True,
    by: str = "policy",
    run_url: str | None = None,
) -> Collected:
    """Collect what the definition's `retention` lets go and nothing needs; with `dry_run`, only say what that is.

    Args:
        definition: the model.
        settings: where ledger, store, feature remotes and MLflow are.
        now: aware; what was recorded in the week before stays.
        dry_run: change nothing. If the definition lets nothing go, the policy alone changes nothing either: what an
            interrupted call left is then for a person to finish.
        by: who asked.
        run_url: address of the task's log.

    What killed writers left in the store a day ago or more goes too, whatever the policy says: nobody can read it.

    Raises:
        UnavailableError: one of them does not answer; what is recorded and not removed is removed by the next call.
    """
    ledger, model = Ledger.from_settings(settings), definition.name
    coverage.review(definition, settings=settings)  # what nobody has measured yet would keep what it stands before
    left = abandoned_files.find(model, settings=settings, now=now)
    swept = 0 if dry_run else abandoned_files.sweep(left, settings=settings)
    if dry_run or (by == "policy" and definition.retention is None):
        with ledger.transaction() as session:
            items = _planned(session, definition, settings, now, inventory.list_beside(definition, settings))
            sizes = measure(session, model, items, settings)
            unfinished = len(session.scalars(open_collections(model)).all())
        found = _describe(definition, items, sizes, dry_run=True, unfinished=unfinished)
        return _tell(_with_scratch(found, left, dry_run=dry_run, removed=swept))
    with ledger.lock("retention", model) as session:
        hold(session, collected.REMOVAL)  # a backup that runs copies what its ledger names first
        unfinished = len(session.scalars(open_collections(model)).all())
        beside = inventory.list_beside(definition, settings)  # before the locks: this asks the servers
        sizes = measure(session, model, _planned(session, definition, settings, now, beside), settings)
        with ledger.lock("assemble", model) as recording:
            hold(recording, "champion", model)
            items = _planned(recording, definition, settings, now, beside)
            _record(recording, model, items, sizes, by, run_url)
        removed = finish(model, settings=settings)
    found = _describe(definition, items, sizes, dry_run=False, unfinished=unfinished, removed=removed)
    return _tell(_with_scratch(found, left, dry_run=False, removed=removed + swept))


def _planned(
    session: Session, definition: ModelDefinition, settings: Settings, now: dt.datetime, beside: Sequence[str]
) -> list[Item]:
    policy = definition.retention or KEEP_ALL
    return plan(definition, policy, inventory.read(session, definition, settings, beside), now=now)


def _record(
    session: Session, model: str, items: Sequence[Item], sizes: Mapping[str, int], by: str, run_url: str | None
) -> None:
    """Say in the ledger what is to be removed, before anything is."""
    rows = collected.count_rows(session, [item.name for item in items])
    session.add_all(
        Collection(
            model=model, kind=item.kind, name=item.name, key=item.key, rule=item.rule, rows=rows[item.name],
            bytes=sizes.get(item.name), asked_by=by, run_url=run_url,
        )
        for item in items
    )  # fmt: skip


def _describe(
    definition: ModelDefinition,
    items: Sequence[Item],
    sizes: Mapping[str, int],
    *,
    dry_run: bool,
    unfinished: int,
    removed: int = 0,
) -> Collected:
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item.kind, item.rule), []).append(item)
    return Collected(
        model=definition.name,
        dry_run=dry_run,
        policy=definition.retention.model_dump() if definition.retention else None,
        groups=[
            Group(
                kind=kind,
                objects=len(group),
                bytes=sum(sizes.get(item.name, 0) for item in group),
                oldest=min(item.key for item in group),
                newest=max(item.key for item in group),
                rule=rule,
            )
            for (kind, rule), group in groups.items()
        ],
        objects=len(items),
        bytes=sum(sizes.get(item.name, 0) for item in items),
        unfinished=unfinished,
        removed=removed,
    )


def _with_scratch(found: Collected, left: Sequence[Unfinished], *, dry_run: bool, removed: int) -> Collected:
    """`found` and what killed writers left, which `dry_run` says to be there still."""
    found = replace(found, dry_run=dry_run, removed=removed)
    if not left:
        return found
    size, (first, last) = sum(file.bytes for file in left), (f"{left[n].modified:%Y-%m-%d}" for n in (0, -1))
    group = Group("scratch", len(left), size, first, last, abandoned_files.RULE)
    return replace(found, groups=[*found.groups, group], objects=found.objects + len(left), bytes=found.bytes + size)


def _tell(found: Collected) -> Collected:
    if found.policy is None:
        log.info("%s: model.yaml has no section `retention`: everything is kept", found.model)
    for group in found.groups:
        log.info(
            "%s: %d x %s, %s to %s, %s bytes, by %s",
            found.model, group.objects, group.kind, group.oldest, group.newest, f"{group.bytes:,}", group.rule,
        )  # fmt: skip
    if found.unfinished:
        log.info("%s: %d objects were left by an interrupted collection", found.model, found.unfinished)
    if found.dry_run:
        log.info("%s: a dry run: nothing was removed", found.model)
    else:
        log.info("%s: %d objects removed", found.model, found.removed)
    return found
