"""From landed partitions to the text of an `expectations.py`, tried on the partitions it was made from."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import pandas as pd

from evergreen.core import standing
from evergreen.core.definition import ModelDefinition, Period
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import is_partition
from evergreen.core.names import PartitionKey
from evergreen.core.text import plain
from evergreen.errors import BadInputError
from evergreen.loop.intake import pseudonyms
from evergreen.loop.intake.comparisons.rules import REFERENCES, Categories, Numbers, Reference, ask
from evergreen.loop.intake.landing_zone import Drop, list_feed
from evergreen.loop.intake.validation.judge_drop import judge_drop
from evergreen.loop.intake.validation.judged_before import OTHER, Judged
from evergreen.loop.intake.validation.judgement import Judgement
from evergreen.loop.intake.validation.suite import run_suite
from evergreen.tools.propose import rules
from evergreen.tools.propose.observed import Facts
from evergreen.tools.propose.render import file_of
from evergreen.tools.propose.rules import Compared

Progress = Callable[[str, str, str], None]
"""Told what is done with which table of which partition."""
_TOO_LIVELY = 0.05
"""A column that warns in more than this share of partitions is not compared."""
_SEASONS = 8
"""Partitions with a year before them from which on it is known how a column compares with last year's"""


@dataclass(frozen=True)
class Tried:
    """What the proposal says of one table that it was made from."""

    table: TableName
    key: PartitionKey
    accepted: bool
    reason: str
    warnings: int


@dataclass(frozen=True)
class Proposal:
    """A file, and what it was made from."""

    text: str
    partitions: dict[str, list[PartitionKey]]
    """Table -> the keys that were profiled, in order"""
    left_out: dict[str, str]
    """`<key> <table>` -> why it could not be read as the table that model.yaml describes"""
    tried: tuple[Tried, ...]


def propose(
    definition: ModelDefinition,
    landing_url: str,
    *,
    tables: Sequence[TableName] = ("inputs", "labels"),
    first: str | None = None,
    last: str | None = None,
    progress: Progress = lambda *_: None,
) -> Proposal:
    """Propose expectations on `tables` from the partitions `first` to `last` (both included; by default all).

    What model.yaml refuses (columns, types, ids, times) is left out; the model's own expectations are not asked.

    Raises:
        BadInputError: nothing usable of a table has landed.
        PartitionKeyError: `first` or `last` is no partition key.
        UnavailableError: the landing zone does not answer.
    """
    landed = _Landed(definition, landing_url, first, last)
    facts: dict[TableName, Facts] = {}
    compared: dict[TableName, Compared] = {}
    with standing.by(definition):
        for table in tables:
            facts[table] = _facts(landed, table, progress)
            wanted = rules.comparable(definition, table, facts[table])
            compared[table] = _quiet(landed, table, wanted, progress)
        text = file_of(definition, facts, compared)
        tried = tuple(_try(landed, text, facts, progress))
    return Proposal(text, {table: found.keys for table, found in facts.items()}, landed.left_out, tried)


def decisive(
    definition: ModelDefinition, landing_url: str, *, tables: Sequence[TableName] = ("inputs", "labels")
) -> str:
    """What of a proposal on all that has landed may quarantine, as the text of a file; raises as `propose`.

    Columns that would only be warned about are not looked for, and nothing is tried: a third of the work.
    """
    landed = _Landed(definition, landing_url, None, None)
    with standing.by(definition):
        facts: dict[TableName, Facts] = {table: _facts(landed, table, lambda *_: None) for table in tables}
    return file_of(definition, facts, {table: Compared() for table in facts})


class _Landed:
    """The drops of the partitions asked for."""

    def __init__(self, definition: ModelDefinition, landing_url: str, first: str | None, last: str | None) -> None:
        for key in (first, last):
            if key is not None:
                definition.partitions.parse(key)
        self.definition, self.landing_url = definition, landing_url
        self.left_out: dict[str, str] = {}
        self._secret = secrets.token_bytes(32)
        folders = list_feed(landing_url, definition.feed.name, list(OTHER))
        self._drops: dict[tuple[str, PartitionKey], Drop] = {
            (table, PartitionKey(key)): drop
            for key, folder in sorted(folders.items())
            for table, drop in folder.drops.items()
            if is_partition(definition, key) and (first is None or key >= first) and (last is None or key <= last)
        }

    def keys(self, table: TableName) -> list[PartitionKey]:
        return [key for own, key in self._drops if own == table and f"{key} {table}" not in self.left_out]

    def judge(
        self, table: TableName, key: PartitionKey, expectations: Sequence[Any], judged: Judged | None = None
    ) -> Judgement:
        drop = self._drops[table, key]
        past = judged.past(table, key, expectations) if judged else None
        return judge_drop(drop, self.definition, table, key, expectations, past=past, secret=self._secret)

    def frames(self, table: TableName) -> Iterator[tuple[PartitionKey, Judgement, pd.DataFrame]]:
        """What passes model.yaml, in order; the rest is remembered with its reason."""
        for key in self.keys(table):
            found = self.judge(table, key, [])
            if found.accepted and found.frame is not None:
                yield key, found, found.frame
            else:
                self.left_out[f"{key} {table}"] = found.reason


