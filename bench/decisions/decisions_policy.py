"""D5, D6 and D7: harm alarms, retraining policies over a year, and bad promotions, with the usual tools beside ours.

python -m bench.decisions.decisions_policy [RUNS]
    runs a setting of D5 and D7 (default 200); about 20 minutes the first time,
                                            as every challenger of the year is trained once and kept below var/replay
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.lib.report import number_asked, write
from evergreen.core.definition import load_definition
from evergreen.core.names import PartitionKey
from evergreen.loop.monitoring.loss import harm_test
from evergreen.loop.monitoring.rivals import recurrence_test, regret_test
from evergreen.stack.config.home import Home
from evergreen.tools.backtest.challengers import Fits, fit_all
from evergreen.tools.backtest.landed_data import read_history
from evergreen.tools.backtest.result import DEFAULT, Outcome, replay
from evergreen.tools.backtest.synthetic_streams import KINDS, stream
from evergreen.tools.simulator.land import land

SEED = 20130107
MODEL = load_definition("nyc_flights")
BATCH, BATCHES, DAYS, HELD_OUT_DAYS = 1000, 20, 7, 14
FLIPPED, WORSE, WITHIN = 0.08, 0.16, 3
LIVES = 3
"""Times as many lives of equal models: a rate near its bar needs them"""
STREAM_SEEDS = (11, 12)
"""Not those that the defaults were chosen on (0, 1 and 2)."""
PERIODS = tuple(f"period-{k}" for k in (2, 3, 4, 6, 8, 13))
Floats = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Rows:
    """Labelled rows with predictions; `day` numbers the days from 0."""

    target: Floats
    prediction: Floats
    day: NDArray[np.intp]

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """The rows at these positions."""
        return Rows(self.target[rows], self.prediction[rows], self.day[rows])

    def flipped(self, share: float, rng: Rng) -> Rows:
        """With a share of labels turned round."""
        turn = rng.random(len(self.target)) < share
        return Rows(np.where(turn, 1 - self.target, self.target), self.prediction, self.day)

    def clusters(self) -> tuple[harm_test.Cluster, ...]:
        """By day."""
        loss, expected = (self.target - self.prediction) ** 2, self.prediction * (1 - self.prediction)
        found = []
        for day in np.unique(self.day):
            own = self.day == day
            found.append(
                harm_test.Cluster(str(day), int(own.sum()), float(loss[own].mean()), float(expected[own].mean()))
            )
        return tuple(found)


def flights() -> Fits:
    """Every challenger of the year, from landed weeks."""
    calendar = MODEL.partitions
    keys = calendar.keys(str(MODEL.calendar.start), calendar.shift(str(MODEL.calendar.end), MODEL.feed.label_delay))
    with tempfile.TemporaryDirectory() as folder:
        land(MODEL, keys, landing_url=f"file://{folder}")
        history = read_history(MODEL, f"file://{folder}")
    return fit_all(history, cache=Home.find().root / "replay", progress=_count("challengers"))


def _count(what: str) -> Callable[[int, int], None]:
    def tell(done: int, of: int) -> None:
        if done % 10 == 0 or done == of:
            print(f"{what}: {done} of {of}", file=sys.stderr)

    return tell


def served(fits: Fits, as_of: PartitionKey) -> Rows:
    """What the champion of `as_of` predicts after its making, over the rest of the year."""
    keys = [p.key for p in fits.history if p.key > as_of]
    names = np.concatenate([fits.history[k].examples.cluster for k in keys])
    return Rows(
        np.concatenate([fits.history[k].examples.target for k in keys]),
        np.concatenate([fits.labelled_predictions(as_of, k) for k in keys]),
        np.unique(names, return_inverse=True)[1],
    )


def synthetic(rng: Rng, rows: int, days: int) -> Rows:
    """Calibrated predictions as spread as those of flights; rows do not depend on each other."""
    p = rng.beta(1.6, 5.0, rows)
    return Rows((rng.random(rows) < p).astype(float), p, rng.integers(0, days, rows))


# ---- D5: harm


def dealt(rows: Rows, rng: Rng) -> tuple[Rows, list[Rows]]:
    """Holdout and batches of real rows in random order: no shock is shared by a day."""
    order = rng.permutation(len(rows.target))
    size = 13_000
    parts = [order[:size], *np.array_split(order[size : size + BATCH * BATCHES], BATCHES)]
    days = [HELD_OUT_DAYS] + [DAYS] * BATCHES
    drawn = [rows.take(p) for p in parts]
    made = [Rows(d.target, d.prediction, rng.integers(0, n, len(d.target))) for d, n in zip(drawn, days, strict=True)]
    return made[0], made[1:]


def by_day(rows: Rows, rng: Rng) -> tuple[Rows, list[Rows]]:
    """Holdout and batches of real days in random order, with all that the rows of a day share."""
    order = rng.permutation(int(rows.day.max()) + 1)
    needed = HELD_OUT_DAYS + DAYS * BATCHES
    own = {day: np.flatnonzero(rows.day == day) for day in order[:needed]}
    held_out = rows.take(np.concatenate([own[d] for d in order[:HELD_OUT_DAYS]]))
    batches = []
    for n in range(BATCHES):
        days = order[HELD_OUT_DAYS + n * DAYS : HELD_OUT_DAYS + (n + 1) * DAYS]
        chosen = [rng.choice(own[d], min(len(own[d]), BATCH // DAYS + 1), replace=False) for d in days]
        batches.append(rows.take(np.concatenate(chosen)))
    return held_out, batches


Alarm = Callable[[Rows, list[Rows]], bool]


def ours(held_out: Rows, batches: list[Rows]) -> bool:
    """The harm test, after each batch."""
    settings, before = MODEL.monitoring, held_out.clusters()
    seen = [harm_test.Batch(PartitionKey(str(n)), batch.clusters()) for n, batch in enumerate(batches)]
    return any(
        harm_test.judge(before, seen[: n + 1], alpha=settings.harm_alpha, margin=settings.harm_margin).proven
        for n in range(len(seen))
    )


def threshold(held_out: Rows, batches: list[Rows]) -> bool:
    """A batch that loses 10 % more than the holdout."""
    before = _loss(held_out).mean()
    return any(_loss(batch).mean() > 1.1 * before for batch in batches)


def row_test(held_out: Rows, batches: list[Rows]) -> bool:
    """Welch's t test on rows at 5 %, after each batch."""
    from scipy import stats

    before = _loss(held_out)
    return any(stats.ttest_ind(_loss(b), before, equal_var=False, alternative="greater").pvalue < 0.05 for b in batches)


