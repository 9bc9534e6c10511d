"""Fixtures of a feed whose features are built."""

from helpers.feature_fixtures import feed, reported  # noqa: F401
