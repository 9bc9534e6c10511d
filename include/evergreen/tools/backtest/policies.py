"""The policies that can be replayed: ours, by the very functions of the DAGs, and what others do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evergreen.core.names import PartitionKey
from evergreen.errors import BadInputError
from evergreen.loop.champion.evaluation import gate, record
from evergreen.loop.champion.reference_sample import REFERENCE_ROWS
from evergreen.loop.monitoring import policy
from evergreen.loop.monitoring.drift import detect
from evergreen.loop.monitoring.loss import harm_test
from evergreen.loop.monitoring.loss.realised import losses_by_cluster
from evergreen.loop.monitoring.reference_window import choose_reference
from evergreen.loop.monitoring.rivals import recurrence_test, regret_test
from evergreen.loop.training.classes import as_columns
from evergreen.tools.backtest.challengers import Fits
from evergreen.tools.backtest.simulate import Now, Policy, Wish


@dataclass(frozen=True)
class Never:
    """The first champion serves for good."""

    name: str = "never"
    gated: bool = False

    def decide(self, now: Now) -> Wish:
        """Nothing."""
        return Wish()


@dataclass(frozen=True)
class Every:
    """A new model every `period` partitions, promoted as it is: a cron job."""

    period: int = 1
    name: str = "weekly"
    gated: bool = False

    def decide(self, now: Now) -> Wish:
        """A retrain, when its time has come."""
        done = len(now.steps) + 1
        return Wish("retrain", "age", f"{self.period} partitions are over") if done % self.period == 0 else Wish()


@dataclass
class Evidently:
    """A new model if Evidently's default preset calls dataset drift (half of the columns), promoted as it is."""

    name: str = "evidently"
    gated: bool = False
    _seen: dict[tuple[str, str], bool] = field(default_factory=dict)

    def decide(self, now: Now) -> Wish:
        """A retrain on dataset drift."""
        pair = (now.champion.as_of, now.key)
        if pair not in self._seen:
            self._seen[pair] = _dataset_drift(now.fits, *pair)
        return Wish("retrain", "drift", "Evidently's preset calls dataset drift") if self._seen[pair] else Wish()


def _dataset_drift(fits: Fits, as_of: PartitionKey, key: PartitionKey) -> bool:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition, made = fits.history.definition, fits.by_as_of[as_of]
    features = definition.features
    columns = DataDefinition(numerical_columns=list(features.numeric), categorical_columns=list(features.categorical))
    before = pd.concat([fits.history[k].examples.features for k in made.train_keys], ignore_index=True)
    frames = (fits.history[key].features[list(features.columns)], before[list(features.columns)])
    current, reference = (Dataset.from_pandas(f, data_definition=columns) for f in frames)
    found = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"]
    share = next(m["value"]["share"] for m in found if m["metric_name"].startswith("DriftedColumnsCount"))
    return bool(share >= 0.5)


@dataclass
class Evergreen:
    """What the DAGs do: drift check, harm test, regret test, policy, gate."""

    name: str = "evergreen"
    gated: bool = True
    _drift: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)

    def decide(self, now: Now) -> Wish:
        """The monitor's decision."""
        signals = self.signals(now)
        decided = policy.decide(signals, past_checks(now), now.fits.history.definition.monitoring)
        asked = decided.kind, decided.cause or "", decided.reason
        return Wish(*asked, signals.drifted, signals.harmed, signals.effects, decided.version)

    def signals(self, now: Now) -> policy.Signals:
        """What the monitor sees. Whom it tells of what is not replayed: no decision depends on it."""
        definition = now.fits.history.definition
        settings, calendar = definition.monitoring, definition.partitions
        effects = self._drifted(now)
        harmed = harm_test.judge(
            clusters_of(now.fits, now.champion.as_of, now.fits.by_as_of[now.champion.as_of].holdout_keys),
            [harm_test.Batch(k, clusters_of(now.fits, now.champion.as_of, [k])) for k in now.served],
            alpha=settings.harm_alpha,
            margin=settings.harm_margin,
        )
        new = calendar.keys(calendar.shift(now.champion.as_of, 1), now.labels_through)
        return policy.Signals(
            version=now.champion.version,
            serving=now.champion.version,
            age=len(new),
            new_rows=sum(len(p.examples) for p in now.fits.history if p.key in new),
            drifted=tuple(effects),
            effects=effects,
            judged=harmed.partitions > 0,
            harmed=harmed.proven,
            pace=record.pace(now.record),
            **_rivals(now),
        )

    def _drifted(self, now: Now) -> dict[str, float]:
        """The effect of each drifted input, the largest first."""
        pair = (now.champion.as_of, now.key)
        if pair not in self._drift:
            current = now.fits.history[now.key].features
            found = detect.check(compared(now), current, now.fits.history.definition)
            self._drift[pair] = found.drifted_effects
        return self._drift[pair]


