"""What `new` chose, why, what it left out, and what comes next: lines that a person reads at once. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evergreen.core.definition.local_days import UTC
from evergreen.tools.scaffold.new import Replaced
from evergreen.tools.scaffold.plan import Plan

_MOST = 12
"""Notes of one kind, and columns left out, that are shown one by one"""


@dataclass(frozen=True)
class Line:
    """A line and how it is shown: `bold`, `yellow`, or plain."""

    text: str
    style: str = ""


def lines(plan: Plan, folder: Path, data: Path, replaced: Replaced | None = None) -> list[Line]:
    """The whole summary."""
    return [
        *_written(folder, data, replaced),
        *_chosen(plan),
        *_left_out(plan),
        *_to_look_at(plan),
        *_next(plan, folder, data),
    ]


def _written(folder: Path, data: Path, replaced: Replaced | None) -> list[Line]:
    found = [Line(f"{folder}: written, and tried on {data}", "bold")]
    if replaced is None:
        return found
    told = f"in place of {', '.join(replaced.files) or 'an empty folder'}"
    if replaced.kept:
        told += f"; {', '.join(replaced.edited)} had been edited: the old folder is kept as {replaced.kept}"
    return [*found, _line("replaced", told, "yellow")]


def _chosen(plan: Plan) -> list[Line]:
    until = f"through {plan.end}" if plan.end else "and goes on"
    target = plan.asked.target
    found = [
        _line("task", f"{plan.task}, target {target}; {plan.covered:.1%} of the rows have one"),
        *_notes(plan, "task", "task"),
        _line("row", f"{_named(plan)}, at {' and '.join(plan.asked.time_columns)} ({plan.why['row']})"),
        *_notes(plan, "row", "row"),
        _line(
            "calendar",
            f"each {plan.period} from {plan.start} {until}{_zone(plan)}; {plan.rows:,} rows in an ordinary one "
            f"({plan.why['calendar']})",
        ),
        *_notes(plan, "calendar", "calendar"),
        _line("features", ", ".join([*plan.numeric, *plan.derived, *plan.categorical])),
    ]
    if plan.window:
        found.append(_line("window", f"{plan.window} partitions: the default of 16 holds too few rows to train on"))
    if plan.min_new_rows:
        told = f"after {plan.min_new_rows:,} new labelled rows: the default takes too long to land"
        found.append(_line("retrain", told))
    return [*found, *_notes(plan, "training", "training")]


def _named(plan: Plan) -> str:
    if plan.content:
        return "named by its content"
    return f"named by {' and '.join(plan.joined or (plan.entity,))}"


def _zone(plan: Plan) -> str:
    return "" if plan.asked.timezone == UTC else f", in {plan.asked.timezone}"


def _left_out(plan: Plan) -> list[Line]:
    found = [_line("left out", f"{column}: {reason}", "yellow") for column, reason in plan.left_out.items()]
    found += [_line("not read", f"{column}: {reason}", "yellow") for column, reason in plan.unread.items()]
    for column, strays in plan.nearly.items():
        told = f"{column}: {strays}; it is numbers otherwise. Leave missing values empty, and it becomes a column of"
        found.append(_line("text", f"{told} numbers", "yellow"))
    return _some(found, "left out", "columns")


def _to_look_at(plan: Plan) -> list[Line]:
    return [
        *_notes(plan, "leak", "leak?"),
        *_notes(plan, "missing", "missing?"),
        *_notes(plan, "column", "code?", style=""),
        Line("Correct what you know better: owner, alerts.to; columns known only afterwards belong to labels alone."),
    ]


def _next(plan: Plan, folder: Path, data: Path) -> list[Line]:
    name = plan.asked.name
    file, out = (shlex.quote(str(path)) for path in (data, folder / "expectations.py"))
    return [
        Line("Then:", "bold"),
        Line(f"  evergreen feed land {name} --data {file} --to landing  # cut into partitions, as a producer would"),
        Line(f"  evergreen expectations propose {name} --landing landing --out {out} --force"),
        Line(f"  evergreen check {name} landing/{name}"),
        Line(f"What the loop would have done: evergreen replay {name} --landing landing"),
    ]


def _notes(plan: Plan, about: str, label: str, style: str = "yellow") -> list[Line]:
    return _some([_line(label, note.text, style) for note in plan.notes if note.about == about], label, "more of these")


def _some(found: list[Line], label: str, what: str) -> list[Line]:
    shown = found[:_MOST]
    more = [_line(label, f"... and {len(found) - _MOST} {what}; all with --json", "yellow")] * (len(found) > _MOST)
    return [*shown, *more]


def _line(label: str, text: str, style: str = "") -> Line:
    return Line(f"  {label:<9} {text}", style)


def texts(found: Iterable[Line]) -> str:
    """The lines without their styles."""
    return "\n".join(line.text for line in found)
