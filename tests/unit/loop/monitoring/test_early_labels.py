"""Whatever part of the labels lands first, nothing follows from it that all of them would not give (bar D10).

The pure decisions in a row, as `check` and `assemble` call them: which labels count, the test for harm, the policy,
the choice of a dataset, the paired comparison.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from evergreen.core.definition.sections import MonitoringSection
from evergreen.loop.champion.evaluation.paired_test import compare
from evergreen.loop.intake.labels.maturity import Coverage, judge
from evergreen.loop.monitoring.loss import harm_test
from evergreen.loop.monitoring.policy import PastCheck, Signals, decide
from evergreen.loop.training.assemble import choose
from helpers.synthetic_examples import definition

ROWS, WEEKS, YOUNG = 1500, 15, 6
MODEL = definition(window=4, min_rows=300)
POLICY = MonitoringSection()


@dataclass(frozen=True)
class Week:
    """One partition: features, truth, and the day of each row."""

    key: str
    x: np.ndarray
    y: np.ndarray
    day: np.ndarray

    @property
    def rows(self):
        return len(self.y)

    def take(self, known):
        return Week(self.key, self.x[known], self.y[known], self.day[known])


@cache
def weeks(turned=WEEKS):
    """All labels of each week; from the week `turned` on the target follows from the features the other way round."""
    found = []
    for number in range(WEEKS):
        rng = np.random.default_rng(number)
        x = rng.normal(size=(ROWS, 2))
        slope = np.array([1.0, 0.5]) * (-1 if number >= turned else 1)
        y = (rng.random(ROWS) < 1 / (1 + np.exp(0.6 - x @ slope))).astype(float)
        found.append(Week(MODEL.partitions.shift("2024-01-01", number), x, y, np.sort(rng.integers(0, 7, ROWS))))
    return found


def of_each_class(week, positive, negative, seed=0):
    """The labels of a share of the rows of each class, drawn at random."""
    draw = np.random.default_rng(seed).random(ROWS)
    return week.take(np.where(week.y > 0.5, draw < positive, draw < negative))


def fitted(parts):
    return LogisticRegression().fit(np.vstack([p.x for p in parts]), np.concatenate([p.y for p in parts]))


def losses(model, part):
    predicted = model.predict_proba(part.x)[:, 1]
    return (predicted - part.y) ** 2, predicted * (1 - predicted)


def clusters(model, part):
    loss, expected = losses(model, part)
    days = [(day, part.day == day) for day in np.unique(part.day)]
    return tuple(
        harm_test.Cluster(f"{part.key}/{day}", int(rows.sum()), loss[rows].mean(), expected[rows].mean())
        for day, rows in days
    )


def life(known):
    """(week, kind) of what is decided, where `known(n, at)` gives the labels of week n that are there in week `at`.

    The champion stays: each retrain's challenger is compared and counted, and not deployed.
    """
    model, as_of = fitted(weeks()[:4]), YOUNG - 1
    baseline = [c for part in weeks()[4:YOUNG] for c in clusters(model, part)]
    history, events = [], []
    for at in range(YOUNG, WEEKS):
        parts = [known(n, at) for n in range(at)]
        stands = judge([Coverage(p.key, ROWS, p.rows) for p in parts], None)
        counts = [n for n, part in enumerate(parts) if stands[part.key].mature]
        new = [n for n in counts if n > as_of]
        batches = [harm_test.Batch(parts[n].key, clusters(model, parts[n])) for n in new]
        found = harm_test.judge(baseline, batches, alpha=POLICY.harm_alpha, margin=POLICY.harm_margin)
        signals = Signals(
            version=1, serving=1, age=max([n - as_of for n in new], default=0), judged=bool(new),
            new_rows=sum(parts[n].rows for n in new), harmed=found.proven, served=len(new),
        )  # fmt: skip
        decided = decide(
            signals, [PastCheck(at - w, 1, kind, cause, harmed=h) for w, kind, cause, h in history], POLICY
        )
        history.append((at, decided.kind, decided.cause, found.proven))
        events += [(at, "harm")] if found.proven else []
        if decided.kind == "retrain":
            train, held_out = choose(MODEL, [parts[n] for n in counts], None)
            assert min(p.rows for p in train + held_out) >= 0.95 * ROWS, "made of complete partitions alone"
            events += [(at, "retrain"), *([(at, "promote")] if better(model, fitted(train), held_out) else [])]
    return events


def better(champion, challenger, parts):
    ours, theirs = (np.concatenate([losses(model, part)[0] for part in parts]) for model in (champion, challenger))
    days = np.concatenate([[f"{part.key}/{day}" for day in part.day] for part in parts])
    return compare(ours, theirs, days, alpha=MODEL.gate.alpha).verdict == "superior"


def times(events, kind, through):
    return sum(at <= through and what == kind for at, what in events)


@cache
def with_all_labels():
    return life(lambda n, at: weeks()[n])


def test_half_of_one_class_and_a_tenth_of_the_other_for_eight_weeks_change_nothing():
    """The setting of D10: a champion serves, then labels begin to land early."""

    def early(n, at):
        return weeks()[n] if n < 7 else of_each_class(weeks()[n], 0.5, 0.1, seed=n)

    assert life(early) == []
    assert "harm" not in {what for _, what in with_all_labels()}


def test_without_holding_them_back_they_would_prove_harm():
    """The world of the test above is one that does harm: else it would show nothing."""
    model = fitted(weeks()[:4])
    baseline = [c for part in weeks()[4:YOUNG] for c in clusters(model, part)]
    batches = [
        harm_test.Batch(w.key, clusters(model, of_each_class(w, 0.5, 0.1, seed=n))) for n, w in enumerate(weeks()[7:])
    ]
    assert harm_test.judge(baseline, batches, alpha=POLICY.harm_alpha, margin=POLICY.harm_margin).proven


def test_when_the_labels_are_completed_everything_follows():
    """The concept turns in week 9, labels land early from week 7 on, and are all there from week 13 on."""

    def late(n, at):
        return weeks(9)[n] if n < 7 or at >= 13 else of_each_class(weeks(9)[n], 0.5, 0.1, seed=n)

    found = life(late)
    assert min(at for at, _ in found) == 13
    assert {"harm", "retrain", "promote"} <= {what for at, what in found if at == 13}


part_of_a_week = st.one_of(st.just((1.0, 1.0)), st.tuples(st.floats(0, 1), st.floats(0, 1)))


@settings(max_examples=40, deadline=None)
@given(
    firsts=st.lists(part_of_a_week, min_size=WEEKS - YOUNG, max_size=WEEKS - YOUNG),
    completed_after=st.integers(1, WEEKS),
)
def test_whatever_lands_first_nothing_follows_that_all_labels_would_not_give(firsts, completed_after):
    def known(n, at):
        if n < YOUNG or at - n >= completed_after + 1:
            return weeks()[n]
        return of_each_class(weeks()[n], *firsts[n - YOUNG], seed=n)

    found, full = life(known), with_all_labels()
    for at in range(YOUNG, WEEKS):
        for kind in ("harm", "retrain"):
            assert times(found, kind, at) <= times(full, kind, at)
