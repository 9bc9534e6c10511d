"""The past as the loop would have seen it, from landed files alone: no ledger, no server, no Airflow.

Each table is judged by the code of `evergreen check`; features are built from what was due before their partition
began, as the features DAG builds them once all labels are there. What would be quarantined is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from evergreen.core import standing
from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.definition.partition_keys import is_partition
from evergreen.core.names import PartitionKey
from evergreen.core.text import percent, share
from evergreen.core.values import TABLES
from evergreen.errors import BadInputError
from evergreen.loop.features.build_plan import recent_keys, wanted_keys
from evergreen.loop.features.compute import compute
from evergreen.loop.features.look_back import history_of
from evergreen.loop.intake.comparisons.rules import decides
from evergreen.loop.intake.failures import critical, reason
from evergreen.loop.intake.labels import maturity
from evergreen.loop.intake.labels.maturity import Coverage
from evergreen.loop.intake.landing_zone import find_drop
from evergreen.loop.intake.validation.judge_drop import judge_drop
from evergreen.loop.intake.validation.judged_before import Judged
from evergreen.loop.intake.validation.load_expectations import load_expectations
from evergreen.loop.intake.validation.suite import run_suite
from evergreen.loop.training.dataset import cluster_names
from evergreen.loop.training.examples import Examples
from evergreen.loop.training.model_matrix import model_frame, target_values
from evergreen.tools.backtest.landed_beside import Versions, beside_of, read_references

Progress = Callable[[int, int], None]
"""Told how many partitions are done, and of how many."""


@dataclass(frozen=True)
class Partition:
    """One partition.

    Attributes:
        key: its key.
        features: all rows: the feed's entity and event_time, and the features (numeric float64, categorical str).
        examples: the rows that have a label, in the same order; without rows if no labels have landed.
    """

    key: PartitionKey
    features: pd.DataFrame
    examples: Examples

    @cached_property
    def features_digest(self) -> str:
        """SHA-256, hex, of the features' columns and values."""
        return _digest(self.features)

    @cached_property
    def examples_digest(self) -> str:
        """SHA-256, hex, of what training reads of the labelled rows."""
        return _digest(self.examples.features.assign(__target__=self.examples.target))


