"""How much of D2, D5 and D7 any test can reach: the power of the best one on the weeks of a real year.

python -m bench.decisions.decisions_bound       about half a minute; needs no training

The model is a table: the late rate of the year by origin and hour, which is calibrated by construction. Beside it is
the same table with its log odds shifted until it loses 5 % more. Over four weeks the difference of their losses follows
the base rate of those weeks. Were its mean and spread over all starts known, and it normal, no test of a level alpha
would find it more often than Phi(mean / spread - z(1 - alpha)) (Neyman and Pearson 1933, "On the problem of the most
efficient tests of statistical hypotheses"). Ours stands beside it, and so do two tables that are shifted apart and lose
the same over the year: one of the two is better for weeks, and neither is to be promoted. For D7 the table is replaced
by one that loses as much more as D7's bad promotion does, and three weeks are looked at. For D5, where nothing stands
beside the champion, the table's own loss with D5's share of labels flipped is told from the spread of its weeks.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from bench.decisions import decisions_policy
from bench.decisions.decisions_policy import MODEL, Floats, Rows, worsened
from bench.decisions.decisions_promotion import GAIN, WITHIN, Pair, _cut, look_at, lower, promoted
from bench.lib.report import nothing_asked, write
from evergreen.tools.simulator import sources

LEVELS = (0.05, 0.10)
"""D1's bars: a look, and within eight"""


def year() -> tuple[Rows, list[np.ndarray[tuple[int], np.dtype[np.intp]]]]:
    """All flights with the table's predictions, and the rows of each week."""
    calendar, parts = MODEL.partitions, []
    for key in calendar.keys(str(MODEL.calendar.start), str(MODEL.calendar.end)):
        inputs, labels = (sources.rows(MODEL, table, key) for table in ("inputs", "labels"))
        parts.append(inputs.merge(labels[["flight_id", "late"]], on="flight_id"))
    rows = pd.concat(parts, ignore_index=True)
    target = rows["late"].to_numpy(dtype=np.float64)
    groups = rows.assign(target=target).groupby(["scheduled_hour", "origin"])["target"]
    day = np.unique(rows["flight_date"].astype(str), return_inverse=True)[1]
    ends = np.cumsum([len(part) for part in parts])
    weeks = [np.arange(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
    return Rows(target, groups.transform("mean").clip(0.02, 0.9).to_numpy(), day), weeks


def measure(rows: Rows, weeks: list[Any], champion: Floats, challenger: Floats) -> dict[str, float]:
    """Of all runs of `WITHIN` weeks: how often ours promotes, how often the challenger loses less, the best power."""
    whole = Pair(rows.target, champion, challenger, rows.day, weeks)
    cuts = [_cut(whole, first, WITHIN) for first in range(len(weeks) - WITHIN + 1)]
    gains = []
    for cut in cuts:
        ours, theirs = cut.losses(cut.rows(0, WITHIN))
        gains.append(float((ours - theirs).mean()))
    signal = float(np.mean(gains) / np.std(gains))
    alpha, rival_alpha = MODEL.gate.alpha, MODEL.monitoring.rival_alpha
    return {
        "ours": float(np.mean([promoted(look_at(cut, 0), 0, alpha, rival_alpha) for cut in cuts])),
        "lower loss": float(np.mean([lower(cut, cut.rows(0, WITHIN)) for cut in cuts])),
        "signal": signal,
        "starts": len(cuts),
    } | {f"best test at {level:.0%}": float(norm.cdf(signal - norm.isf(level))) for level in LEVELS}


def mistakes(rows: Rows, weeks: list[Any], worse: Floats) -> dict[str, float]:
    """Of all runs of D7's weeks: how often ours takes the worse table back, how often it loses more, the best power."""
    bad, good = ((p - rows.target) ** 2 for p in (worse, rows.prediction))
    starts = [
        weeks[first : first + decisions_policy.WITHIN] for first in range(len(weeks) - decisions_policy.WITHIN + 1)
    ]
    found, harms = [], []
    for parts in starts:
        pairs, all_rows = [(bad[part], good[part]) for part in parts], np.concatenate(parts)
        found.append(any(decisions_policy._look(pairs, parts, rows, n) for n in range(1, len(parts) + 1)))
        harms.append(float((bad - good)[all_rows].mean()))
    signal = float(np.mean(harms) / np.std(harms))
    return {
        "ours": float(np.mean(found)),
        "higher loss": float(np.mean(np.array(harms) > 0)),
        "signal": signal,
        "starts": len(starts),
    } | {f"best test at {level:.0%}": float(norm.cdf(signal - norm.isf(level))) for level in LEVELS}


def flips(rows: Rows, weeks: list[Any]) -> dict[str, float]:
    """The best power against flipped labels, of a test that knows the loss of the year and its spread over weeks."""
    loss, flipped = ((rows.prediction - target) ** 2 for target in (rows.target, 1 - rows.target))
    span = decisions_policy.WITHIN
    runs = [np.concatenate(weeks[first : first + span]) for first in range(len(weeks) - span + 1)]
    signal = (
        decisions_policy.FLIPPED * float((flipped - loss).mean()) / float(np.std([loss[run].mean() for run in runs]))
    )
    return {"signal": signal, "starts": len(runs)} | {
        f"best test at {level:.0%}": float(norm.cdf(signal - norm.isf(level))) for level in LEVELS
    }


def weeks_needed(signal: float, level: float, power: float = 0.8) -> float:
    """Weeks of labels for `power`, did weeks not depend on each other."""
    return float(WITHIN * ((norm.isf(level) + norm.ppf(power)) / signal) ** 2)


def main() -> None:
    """Measure and write the result."""
    nothing_asked(__doc__)
    started, bars, found = time.monotonic(), dict[str, Any](), dict[str, Any]()
    rows, weeks = year()
    for way in ("too low", "too high", "too sure"):
        worse = worsened(rows, way, 1 / (1 - GAIN))
        if worse is None:
            continue
        one = found[way] = measure(rows, weeks, worse, rows.prediction)
        one |= {f"weeks for 80 % at {level:.0%}": weeks_needed(one["signal"], level) for level in LEVELS}
        beside = {name: value for name, value in one.items() if name.startswith("best") or name == "lower loss"}
        bars[f"D2 {way}, a table"] = {
            "value": one["ours"], "bar": ">= 0.8", "reached": one["ours"] >= 0.8, "usual": beside,
        }  # fmt: skip
    for way in ("too low", "too high", "too sure"):
        worse = worsened(rows, way)
        if worse is None:
            continue
        one = found[f"mistake {way}"] = mistakes(rows, weeks, worse)
        beside = {name: value for name, value in one.items() if name.startswith("best") or name == "higher loss"}
        bars[f"D7 {way}, a table"] = {
            "value": one["ours"], "bar": ">= 0.95", "reached": one["ours"] >= 0.95, "usual": beside,
        }  # fmt: skip
    found["flipped labels"] = flips(rows, weeks)
    low, high = (worsened(rows, way, 1 / (1 - GAIN / 2)) for way in ("too low", "too high"))
    if low is not None and high is not None:
        for title, pair in (("too low against too high", (low, high)), ("too high against too low", (high, low))):
            one = found[title] = measure(rows, weeks, *pair)
            bars[f"promoted though equal over the year, {title}"] = {
                "value": one["ours"], "bar": "<= 0.1", "reached": one["ours"] <= 0.1,
                "usual": {"lower loss": one["lower loss"]},
            }  # fmt: skip
    write("decisions_bound", bars=bars, measured=found | {"seconds": round(time.monotonic() - started)})


if __name__ == "__main__":
    main()
