"""Fixtures of a ledger with a life in it."""

from helpers.ledger_fixtures import definition, free_port, ledger, lived, open_ledger, owed, serve, smtp  # noqa: F401
