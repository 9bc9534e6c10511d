"""Fixtures of a ledger with a life in it."""

from helpers.http_receiver import receive  # noqa: F401
from helpers.ledger_fixtures import definition, free_port, ledger, lived, owed, serve, smtp  # noqa: F401