def _loss(rows: Rows) -> Floats:
    return np.asarray((rows.target - rows.prediction) ** 2)


ALARMS: dict[str, Alarm] = {"ours": ours, "10 % above": threshold, "t test on rows": row_test}


def measure_harm(fits: Fits, runs: int) -> dict[str, dict[str, dict[str, float]]]:
    """False alarms over all batches, and flips found within `WITHIN`, by setting and tool."""
    rows = served(fits, list(fits.by_as_of)[10])
    settings: dict[str, Callable[[Rng], tuple[Rows, list[Rows]]]] = {
        "synthetic": lambda rng: (
            synthetic(rng, 13_000, HELD_OUT_DAYS), [synthetic(rng, BATCH, DAYS) for _ in range(BATCHES)]
        ),
        "flights, rows dealt at random": lambda rng: dealt(rows, rng),
        "flights, whole days": lambda rng: by_day(rows, rng),
    }  # fmt: skip
    found: dict[str, dict[str, dict[str, float]]] = {}
    for place, (name, draw) in enumerate(settings.items()):
        rng, hits = np.random.default_rng([SEED, place]), {tool: [0, 0] for tool in ALARMS}
        for _ in range(runs):
            held_out, batches = draw(rng)
            harmed = [batch.flipped(FLIPPED, rng) for batch in batches[:WITHIN]]
            for tool, alarm in ALARMS.items():
                hits[tool][0] += alarm(held_out, batches)
                hits[tool][1] += alarm(held_out, harmed)
        found[name] = {t: {"false_alarms": h[0] / runs, "found": h[1] / runs} for t, h in hits.items()}
    return found


# ---- D7: bad promotions


def _logit(p: Floats) -> Floats:
    kept = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept / (1 - kept)))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