def compared(now: Now) -> pd.DataFrame:
    """What the partition's inputs are compared with (see `monitoring.references`)."""
    definition, history = now.fits.history.definition, now.fits.history
    settings = definition.monitoring
    chosen = choose_reference(
        settings.reference, definition.partitions, now.key, [p.key for p in history], window=settings.reference_window
    )
    if not chosen.keys:
        return reference(now.fits, now.champion.as_of)
    most = max(1, detect.MAX_ROWS // len(chosen.keys))
    frames = (history[key].features for key in chosen.keys)
    return pd.concat([f.sample(min(len(f), most), random_state=0) for f in frames], ignore_index=True)


def reference(fits: Fits, as_of: PartitionKey) -> pd.DataFrame:
    """The reference that the champion's evaluation would have written (see `champion.reference`)."""
    definition, made, frames = fits.history.definition, fits.by_as_of[as_of], []
    for part, keys in (("train", made.train_keys), ("holdout", made.holdout_keys)):
        chosen = [fits.history[k].examples for k in keys]
        predicted = np.concatenate([fits.labelled_predictions(as_of, k) for k in keys])
        about = {
            definition.feed.event_time: pd.concat([e.event_time for e in chosen], ignore_index=True),
            "cluster": np.concatenate([e.cluster for e in chosen]),
            "target": np.concatenate([e.target for e in chosen]),
            **as_columns(predicted, made.classes, fits.choice(as_of, predicted)),
            "part": part,
        }
        features = pd.concat([e.features for e in chosen], ignore_index=True)
        frame = pd.concat([pd.DataFrame(about), features], axis=1)
        rng = np.random.default_rng(definition.training.seed)
        most = min(len(frame), REFERENCE_ROWS)
        frames.append(frame.iloc[np.sort(rng.choice(len(frame), most, replace=False))])
    return pd.concat(frames, ignore_index=True)


def clusters_of(fits: Fits, as_of: PartitionKey, keys: Iterable[PartitionKey]) -> tuple[harm_test.Cluster, ...]:
    """Losses by cluster of the challenger of `as_of` on the partitions `keys` together."""
    keys = list(keys)
    parts = [fits.history[k].examples for k in keys]
    predicted = np.concatenate([fits.labelled_predictions(as_of, k) for k in keys])
    rows = pd.DataFrame(
        {
            "cluster": np.concatenate([p.cluster for p in parts]),
            "target": np.concatenate([p.target for p in parts]),
            **as_columns(predicted, fits.by_as_of[as_of].classes, fits.choice(as_of, predicted)),
        }
    )
    return tuple(losses_by_cluster(fits.history.definition, rows))


def _rivals(now: Now) -> dict[str, Any]:
    """What the policy is told of the version before, of the challenger in the shadow, and of earlier versions."""
    found: dict[str, Any] = {"served": len(now.served)}
    if now.before is not None and now.served:
        said = _regret(now, now.before.as_of, now.served, look=len(now.served), earlier=0)
        found |= {"before": now.before.version, "regretted": said.proven and _enough(now, now.served)}
    if now.shadow is not None:
        made = now.fits.by_as_of[now.shadow.as_of]
        unseen = [k for k in made.holdout_keys if k not in now.fits.by_as_of[now.champion.as_of].train_keys]
        later = [p.key for p in now.fits.history if made.as_of < p.key <= now.labels_through and len(p.examples)]
        if later:
            said = _regret(now, now.shadow.as_of, unseen + later, look=len(later), earlier=now.met - 1)
            found |= {"challenger": now.shadow.version, "surpassed": said.proven and _enough(now, unseen + later)}
    return found | {"comeback": _comeback(now)}


def _comeback(now: Now) -> int | None:
    """The earlier version that is proven better by most, or None (see `monitoring.rivals`)."""
    settings, served = now.fits.history.definition.monitoring, now.served
    young = now.before if len(served) <= settings.rollback_within else None
    others = [one for one in now.earlier if young is None or one.version != young.version]
    kept = recurrence_test.spread(
        now.fits.history.definition, [(one.version, one.as_of) for one in others], champion=now.champion.as_of
    )
    pool, proven = [one for one in others if one.version in kept], dict[int, float]()
    for one in pool if len(served) >= min(recurrence_test.WINDOWS) else []:
        newest = served[-max(recurrence_test.WINDOWS) :]
        pairs = [paired_clusters(now.fits, now.champion.as_of, one.as_of, [key]) for key in newest]
        said = recurrence_test.judge(
            pairs, alpha=settings.rival_alpha, margin=settings.rival_margin, look=len(served), versions=len(pool)
        )
        if said is not None and said.proven and _enough(now, served[-min(recurrence_test.WINDOWS) :]):
            proven[one.version] = said.relative
    return max(proven, key=proven.__getitem__) if proven else None


def _enough(now: Now, keys: Sequence[PartitionKey]) -> bool:
    """Whether the partitions have as many rows of the rarer class as the gate asks for."""
    needed = now.fits.history.definition.min_positives
    if not needed:
        return True
    target = np.concatenate([now.fits.history[key].examples.target for key in keys])
    return min(int((target > 0.5).sum()), int((target <= 0.5).sum())) >= needed


def _regret(
    now: Now, rival: PartitionKey, keys: list[PartitionKey], *, look: int, earlier: int
) -> regret_test.RegretResult:
    settings = now.fits.history.definition.monitoring
    clusters = paired_clusters(now.fits, now.champion.as_of, rival, keys)
    alpha = gate.level(settings.rival_alpha, earlier)
    return regret_test.judge(clusters, alpha=alpha, margin=settings.rival_margin, look=look)


def paired_clusters(
    fits: Fits, as_of: PartitionKey, before: PartitionKey, keys: Iterable[PartitionKey]
) -> list[regret_test.PairedCluster]:
    """Both versions' mean losses by cluster on the partitions `keys`, in order."""
    found = []
    for key in keys:
        frame = pd.DataFrame({"loss": fits.losses(as_of, key), "before": fits.losses(before, key)})
        for name, rows in frame.groupby(fits.history[key].examples.cluster, sort=True):
            found.append(regret_test.PairedCluster(str(name), len(rows), *(float(v) for v in rows.mean())))
    return found


def past_checks(now: Now) -> list[policy.PastCheck]:
    """The steps so far, as the policy reads them."""
    count = len(now.steps)
    found = []
    for place, step in enumerate(now.steps):
        wish = step.wish
        seen = wish.kind, wish.cause, wish.drifted, wish.harmed, wish.effects
        found.append(policy.PastCheck(count - place, step.champion.version, *seen))
    return found


PERIOD = re.compile(r"period-([1-9]\d{0,2})")
NAMES: dict[str, Callable[[], Policy]] = {
    "never": Never, "weekly": Every, "evidently": Evidently, "evergreen": Evergreen
}  # fmt: skip


def make(name: str) -> Policy:
    """The policy called `name`: never, weekly (every partition), evidently, evergreen, or period-K.

    Raises:
        BadInputError: there is none of this name.
    """
    if name in NAMES:
        return NAMES[name]()
    found = PERIOD.fullmatch(name)
    if found is None:
        raise BadInputError(f"there is no policy {name[:40]!r}; choose from {', '.join(NAMES)}, oracle and period-K")
    return Every(int(found[1]), name)
