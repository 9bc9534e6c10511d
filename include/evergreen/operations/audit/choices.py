"""Predictions and the rule of their version: each choice is what the recorded threshold or costs make of the score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evergreen.operations.audit.disagreement import Disagreement, Row

AREA = "predictions"
FIX = "Report it: a version chooses by the rule that it was trained with."
_PROBABILITY = "probability_"
_SLACK = 1e-9
"""Part of the dearest cost by which two expected costs may differ that are summed in another order"""


def check(about: str, prediction: Row, table: Any, rule: dict[str, Any] | None) -> Iterator[Disagreement]:
    """Compare the column `choice` of a file of predictions with what its version's recorded rule says.

    Files without choices, and versions without a rule of their own, have nothing to compare.
    """
    if rule is None or "choice" not in table.column_names:
        return
    choices = table["choice"].to_pylist()
    wrong = _of_several(table, choices, rule) if rule.get("costs") else _of_two(table, choices, rule)
    if wrong:
        named = table[table.column_names[0]][wrong[0]].as_py()
        what = f"{len(wrong):,} choices are not what the version's rule says, such as that of {str(named)[:60]!r}"
        yield Disagreement(AREA, about, what, FIX, prediction["created_at"])


def _of_two(table: Any, choices: list[Any], rule: dict[str, Any]) -> list[int]:
    scores = table["prediction"].to_pylist()
    pairs = enumerate(zip(scores, choices, strict=True))
    return [place for place, (score, choice) in pairs if choice != (score >= rule["threshold"])]


def _of_several(table: Any, choices: list[Any], rule: dict[str, Any]) -> list[int]:
    names, costs = rule["costs"]["classes"], rule["costs"]["table"]
    known = [name for name in names if f"{_PROBABILITY}{name}" in table.column_names]
    shares = [table[f"{_PROBABILITY}{name}"].to_pylist() for name in known]
    slack = _SLACK * max(abs(cost) for row in costs for cost in row)
    wrong = []
    for place, choice in enumerate(choices):
        expected = {
            chosen: sum(share[place] * costs[names.index(truth)][n] for truth, share in zip(known, shares, strict=True))
            for n, chosen in enumerate(names)
        }
        if choice not in expected or expected[choice] > min(expected.values()) + slack:
            wrong.append(place)
    return wrong
