"""Tests whether inputs, predictions or labels have drifted."""
