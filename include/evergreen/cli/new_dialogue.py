"""The questions of `evergreen new` in a terminal: each choice with its reason and its alternative, Enter takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from evergreen.cli.shared import console
from evergreen.core.definition.calendar import UNITS
from evergreen.core.definition.tasks import LOSSES
from evergreen.errors import BadInputError

if TYPE_CHECKING:
    from evergreen.core.definition.tasks import ColumnType
    from evergreen.tools.data_file import DataFile
    from evergreen.tools.scaffold.plan import Asked, Plan

_MOST_TEXTS = 20
"""Different texts of a column that is proposed as a target"""


class Person(Protocol):
    """Who answers."""

    def ask(self, question: str, default: str, choices: Sequence[str] = ()) -> str:
        """The answer to `question`; `default` if it is Enter alone."""

    def tell(self, text: str, style: str = "") -> None:
        """Show a line."""


class Terminal:
    """A person at a terminal."""

    def ask(self, question: str, default: str, choices: Sequence[str] = ()) -> str:
        """See `Person`."""
        from rich.prompt import Prompt

        # Few choices are checked here, many only by the plan: a list of a hundred columns is no help.
        listed = list(choices) if 0 < len(choices) <= len(UNITS) + 1 else None
        shown = Text(question)
        return Prompt.ask(shown, console=console(), default=default, choices=listed).strip()

    def tell(self, text: str, style: str = "") -> None:
        """See `Person`."""
        console().print(Text(text, style), soft_wrap=True)


def converse(asked: Asked, file: DataFile, person: Person) -> tuple[Asked, Plan]:
    """Ask what was not said on the command line; what comes of it is shown before the next question.

    Raises:
        BadInputError: what was said on the command line makes no model, or an answer makes none twice.
    """
    from evergreen.tools.scaffold.new import look

    types = file.types()
    person.tell(f"{file.path}: {file.table.num_rows:,} rows, columns {', '.join(types)}")
    person.tell("Enter takes what is proposed.", "dim")
    if not asked.time:
        times = [name for name, kind in types.items() if kind == "timestamp"]
        if not times:
            raise BadInputError(
                f"{file.path} has no column of timestamps: a row needs the time of its event, such as 2013-01-07"
            )
        reason = "the only timestamps" if len(times) == 1 else f"timestamps: {', '.join(times)}"
        asked = replace(asked, time=person.ask(f"Column that says when a row's event was ({reason})", times[0], times))
    if not asked.target:
        asked = _target(asked, file, types, person)
    plan = look(asked, file)
    for question in (_task, _later, _identity, _period, _end):
        answered = question(asked, plan, person)
        if answered != asked:
            try:
                asked, plan = answered, look(answered, file)
            except BadInputError as error:
                person.tell(f"{error}. What was proposed is taken", "yellow")
    return asked, plan


def _target(asked: Asked, file: DataFile, types: Mapping[str, ColumnType], person: Person) -> Asked:
    numbers = [name for name, kind in types.items() if kind not in ("string", "timestamp")]
    texts = [name for name, kind in types.items() if kind == "string" and 1 < _different(file, name) <= _MOST_TEXTS]
    if not numbers and not texts:
        raise BadInputError(
            "the file has no column of numbers, of true and false or of few different texts: nothing in it can be "
            "predicted"
        )
    # Exports have what is to be predicted in the last column more often than in any other.
    first = numbers[-1] if numbers else texts[-1]
    question = "Column to predict (one of numbers, of true and false, or of few different texts)"
    return replace(asked, target=person.ask(question, first, [name for name in types if name in {*numbers, *texts}]))


def _different(file: DataFile, name: str) -> int:
    import pyarrow.compute as pc

    return int(pc.count_distinct(file.table.column(name)).as_py())


def _task(asked: Asked, plan: Plan, person: Person) -> Asked:
    """Asked only if whole numbers could be classes as well as numbers."""
    if asked.task or not any("--task" in note.text for note in plan.notes):
        return asked
    told = next(note.text for note in plan.notes if "--task" in note.text)
    answer = person.ask(f"What is predicted ({told})", plan.task, ("regression", "multiclass"))
    return asked if answer == plan.task else replace(asked, task=next(t for t in LOSSES if t == answer))


def _later(asked: Asked, plan: Plan, person: Person) -> Asked:
    suspects = [note for note in plan.notes if note.about == "leak"]
    for note in suspects:
        person.tell(note.text, "yellow")
    if not suspects:
        return asked
    names = dict.fromkeys(name for note in suspects for name in note.columns)
    answer = person.ask(
        f"Columns known only with the target, separated by commas, of {', '.join(names)} or others; - for none", "-"
    )
    more = [part.strip() for part in answer.split(",") if part.strip() not in ("", "-")]
    return replace(asked, later=tuple(dict.fromkeys((*asked.later, *more))))


def _identity(asked: Asked, plan: Plan, person: Person) -> Asked:
    if asked.entity:
        return asked
    proposed = "none" if plan.content else ",".join(plan.joined or (plan.entity,))
    answer = person.ask(
        f"What names a row ({plan.why['row']}); another column, or several with commas, if you know better", proposed
    )
    return asked if answer == proposed else replace(asked, entity=(answer,))


def _period(asked: Asked, plan: Plan, person: Person) -> Asked:
    if asked.period:
        return asked
    answer = person.ask(
        f"Length of a partition ({plan.why['calendar']}: {plan.rows:,} rows in an ordinary one)", plan.period, UNITS
    )
    return asked if answer == plan.period else replace(asked, period=next(u for u in UNITS if u == answer))


def _end(asked: Asked, plan: Plan, person: Person) -> Asked:
    if asked.end:
        return asked
    answer = person.ask(
        f"Last partition: none if the feed goes on; `last` ends it with the file's last whole one, {plan.last}", "none"
    )
    return asked if answer == "none" else replace(asked, end=answer)
