"""A receiver for what channels are given."""

from helpers.http_receiver import receive  # noqa: F401
