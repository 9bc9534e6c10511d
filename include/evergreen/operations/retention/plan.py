"""Which objects go, and by which rule. Pure: the same facts, policy and instant give the same plan.

An object goes if every row that names it lets it go: files are named by their content, so rows can share one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.sections import RetentionSection
from evergreen.core.ledger.queries.collected import model_name, run_name
from evergreen.core.names import PartitionKey, Uri
from evergreen.core.store import layout
from evergreen.core.values import ObjectKind
from evergreen.operations.retention.inventory import Facts, Landed
from evergreen.operations.retention.reachable import Needed, needed, nth_newest

GRACE = dt.timedelta(days=7)
"""What was recorded within this time stays: a task that began before may still read it. Tasks end within hours."""


@dataclass(frozen=True)
class Item:
    """One object that goes."""

    kind: ObjectKind
    name: str
    """URI in the store, DVC hash, or what `collected.model_name` makes"""
    key: PartitionKey
    """Newest partition that it is of"""
    rule: str
    """Such as `keep_reports: 52`"""


@dataclass(frozen=True)
class Use:
    """One row's say about one object that it names; `rule` is what lets it go, None if it stays."""

    kind: ObjectKind
    name: str
    key: PartitionKey
    born: dt.datetime
    rule: str | None


@dataclass(frozen=True)
class _Limits:
    """Partitions from which on things stay, and the rules that say so; None if all stay."""

    needed: Needed
    features_from: str
    rows_from: str
    policy: RetentionSection

    def rule(self, name: str) -> str | None:
        count = getattr(self.policy, name)
        return None if count is None else f"{name}: {count}"


def plan(definition: ModelDefinition, policy: RetentionSection, facts: Facts, *, now: dt.datetime) -> list[Item]:
    """What `policy` lets go of, ordered by kind, key and name.

    Args:
        definition: the model.
        policy: how much to keep.
        facts: what the ledger says.
        now: aware.
    """
    limits = _limits(definition, policy, facts)
    by_name: dict[str, list[Use]] = {}
    for use in _uses(definition.name, facts, limits):
        by_name.setdefault(use.name, []).append(use)
    items = []
    for name, uses in by_name.items():
        settled = all(use.rule is not None and now - use.born >= GRACE for use in uses)
        if settled and name not in facts.gone and name not in facts.foreign:
            last = max(uses, key=lambda use: use.key)
            items.append(Item(uses[0].kind, name, last.key, str(last.rule)))
    return sorted(items, key=lambda item: (item.kind, item.key, item.name))


def _limits(definition: ModelDefinition, policy: RetentionSection, facts: Facts) -> _Limits:
    must = needed(definition, facts)
    features_from = min(must.first_key, _from({v.key for v in facts.landed if v.accepted}, policy.keep_partitions))
    # Features that are kept may have to be built again: what they look back on is kept with them.
    back = must.look_back + definition.feed.label_delay
    rows_from = definition.partitions.shift(features_from, -back) if features_from else ""
    return _Limits(must, features_from, rows_from, policy)


def _from(keys: set[PartitionKey], count: int | None) -> str:
    return "" if count is None else nth_newest(keys, count)


def _uses(model: str, facts: Facts, limits: _Limits) -> Iterator[Use]:
    yield from _landed(facts, limits)
    yield from _built(facts, limits)
    yield from _written(facts, limits)
    yield from _trained(model, facts, limits)


def _landed(facts: Facts, limits: _Limits) -> Iterator[Use]:
    newest = _newest(facts.landed)
    current = _newest(version for version in facts.landed if version.accepted)
    keys = {version.key for version in facts.landed}
    quarantined_from = _from(keys, limits.policy.keep_quarantined)
    validations_from = _from(keys, limits.policy.keep_validations)
    for version in facts.landed:
        held = not version.accepted and version.version == newest[version.table, version.key]
        used = any(verdict.id in limits.needed.verdicts for verdict in version.verdicts)
        rule = None
        if not held and not used and version.verdicts:
            if version.accepted:
                rule = limits.rule("keep_partitions") if version.key < limits.rows_from else None
            else:
                rule = limits.rule("keep_quarantined") if version.key < quarantined_from else None
        yield from _objects(version, rule)
        compared = version.version == current.get((version.table, version.key))
        stays = compared and version.key >= limits.needed.profiles_from
        for name in version.profiles:
            yield Use("profile", name, version.key, version.born, None if stays else rule)
        shown = None if held or version.key >= validations_from else limits.rule("keep_validations")
        for verdict in version.verdicts:
            for name in _pages(verdict.results):
                yield Use("validation", name, version.key, version.born, shown)


def _newest(versions: Iterable[Landed]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for version in versions:
        place = (version.table, version.key)
        found[place] = max(version.version, found.get(place, 0))
    return found


def _objects(version: Landed, rule: str | None) -> Iterator[Use]:
    """A landed version goes whole or not at all: its copy, its accepted rows, and what is kept of its bad ones."""
    if version.raw:
        yield Use("raw", version.raw, version.key, version.born, rule)
    for verdict in version.verdicts:
        if verdict.clean:
            yield Use("accepted", verdict.clean, version.key, version.born, rule)
        if verdict.rejected:
            yield Use("quarantined", verdict.rejected, version.key, version.born, rule)
    for name in version.samples:
        yield Use("quarantined", name, version.key, version.born, rule)


def _built(facts: Facts, limits: _Limits) -> Iterator[Use]:
    validations_from = _from({built.key for built in facts.built}, limits.policy.keep_validations)
    for built in facts.built:
        stays = built.id in limits.needed.snapshots or built.key >= limits.features_from
        rule = None if stays else limits.rule("keep_partitions")
        yield Use("features", built.md5, built.key, built.born, rule)
        shown = limits.rule("keep_validations") if built.key < validations_from else None
        for name in _pages(built.results):
            yield Use("validation", name, built.key, built.born, shown)


def _pages(results: Uri | None) -> tuple[str, ...]:
    """Great Expectations' result and the page that was drawn of it."""
    return (results, layout.data_docs(results)) if results else ()


def _written(facts: Facts, limits: _Limits) -> Iterator[Use]:
    kept = _from({row.key for row in facts.predicted}, limits.policy.keep_predictions)
    for row in facts.predicted:
        rule = limits.rule("keep_predictions") if row.key < min(kept, limits.needed.first_key) else None
        yield Use("predictions", row.name, row.key, row.born, rule)
    kept = _from({row.key for row in facts.reported}, limits.policy.keep_reports)
    for row in facts.reported:
        yield Use("report", row.name, row.key, row.born, limits.rule("keep_reports") if row.key < kept else None)


def _trained(model: str, facts: Facts, limits: _Limits) -> Iterator[Use]:
    """Models, and with them what MLflow keeps of runs that made none: those are as old as the versions around them."""
    count = limits.policy.keep_models
    made = sorted((run.id for run in facts.trained if run.version is not None), reverse=True)
    oldest = made[count - 1] if count is not None and len(made) >= count else 0
    for run in facts.trained:
        stays = run.id in limits.needed.runs or run.id >= oldest
        name = run_name(model, run.id) if run.version is None else model_name(model, run.version)
        yield Use("model", name, run.as_of, run.born, None if stays else limits.rule("keep_models"))
