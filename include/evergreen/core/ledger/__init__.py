"""The ledger: what happened, in PostgreSQL. Append-only where it is history."""

from evergreen.core.ledger.session import Ledger

__all__ = ["Ledger"]