WAYS: dict[str, Callable[[Floats, float, Rng], Floats]] = {
    "noise": lambda p, size, rng: _sigmoid(_logit(p) + size * rng.normal(size=len(p))),
    "too low": lambda p, size, rng: _sigmoid(_logit(p) - size),
    "too high": lambda p, size, rng: _sigmoid(_logit(p) + size),
    "too sure": lambda p, size, rng: _sigmoid(_logit(p) * (1 + size)),
}
"""Ways in which a model can be made worse; the size is sought so that the Brier score rises by `WORSE`."""


def worsened(rows: Rows, way: str, factor: float = 1 + WORSE) -> Floats | None:
    """Predictions that lose `factor` times as much over all rows; None if this way cannot."""
    goal, low, high = factor * _loss(rows).mean(), 0.0, 8.0

    def at(size: float) -> Floats:
        return WAYS[way](rows.prediction, size, np.random.default_rng(SEED))

    if ((at(high) - rows.target) ** 2).mean() < goal:
        return None
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if ((at(middle) - rows.target) ** 2).mean() < goal else (low, middle)
    return at(high)


def mistaken(new: Floats, before: Floats, rows: Rows, look: int) -> bool:
    """Our test on both versions' losses, at the `look`-th look."""
    settings, clusters = MODEL.monitoring, _paired(new, before, rows)
    return regret_test.judge(clusters, alpha=settings.rival_alpha, margin=settings.rival_margin, look=look).proven


def _paired(new: Floats, before: Floats, rows: Rows) -> list[regret_test.PairedCluster]:
    """Mean losses of both versions by day."""
    clusters = []
    for day in np.unique(rows.day):
        own = rows.day == day
        clusters.append(
            regret_test.PairedCluster(str(day), int(own.sum()), float(new[own].mean()), float(before[own].mean()))
        )
    return clusters


def _weeks(rows: Rows, rng: Rng, count: int, size: int | None) -> list[NDArray[np.intp]]:
    """Rows of `count` batches of seven days in a row, from a random day on; `size` of each, or all."""
    first = int(rng.integers(0, rows.day.max() + 2 - count * DAYS))
    found = []
    for n in range(count):
        own = np.flatnonzero((rows.day >= first + n * DAYS) & (rows.day < first + (n + 1) * DAYS))
        found.append(own if size is None else np.sort(rng.choice(own, size, replace=False)))
    return found


def measure_regret(fits: Fits, runs: int) -> dict[str, Any]:
    """Rollbacks of equal models (two real ones that swap at random from week to week), and of worse ones.

    False ones are those of either test: of the version before, and then of the pool that it is in.
    """
    rows, other = (served(fits, list(fits.by_as_of)[n]) for n in (12, 8))
    loss, rival = _loss(rows), _loss(other)[-len(rows.target) :]
    false: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for label, size in (("batches of 1,000", BATCH), ("whole weeks", None)):
        rng, hits, naive = np.random.default_rng([SEED, size or 0]), 0, 0
        for _ in range(LIVES * runs):
            parts = _weeks(rows, rng, BATCHES, size)
            pairs = [(loss[p], rival[p]) if rng.random() < 0.5 else (rival[p], loss[p]) for p in parts]
            looks = [_look(pairs, parts, rows, n) for n in range(1, BATCHES + 1)]
            hits += any(looks) or any(
                _comes_back(pairs, parts, rows, n) for n in range(MODEL.monitoring.rollback_within + 1, BATCHES + 1)
            )
            naive += any(a.mean() > 1.1 * pairs[0][1].mean() for a, _ in pairs)
        false[label] = {"ours": hits / (LIVES * runs), "10 % above the first week": naive / (LIVES * runs)}
        for way in WAYS:
            worse = worsened(rows, way)
            if worse is None:
                continue
            bad, hits = (worse - rows.target) ** 2, 0
            for _ in range(runs):
                parts = _weeks(rows, rng, WITHIN, size)
                hits += any(_look([(bad[p], loss[p]) for p in parts], parts, rows, n) for n in range(1, WITHIN + 1))
            found.setdefault(label, {})[way] = hits / runs
    return {"false_rollbacks": false, "found": found}


