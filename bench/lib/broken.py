"""Ways in which a good table breaks: each makes from a frame what a producer's fault makes of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

Fault = Callable[["Good", np.random.Generator], "pd.DataFrame | None"]
"""None: this table cannot break so"""


class Good:
    """A good table and what its columns are.

    Attributes:
        frame: its rows, in order of time.
        numbers: columns that are numbers and measure something.
        texts: columns of text that are features.
        scales: those of `numbers` that are temperatures, and in which scale: C, F or K.
        before: the same table of the partition before.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        numbers: Sequence[str],
        texts: Sequence[str],
        scales: Mapping[str, str],
        before: pd.DataFrame,
    ) -> None:
        self.frame, self.numbers, self.texts, self.scales, self.before = frame, numbers, texts, scales, before


def _number(good: Good, dice: np.random.Generator, fit: Callable[[pd.Series], bool]) -> str | None:
    """One of the columns of numbers that `fit`, at random."""
    found = [name for name in good.numbers if fit(good.frame[name].dropna().astype("float64"))]
    return str(dice.choice(found)) if found else None


def _with(good: Good, name: str | None, change: Callable[[pd.Series], pd.Series]) -> pd.DataFrame | None:
    if name is None:
        return None
    values = good.frame[name].astype("float64")
    return good.frame.assign(**{name: change(values)})


def thousandfold(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """A column in another unit: metres for kilometres."""
    return _with(good, _number(good, dice, lambda v: len(v) > 0 and bool(v.abs().median() > 0)), lambda v: v * 1000)


def other_scale(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """A temperature in another scale: Celsius as Fahrenheit, Fahrenheit or Kelvin as Celsius."""
    name = str(dice.choice(sorted(good.scales))) if good.scales else None
    turned: dict[str, Callable[[pd.Series], pd.Series]] = {
        "C": lambda v: v * 1.8 + 32,
        "F": lambda v: (v - 32) / 1.8,
        "K": lambda v: v - 273.15,
    }
    return _with(good, name, turned[good.scales[name]]) if name else None


def sign_flipped(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """A column with its sign turned, of those that have one."""
    return _with(good, _number(good, dice, lambda v: len(v) > 0 and bool(abs(np.sign(v).mean()) > 0.5)), lambda v: -v)


def frozen(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """A sensor that hangs: its first value in every row, of those that vary."""
    name = _number(good, dice, lambda v: v.nunique() >= 8)
    return _with(good, name, lambda v: pd.Series(float(v.dropna().iloc[0]), index=v.index))


def missing(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """Three values in ten are gone."""
    name = _number(good, dice, lambda v: len(v) > 0.5 * len(good.frame))
    gone = dice.random(len(good.frame)) < 0.3
    return _with(good, name, lambda v: v.mask(gone))


def shuffled(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """The columns of numbers under each other's names."""
    if len(good.numbers) < 2:
        return None
    order = np.roll(dice.permutation(good.numbers), 1)
    moved = dict(zip(order, np.roll(order, 1), strict=True))
    return good.frame.assign(**{name: good.frame[other].astype("float64") for name, other in moved.items()})


def category_dropped(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """All rows of a value that a fifth of the rows or more has are missing."""
    shares = {name: good.frame[name].value_counts(normalize=True) for name in good.texts}
    found = [(n, v) for n, s in shares.items() for v, share in s.items() if 0.2 <= share <= 0.9]
    if not found:
        return None
    name, value = found[dice.integers(len(found))]
    return good.frame[good.frame[name] != value]


def join_lost(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """A third of the columns come without a value."""
    known = [n for n in (*good.numbers, *good.texts) if good.frame[n].notna().mean() > 0.5]
    if not known:
        return None
    lost = dice.choice(known, size=max(1, len(known) // 3), replace=False)
    return good.frame.assign(**dict.fromkeys(lost))


def wrong_day(good: Good, dice: np.random.Generator) -> pd.DataFrame:
    """The partition before, again."""
    return good.before


def doubled(good: Good, dice: np.random.Generator) -> pd.DataFrame:
    """A tenth of the rows twice."""
    again = good.frame.sample(max(1, len(good.frame) // 10), random_state=int(dice.integers(2**31)))
    return pd.concat([good.frame, again])


def off_by_one(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """From some column on each has its neighbour's values: a separator too many in the writer."""
    names = [n for n in good.frame.columns if n in (*good.numbers, *good.texts)]
    if len(names) < 2:
        return None
    moved = {name: good.frame[other] for name, other in zip(names, names[1:] + names[:1], strict=True)}
    return good.frame.assign(**moved)


def truncated(good: Good, dice: np.random.Generator) -> pd.DataFrame | None:
    """The last three fifths are missing."""
    return good.frame.head(int(0.4 * len(good.frame))) if len(good.frame) >= 5 else None


FAULTS: dict[str, Fault] = {
    "unit x1000": thousandfold,
    "other scale": other_scale,
    "sign": sign_flipped,
    "frozen": frozen,
    "30 % nulls": missing,
    "shuffled columns": shuffled,
    "category dropped": category_dropped,
    "join lost": join_lost,
    "wrong day": wrong_day,
    "doubled rows": doubled,
    "off by one column": off_by_one,
    "truncated": truncated,
}
