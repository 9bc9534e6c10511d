"""Kinds of text that must not be taken for one another: mypy refuses one in the place of another.

They cost nothing at run time. Text becomes one of them only where it comes in: a key by the calendar or from Airflow,
a name by `core.store.layout`, a URI by the store or from an address that a person gave.
"""

from __future__ import annotations

from typing import NewType

PartitionKey = NewType("PartitionKey", str)
"""Key of a partition, as of the model's calendar: `2013-03-11`, of an hour `2013-03-11T14`"""
ObjectName = NewType("ObjectName", str)
"""Name of an object in the store, relative to its URL"""
Uri = NewType("Uri", str)
"""Full address of an object in the store or of what has landed, as the ledger records it: `s3://bucket/raw/...`"""