def _look(pairs: list[tuple[Floats, Floats]], parts: list[NDArray[np.intp]], rows: Rows, n: int) -> bool:
    new, before = (np.concatenate([pair[side] for pair in pairs[:n]]) for side in (0, 1))
    return mistaken(new, before, rows.take(np.concatenate(parts[:n])), n)


def _comes_back(pairs: list[tuple[Floats, Floats]], parts: list[NDArray[np.intp]], rows: Rows, n: int) -> bool:
    """Whether the version before, which is in the pool as well, is restored at the `n`-th look."""
    settings, first = MODEL.monitoring, max(0, n - max(recurrence_test.WINDOWS))
    partitions = [
        _paired(new, before, rows.take(part))
        for (new, before), part in zip(pairs[first:n], parts[first:n], strict=True)
    ]
    said = recurrence_test.judge(
        partitions, alpha=settings.rival_alpha, margin=settings.rival_margin, look=n, versions=1
    )
    return said is not None and said.proven


# ---- D6: policies


def measure_policies(fits: Fits) -> dict[str, Outcome]:
    """All policies on the flights and on streams whose drift is known."""
    found = {"flights": replay(fits, (*DEFAULT, *PERIODS), progress=_say("flights"))}
    for kind in KINDS:
        for seed in STREAM_SEEDS:
            made = fit_all(stream(kind, seed), cache=Home.find().root / "replay")
            found[f"{kind} {seed}"] = replay(made, (*DEFAULT, *PERIODS), progress=_say(f"{kind} {seed}"))
    return found


def _say(what: str) -> Callable[[str], None]:
    return lambda name: print(f"{what}: {name}", file=sys.stderr)


def main() -> None:
    """Measure and write the result."""
    warnings.filterwarnings("ignore")
    runs, started = int(number_asked("lives of each kind", 200, __doc__)), time.monotonic()
    fits = flights()
    alarms, rollbacks, outcomes = measure_harm(fits, runs), measure_regret(fits, runs), measure_policies(fits)
    policies = {name: {r.policy: vars(r) for r in outcome.rows} for name, outcome in outcomes.items()}
    bars: dict[str, dict[str, Any]] = {}
    for setting, tools in alarms.items():
        usual = {tool: values for tool, values in tools.items() if tool != "ours"}
        bars[f"D5 false alarms, {setting}"] = _bar(tools["ours"]["false_alarms"], "<= 0.05", usual)
        bars[f"D5 found, {setting}"] = _bar(tools["ours"]["found"], ">= 0.95", usual)
    for setting, outcome in policies.items():
        usual = {name: row["excess"] for name, row in outcome.items() if name != "evergreen"}
        kind, mine = setting.split()[0], outcome["evergreen"]
        # If only the inputs move the concept stands still, but the stream does not: a new model pays there.
        if kind == "stationary":
            ratio = mine["mean_loss"] / outcome["never"]["mean_loss"]
            bars[f"D6 trainings, {setting}"] = _bar(mine["trainings"], "<= 2", {})
            bars[f"D6 loss over never, {setting}"] = _bar(ratio, "<= 1.005", {})
        else:
            bars[f"D6 excess cost, {setting}"] = _bar(mine["excess"], "<= 0.35", usual)
    for setting, tools in rollbacks["false_rollbacks"].items():
        bars[f"D7 false rollbacks, {setting}"] = _bar(tools["ours"], "<= 0.05", tools)
    for setting, ways in rollbacks["found"].items():
        bars.update({f"D7 {way}, {setting}": _bar(value, ">= 0.95", {}) for way, value in ways.items()})
    write(
        "decisions_policy",
        bars=bars,
        measured={
            "harm": alarms, "rollback": rollbacks, "policies": policies, "runs": runs, "seed": SEED,
            "stream_seeds": STREAM_SEEDS, "unit": {name: o.losses.unit for name, o in outcomes.items()},
            "seconds": round(time.monotonic() - started),
        },
    )  # fmt: skip


def _bar(value: float, bar: str, usual: dict[str, Any]) -> dict[str, Any]:
    sign, limit = bar.split()
    reached = value <= float(limit) if sign == "<=" else value >= float(limit)
    return {"value": value, "bar": bar, "reached": reached, "usual": usual}


if __name__ == "__main__":
    main()
