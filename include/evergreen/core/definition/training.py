"""The sections of `model.yaml` that say how a challenger is made."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from evergreen.core.definition.sections import Section

BuiltIn = Literal["linear", "boosted", "forest", "lightgbm", "xgboost", "catboost"]
BUILT_IN: tuple[str, ...] = get_args(BuiltIn)
Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

FEWEST_TRAIN_PARTITIONS = 2
"""Labelled partitions beside the held-out ones: one to fit on, one on which tuning is judged"""


class SearchSection(Section):
    """How the settings of each candidate are searched for; left out, Optuna's TPE with `training.trials`.

    However it searches, the first trial of a candidate is its known good start.
    """

    method: Literal["tpe", "random", "grid"] = "tpe"
    """`tpe` learns from the trials before, `random` does not, `grid` walks through evenly spaced values."""
    trials: int | None = Field(default=None, ge=1, le=500)
    """Trials for each candidate, at most; default: `training.trials`."""
    minutes: float | None = Field(default=None, gt=0, le=10_080)
    """Minutes of trials for all candidates together, shared equally; each has one trial at least. How many trials
    were done is kept, so that `evergreen reproduce --tune` repeats them and not the clock."""
    pruning: bool = False
    """A trial ends after its first fold if its loss is worse than the median of those before; it is not chosen."""


class TrainingSection(Section):
    """How a challenger is made."""

    window: int = Field(default=16, ge=2, le=2000)
    """Labelled partitions a challenger is fitted on (those of the gate's holdout come on top)."""
    validation: int = Field(default=2, ge=1)
    """The window's newest partitions, on which tuning is judged."""
    min_rows: int = Field(default=1000, ge=50)
    """Labelled rows without which there is no training."""
    candidates: tuple[Kind, ...] = ("linear", "boosted")
    """Kinds of model that are tuned; the best on the validation partitions becomes the challenger: `linear`, `boosted`,
    `forest`; with the extra of its name installed `lightgbm`, `xgboost`, `catboost`; or a name that the model's own
    `candidates.py` defines (docs/candidates.md)."""
    trials: int = Field(default=4, ge=1, le=500)
    """Optuna trials for each candidate."""
    search: SearchSection | None = None
    """Left out: as in all definitions before there was a choice."""
    seed: int = Field(default=20130107, ge=0, lt=2**32)
    """Seeds tuning, fitting and sampling: the same snapshots and code give the same model."""
    trusted_types: tuple[str, ...] = (
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    )
    """Types beyond skops' own list, and those of the built-in candidates, that a saved model may hold; loading refuses
    all others. What can run code when it is loaded stays refused even if it is named here."""

    @property
    def own_candidates(self) -> tuple[str, ...]:
        """The candidates that the model's own `candidates.py` defines."""
        return tuple(name for name in self.candidates if name not in BUILT_IN)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation >= self.window:
            raise ValueError(f"validation ({self.validation}) must be smaller than window ({self.window})")
        twice = sorted({name for name in self.candidates if self.candidates.count(name) > 1})
        if twice or not self.candidates:
            raise ValueError(f"candidates names {', '.join(twice)} twice" if twice else "candidates names none")
        if self.search and self.search.trials and "trials" in self.model_fields_set:
            raise ValueError("the number of trials is given twice: keep search.trials and remove trials")
        return self
