"""The champion's batch predictions, written once for each feature snapshot."""