def _facts(landed: _Landed, table: TableName, progress: Progress) -> Facts:
    definition = landed.definition
    facts = Facts.of(definition.feed.tables[table].columns, pseudonyms.personal(definition, table))
    for key, _, frame in landed.frames(table):
        progress("profile", table, key)
        facts.add(key, frame, _reach(frame[definition.feed.event_time], definition.partitions.period(key)))
    if facts.keys:
        return facts
    reasons = "".join(f"\n  {name}: {reason}" for name, reason in landed.left_out.items() if name.endswith(table))
    raise BadInputError(
        f"no {table} of {definition.name} that model.yaml allows have landed below {landed.landing_url} for these "
        f"partitions; land some (with _SUCCESS last), or name another place with --landing{reasons}"
    )


def _reach(times: pd.Series, period: Period) -> float:
    gap = max(times.min() - period.start, period.end - times.max())
    return float(gap / (period.end - period.start))


def _quiet(landed: _Landed, table: TableName, wanted: Compared, progress: Progress) -> Compared:
    """Those of `wanted` that seldom warn in the partitions themselves: against those before, or else a year ago."""
    judged, loud = Judged(landed.definition), {reference: Counter[str]() for reference in REFERENCES}
    asked, rules = Counter[Reference](), {r: _candidates(wanted, r) for r in REFERENCES}
    every = [rule for candidates in rules.values() for rule in candidates]
    for key, judgement, frame in landed.frames(table):
        progress("compare", table, key)
        past = replace(judged.past(table, key, every), rows=len(frame))
        for reference, candidates in rules.items():
            expectations = ask([rule for rule in candidates if rule.has(past)], past).expectations
            if expectations:
                asked[reference] += 1
                name = f"{landed.definition.name}.{table}"
                found = run_suite(frame, expectations, name, in_full=False).found
                loud[reference].update({f.column or "" for f in found})
        judged.keep(table, key, judgement)

    def quiet(names: tuple[str, ...], reference: Reference) -> tuple[str, ...]:
        return tuple(name for name in names if loud[reference][name] <= _TOO_LIVELY * asked[reference])

    def seasonal(names: tuple[str, ...]) -> tuple[str, ...]:
        moving = tuple(name for name in names if name not in quiet(names, "before"))
        return quiet(moving, "season") if asked["season"] >= _SEASONS else ()

    return replace(
        wanted,
        numbers=quiet(wanted.numbers, "before"),
        categories=quiet(wanted.categories, "before"),
        seasonal_numbers=seasonal(wanted.numbers),
        seasonal_categories=seasonal(wanted.categories),
    )


def _candidates(wanted: Compared, reference: Reference) -> list[Numbers | Categories]:
    return [
        Numbers(columns=wanted.numbers, reference=reference),
        Categories(columns=wanted.categories, reference=reference),
    ]


def load_text(text: str) -> ModuleType:
    """The module that `text` makes."""
    module = ModuleType("proposed_expectations")
    exec(compile(text, "expectations.py", "exec"), module.__dict__)  # noqa: S102 - we wrote it
    return module


def _try(landed: _Landed, text: str, facts: dict[TableName, Facts], progress: Progress) -> Iterator[Tried]:
    """Judge every partition the proposal was made from by it, as if they had landed in order."""
    module, judged = load_text(text), Judged(landed.definition)
    for table, found in facts.items():
        expectations = getattr(module, table)()
        for key in found.keys:
            progress("try", table, key)
            judgement = landed.judge(table, key, expectations, judged)
            judged.keep(table, key, judgement)
            said = plain(judgement.reason, 400)
            yield Tried(table, key, judgement.accepted, said, sum(f.severity == "warning" for f in judgement.failures))
