"""Versions that could serve in place of the champion, compared with it."""
