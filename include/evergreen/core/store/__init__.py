"""The object store: one URL through fsspec. Objects are written whole or not at all."""

from evergreen.core.store.objects import Store

__all__ = ["Store"]