def _digest(frame: pd.DataFrame) -> str:
    digest = hashlib.sha256(repr(list(frame.columns)).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class History:
    """Partitions of one model, oldest first, and why others are not among them."""

    definition: ModelDefinition
    partitions: tuple[Partition, ...]
    left_out: Mapping[str, str]
    """`<key> <table>` -> the reason for which it would be quarantined"""

    @property
    def keys(self) -> list[PartitionKey]:
        """Keys of the partitions, oldest first."""
        return [partition.key for partition in self.partitions]

    def __getitem__(self, key: PartitionKey) -> Partition:
        return self._by_key[key]

    @cached_property
    def _by_key(self) -> dict[PartitionKey, Partition]:
        return {partition.key: partition for partition in self.partitions}

    def __len__(self) -> int:
        return len(self.partitions)

    def __iter__(self) -> Iterator[Partition]:
        return iter(self.partitions)


@dataclass(frozen=True)
class Tables:
    """Accepted rows by partition key: what features and examples are made of."""

    inputs: Mapping[PartitionKey, pd.DataFrame]
    labels: Mapping[PartitionKey, pd.DataFrame]
    left_out: Mapping[str, str]
    references: Versions = field(default_factory=dict)
    """Accepted versions of the references, if the definition has some"""
    held_back: Mapping[str, str] = field(default_factory=dict)
    """Those of `left_out` that are incomplete labels: they count once they are complete"""


def read_history(
    definition: ModelDefinition,
    landing_url: str,
    *,
    first: str | None = None,
    last: str | None = None,
    progress: Progress | None = None,
) -> History:
    """The partitions `first` to `last` (both included; by default all that have landed), with features and labels.

    Raises:
        BadInputError: nothing has landed for these partitions, or `features.py` breaks its contract.
        PartitionKeyError: `first` or `last` is no partition key.
        DefinitionError: the model's Python files cannot be loaded.
        UnavailableError: the landing zone does not answer.
    """
    tables, wanted = read_tables(definition, landing_url, first=first, last=last, progress=progress)
    return build_history(definition, tables, wanted)


def read_tables(
    definition: ModelDefinition,
    landing_url: str,
    *,
    first: str | None = None,
    last: str | None = None,
    progress: Progress | None = None,
) -> tuple[Tables, list[PartitionKey]]:
    """Accepted rows of the partitions `first` to `last` and of those they look back on; the keys that have inputs.

    Raises:
        as `read_history`, but for what `features.py` does.
    """
    for key in (first, last):
        if key is not None:
            definition.partitions.parse(key)
    keys = _landed_keys(definition, landing_url)
    wanted = [k for k in keys if (first is None or k >= first) and (last is None or k <= last)]
    if not wanted:
        raise BadInputError(
            f"nothing has landed for {definition.name} below {landing_url}"
            f"{f' from {first}' if first else ''}{f' through {last}' if last else ''}"
        )
    tables = _read_all(definition, landing_url, keys, wanted, progress)
    return tables, [k for k in wanted if k in tables.inputs]


def read_newest(
    definition: ModelDefinition, landing_url: str, count: int, *, progress: Progress | None = None
) -> tuple[Tables, list[PartitionKey]]:
    """Accepted rows of the `count` newest partitions that have landed and of those they look back on; their keys.

    Raises:
        BadInputError: nothing has landed.
        DefinitionError: the model's Python files cannot be loaded.
        UnavailableError: the landing zone does not answer.
    """
    keys = _landed_keys(definition, landing_url)
    if not keys:
        raise BadInputError(
            f"nothing has landed for {definition.name} below {landing_url}; `evergreen feed land` lands the past"
        )
    wanted = keys[-count:]
    return _read_all(definition, landing_url, keys, wanted, progress), wanted


def _read_all(
    definition: ModelDefinition,
    landing_url: str,
    keys: list[PartitionKey],
    wanted: list[PartitionKey],
    progress: Progress | None,
) -> Tables:
    """The tables of the partitions `wanted` and of those they look back on."""
    landed = set(keys)
    before = (k for key in wanted for k in (*wanted_keys(definition, key), *recent_keys(definition, key)))
    needed = sorted({*wanted, *(k for k in before if k in landed)})
    inputs: dict[PartitionKey, pd.DataFrame] = {}
    labels: dict[PartitionKey, pd.DataFrame] = {}
    left_out: dict[str, str] = {}
    judged = Judged(definition)
    with standing.by(definition):
        for done, key in enumerate(needed, 1):
            for table, found in zip(TABLES, (inputs, labels), strict=True):
                _read(definition, landing_url, table, key, found, left_out, judged)
            if progress:
                progress(done, len(needed))
    immature = incomplete(definition, inputs, labels)
    for key in immature:
        labels.pop(key)
    held_back = {f"{key} labels": why for key, why in immature.items()}
    references, refused = read_references(definition, landing_url)
    return Tables(inputs, labels, left_out | held_back | refused, references, held_back)


def incomplete(
    definition: ModelDefinition,
    inputs: Mapping[PartitionKey, pd.DataFrame],
    labels: Mapping[PartitionKey, pd.DataFrame],
) -> dict[PartitionKey, str]:
    """Partitions whose labels the loop would hold back, by key, and why. Pure."""
    entity, coverages = definition.feed.entity, []
    for key in sorted(inputs.keys() & labels.keys()):
        known = labels[key].dropna(subset=[definition.target])[entity]
        coverages.append(Coverage(key, len(inputs[key]), int(inputs[key][entity].isin(known).sum())))
    found = maturity.judge(coverages, definition.feed.labels.complete)
    return {
        key: f"{share(stands.coverage.labelled or 0, stands.coverage.inputs)} inputs have a label, at least "
        f"{percent(stands.needed)} are needed"
        for key, stands in found.items()
        if not stands.mature
    }


def build_history(definition: ModelDefinition, tables: Tables, keys: list[PartitionKey]) -> History:
    """Features and examples of the partitions `keys` from accepted rows; raises BadInputError as `compute` does.

    A partition whose features the model's own suite refuses is left out, and so are its labels from training.
    """
    left_out, partitions = dict(tables.left_out), []
    expectations = load_expectations(definition, "features")
    for key in keys:
        beside = beside_of(definition, tables.inputs, tables.references, key)
        features = compute(definition, tables.inputs[key], look_back(definition, tables, key), beside=beside)
        failed = critical(run_suite(features, expectations, f"{definition.name}.features", in_full=False).found)
        if failed:
            left_out[f"{key} features"] = reason(failed)
            continue
        labels = tables.labels.get(key)
        partitions.append(Partition(key, features, label(definition, key, features, tables.inputs[key], labels)))
    return History(definition, tuple(partitions), left_out)


def label(
    definition: ModelDefinition,
    key: PartitionKey,
    features: pd.DataFrame,
    inputs: pd.DataFrame,
    labels: pd.DataFrame | None,
) -> Examples:
    """The rows of `features` that have a label, as training reads them; none if `labels` is None."""
    entity, target = definition.feed.entity, "__target__"  # a name that no column of a feed may have
    truth = labels[[entity, definition.target]].dropna() if labels is not None else inputs[[entity]].iloc[:0]
    truth = truth.rename(columns={definition.target: target})
    if target not in truth:
        truth = truth.assign(**{target: pd.Series(dtype="float64")})
    rows = features.merge(truth, on=entity, validate="one_to_one")
    own = inputs.set_index(entity).loc[rows[entity]].reset_index()
    strangers = [c for c in definition.gate.columns if c not in definition.features.columns]
    return Examples(
        features=model_frame(rows, definition.features.numeric, definition.features.categorical),
        target=target_values(definition, rows[target].rename(definition.target)),
        key=np.full(len(rows), key, dtype=object),
        cluster=cluster_names(definition, own),
        entity=rows[entity].to_numpy(dtype=object),
        event_time=rows[definition.feed.event_time],
        extra=own[strangers],
    )


def look_back(definition: ModelDefinition, tables: Tables, key: PartitionKey) -> pd.DataFrame:
    """The rows that features of the partition `key` look back on, with their labels."""
    past = [k for k in wanted_keys(definition, key) if k in tables.inputs and k in tables.labels]
    return history_of(definition, ((tables.inputs[k], tables.labels[k]) for k in past))


def _landed_keys(definition: ModelDefinition, landing_url: str) -> list[PartitionKey]:
    """Keys of the calendar that have a folder in the landing zone, in order."""
    from evergreen.core.store.filesystem import url_to_fs
    from evergreen.errors import UnavailableError

    folder = f"{landing_url.rstrip('/')}/{definition.feed.name}"
    try:
        fs, path = url_to_fs(folder)
        names = [str(name).rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnavailableError(f"cannot list {folder}: {error.strerror or error}") from error
    return [PartitionKey(name) for name in sorted(names) if is_partition(definition, name)]


def _read(
    definition: ModelDefinition,
    landing_url: str,
    table: TableName,
    key: PartitionKey,
    found: dict[PartitionKey, pd.DataFrame],
    left_out: dict[str, str],
    judged: Judged,
) -> None:
    """Judge one landed table; put its rows into `found`, or the reason against them into `left_out`."""
    drop = find_drop(landing_url, definition.feed.name, table, key)
    if drop is None:
        return
    rules = decides(load_expectations(definition, table))
    past = judged.past(table, key, rules)
    judgement = judge_drop(drop, definition, table, key, rules, past=past)
    judged.keep(table, key, judgement)
    if judgement.accepted and judgement.frame is not None:
        found[key] = judgement.frame
    else:
        left_out[f"{key} {table}"] = judgement.reason
