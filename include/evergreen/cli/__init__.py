"""The command `evergreen`. One module for each group of commands; heavy imports stay inside the commands."""

from typing import TYPE_CHECKING

from evergreen.cli.main import application, main

if TYPE_CHECKING:
    from typer import Typer

__all__ = ["app", "main"]


def __getattr__(name: str) -> "Typer":
    """`app`, all commands: made when it is asked for."""
    if name == "app":
        return application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
