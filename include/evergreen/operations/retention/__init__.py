"""Retention: what no champion and no policy needs is collected."""
