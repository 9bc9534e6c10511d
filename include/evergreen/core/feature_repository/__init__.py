"""The repository of the feature snapshots: Git for their names, DVC for their bytes."""
