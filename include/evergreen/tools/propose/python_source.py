"""Rules as lines of Python, laid out as `ruff format` lays them out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH = 120


def literal(value: Any) -> str:
    """`value` as Python text: double quotes, and nothing that cannot be printed."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    text = repr(value)
    if isinstance(value, str) and text.startswith("'") and '"' not in text and "\\'" not in text:
        return f'"{text[1:-1]}"'
    return text


class Raw(str):
    """Text that is written as it is, such as a regular expression or a name."""

    __slots__ = ()


def call(name: str, args: Mapping[str, Any], *, positional: int = 0, comment: str = "", indent: int = 8) -> list[str]:
    """Lines of the call `name(...)` as an item of a list, the first `positional` arguments without their names."""
    parts = [
        (f"{key}=" if n >= positional else "", value if isinstance(value, Raw) else literal(value), value)
        for n, (key, value) in enumerate(args.items())
    ]
    pad, tail = " " * indent, f"  # {comment}" if comment else ""
    one = f"{pad}{name}({', '.join(key + text for key, text, _ in parts)}),"
    if len(one + tail) <= WIDTH:
        return [one + tail]
    lines = [f"{pad}# {comment}"] if comment else []
    if len(one) <= WIDTH:
        return [*lines, one]
    inner = pad + "    "
    lines.append(f"{pad}{name}(")
    if len(f"{inner}{', '.join(key + text for key, text, _ in parts)}") <= WIDTH:
        # The formatter keeps arguments on a line of their own if they fit there together.
        return [*lines, f"{inner}{', '.join(key + text for key, text, _ in parts)}", f"{pad}),"]
    for key, text, value in parts:
        if len(f"{inner}{key}{text},") <= WIDTH or not isinstance(value, list | tuple):
            lines.append(f"{inner}{key}{text},")
        else:
            lines += [f"{inner}{key}[", *(f"{inner}    {literal(item)}," for item in value), f"{inner}],"]
    return [*lines, f"{pad}),"]
