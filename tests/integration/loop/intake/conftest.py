"""Fixtures of a small model whose drops are landed by hand."""

from helpers.intake_fixtures import shop  # noqa: F401
