"""The ledger: what happened, in PostgreSQL. Append-only where it is history."""

from evergreen.ledger.session import Ledger

__all__ = ["Ledger"]
