"""The command `evergreen`. One module for each group of commands; heavy imports stay inside the commands."""

from evergreen.cli.main import app, main

__all__ = ["app", "main"]
