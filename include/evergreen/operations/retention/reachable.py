"""What must stay, whatever the policy says: all that serving, going back and the next training can reach. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from evergreen.core.definition import ModelDefinition
from evergreen.core.names import PartitionKey
from evergreen.loop.intake.comparisons.past import earliest_compared
from evergreen.loop.monitoring.reference_window import wanted_keys
from evergreen.operations.retention.inventory import Facts, Trained, reach

EVERYTHING = PartitionKey("")
"""Lies before all keys"""
CONCLUDED = ("promoted", "refused")


@dataclass(frozen=True)
class Needed:
    """What may not be collected."""

    first_key: PartitionKey
    """All of this partition and later ones stays; "" if everything does"""
    snapshots: frozenset[int]
    verdicts: frozenset[int]
    runs: frozenset[int]
    """Ids of the training runs whose models stay"""
    look_back: int
    """Partitions that features may look back on: by the code of today, or of a version that may serve"""
    profiles_from: str
    """Accepted rows of this partition and later ones keep their profiles: the next verdicts may compare with them"""


def needed(definition: ModelDefinition, facts: Facts) -> Needed:
    """What must stay.

    - Models: every version that has served (a person may go back to any of them), the newest one, challengers of the
      champion (they are scored in the shadow, and a person may promote them), and runs that have not come to an end.
    - Datasets: of the champion, of the version before it, of the newest one, of those challengers and those runs.
    - Feature code, of any version: it is never collected.
    - Partitions: those after the newest labels that the champion, or the version before it, was judged on, which the
      monitor compares both on; the window and holdout of the next training; what the next features look back on, and
      what the next checks compare with.
    """
    champion = facts.served[-1] if facts.served else None
    before = next((v for v in reversed(facts.served) if v != champion), None)
    rivals = {challenger for challenger, rival in facts.compared if champion is not None and rival == champion}
    newest = max((run.version for run in facts.trained if run.version is not None), default=None)
    at_hand = {champion, before, newest, *rivals} - {None}
    open_runs = {run.id for run in facts.trained if is_open(run, facts.trained)}
    models = {run.id for run in facts.trained if run.version in at_hand | set(facts.served)}
    datasets = [run for run in facts.trained if run.version in at_hand or run.id in open_runs]
    snapshots = frozenset().union(*(run.snapshots for run in datasets))
    may_serve = {version for version in at_hand | set(facts.served) if version is not None}
    look_back = max(
        [reach(definition, definition.features), *(facts.look_backs.get(version, 0) for version in may_serve)]
    )
    own = [run.as_of for run in facts.trained if run.version is not None and run.version in (champion, before)]
    return Needed(
        first_key=min([*own, _next_training(definition, facts), _next_build(definition, facts, look_back)]),
        snapshots=snapshots,
        verdicts=frozenset().union(*(run.labels for run in datasets)) | _inputs_of(facts, snapshots),
        runs=frozenset(models | open_runs),
        look_back=look_back,
        profiles_from=_next_verdict(definition, facts),
    )


def is_open(run: Trained, runs: Iterable[Trained]) -> bool:
    """Whether something may still be done with a run: a failed one can be carried on until a later one is concluded."""
    if run.state != "failed":
        return run.state not in CONCLUDED
    return not any(other.id > run.id and other.state in CONCLUDED for other in runs)


def _next_training(definition: ModelDefinition, facts: Facts) -> PartitionKey:
    """The oldest partition that the next training reads."""
    labels = {version.key for version in facts.landed if version.table == "labels" and version.accepted}
    labelled = ({built.key for built in facts.built} & labels) - facts.held
    return nth_newest(labelled, definition.training.window + definition.gate.holdout)


def _next_build(definition: ModelDefinition, facts: Facts, look_back: int) -> PartitionKey:
    """The oldest partition that features or check of the next one, and of the one that is landing, look back on."""
    landed = {version.key for version in facts.landed if version.accepted}
    back = nth_newest(landed, look_back + definition.feed.label_delay + 2)
    kind, window = definition.monitoring.reference, definition.monitoring.reference_window
    latest = nth_newest(landed, 2)  # a check may come a partition late
    compared = wanted_keys(kind, definition.partitions, latest, window=window) if latest else []
    return min([back, *compared])


def _next_verdict(definition: ModelDefinition, facts: Facts) -> PartitionKey:
    """The oldest partition that a comparison of the next one, or of the one that is landing, can look at."""
    latest = nth_newest({version.key for version in facts.landed if version.accepted}, 2)
    return earliest_compared(definition.partitions, latest) if latest else EVERYTHING


def _inputs_of(facts: Facts, snapshots: Collection[int]) -> frozenset[int]:
    """Verdicts whose accepted inputs are read beside the features of `snapshots`."""
    latest = {version.id: version.verdicts[-1].id for version in facts.landed if version.verdicts}
    chosen = [built for built in facts.built if built.id in snapshots]
    found = (built.inputs_verdict or latest.get(built.inputs_version) for built in chosen)
    return frozenset(verdict for verdict in found if verdict is not None)


def nth_newest(keys: Collection[PartitionKey], count: int) -> PartitionKey:
    """The `count`-th newest key; "", which lies before all, if there are not so many."""
    ordered = sorted(set(keys), reverse=True)
    return ordered[count - 1] if len(ordered) >= count else EVERYTHING
