"""The whole text of a proposed `expectations.py`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evergreen.core.definition import ModelDefinition
from evergreen.core.definition.model import TableName
from evergreen.core.names import PartitionKey
from evergreen.tools.propose.observed import Facts
from evergreen.tools.propose.rules import Compared, lines_of, rows_lines

_COMPARISONS = ("Categories", "MatchesInputs", "Nulls", "Numbers", "PeriodCovered", "RowCount")
_HEAD = """\"\"\"What a {unit} of {model} looks like: a proposal from {partitions}.

`critical` quarantines a partition, `warning` accepts it and says so. Bounds leave room around what was seen, which
the comments give: correct them where you know better. Columns, types, unique ids and times within the period are
checked before, from model.yaml.
\"\"\"

{extra}from typing import Any

import great_expectations.expectations as gxe

from evergreen.expectations import {names}
"""
_HELPERS = {
    "_number": '''

def _number(column: str, low: float, high: float, known: float = 1.0) -> list[Any]:
    """Values between `low` and `high`; at least the share `known` of them is there."""
    return [
        gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=known),
        gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high),
    ]
''',
    "_text": '''

def _text(column: str, regex: str, known: float = 1.0) -> list[Any]:
    """Values that match `regex`; at least the share `known` of them is there."""
    return [
        gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=known),
        gxe.ExpectColumnValuesToMatchRegex(column=column, regex=regex),
    ]
''',
}


def file_of(
    definition: ModelDefinition, facts: Mapping[TableName, Facts], compared: Mapping[TableName, Compared]
) -> str:
    """The file that follows from `facts`: a function for each of their tables, and one for the features of inputs."""
    bodies = {table: lines_of(definition, table, found, compared[table]) for table, found in facts.items()}
    functions = [_function(table, f"Expectations on the {table}.", body) for table, body in bodies.items()]
    if "inputs" in facts:
        about = "Expectations on what `features.py` builds: a row for each row of inputs."
        functions.append(_function("features", about, rows_lines(facts["inputs"])))
    code = "".join(functions)
    head = _HEAD.format(
        unit=definition.calendar.period,
        model=definition.name,
        partitions=_some(sorted({key for found in facts.values() for key in found.keys})),
        names=", ".join(name for name in _COMPARISONS if f"{name}(" in code),
        extra="from datetime import timedelta\n" if "timedelta(" in code else "",
    )
    named = [name for name in ("CRITICAL", "WARNING") if f"={name}" in code]
    constant = "\n" + "".join(f'{name} = "{name.lower()}"\n' for name in named) if named else ""
    return head + constant + code + "".join(text for name, text in _HELPERS.items() if f"*{name}(" in code)


def _function(name: str, about: str, body: Sequence[str]) -> str:
    lines = [f"def {name}() -> list[Any]:", f'    """{about}"""', "    return [", *body, "    ]"]
    return "\n\n" + "\n".join(lines) + "\n"


def _some(keys: Sequence[PartitionKey]) -> str:
    return f"{len(keys)} partitions, {keys[0]} to {keys[-1]}" if len(keys) > 1 else f"one partition, {keys[0]}"
