"""Predictions on request, by the version that serves, from features of the same code as the batch ones."""
