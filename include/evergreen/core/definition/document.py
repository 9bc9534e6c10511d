"""Write docs/model-definition.md from the schema (`make docs`)."""

from __future__ import annotations

import ast
import datetime as dt
import inspect
import itertools
import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from evergreen.core.definition.model import ModelDefinition

INTRO = """\
# The fields of model.yaml

Everything about a model lives in its folder, `include/models/<name>/`: `model.yaml` (this page), `features.py`,
`expectations.py` and a README, and `candidates.py` where the team brings an estimator of its own
([candidates](candidates.md)). Unknown fields, fields given twice and values out of range are errors that name file,
line and field; `evergreen doctor` checks every definition. Durations are ISO 8601 (`PT6H`, `P1D`).

This page is generated from the schema (`make docs`); a test holds it current.
"""


def document() -> str:
    """The whole page, as Markdown."""
    return INTRO + "".join(_sections(ModelDefinition, ""))


def _sections(model: type[BaseModel], prefix: str) -> list[str]:
    """A table for the fields of `model`, then one for each section below it."""
    rows, below, meanings = [], [], _meanings(model)
    for name, field in model.model_fields.items():
        if field.exclude or not field.repr:  # filled in when a definition is read
            continue
        section = _section(field)
        if section is None:
            rows.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_words(meanings.get(name))} |")
        else:
            many = typing.get_origin(field.annotation) is dict
            of_each = (".<table>" if name == "tables" else ".<name>") if many else ""
            below += _sections(section, f"{prefix}{name}{of_each}.")
    title = f"`{prefix.rstrip('.')}`" if prefix else "Top level"
    columns = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    head = ["", f"## {title}", "", _words(model.__doc__), "", *columns]
    return ["\n".join([*head, *rows]) + "\n", *below]


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The string below each field in the source of `model`, which Python itself does not keep."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(model)).body if isinstance(node, ast.ClassDef))
    return {
        field.target.id: below.value.value
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def _section(field: FieldInfo) -> type[BaseModel] | None:
    parts = [field.annotation]
    for part in parts:  # which grows: a section may stand in a map, and that in a choice
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
        parts.extend(typing.get_args(part))
    return None


def _type(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{p}`" for p in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(p) for p in parts if p is not type(None))
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return f"map of {_type(parts[0])} to {_type(parts[1])}"
    if origin is typing.Annotated:
        return _type(parts[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names = {str: "text", int: "integer", float: "number", dt.date: "date", dt.timedelta: "duration", bool: "yes or no"}
    return names.get(annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, dt.timedelta):
        return f"`PT{value.total_seconds() / 3600:g}H`"
    if isinstance(value, tuple):
        return ", ".join(f"`{v}`" for v in value) or "empty"
    return f"`{value}`" if value != "" else "empty"


def _words(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
