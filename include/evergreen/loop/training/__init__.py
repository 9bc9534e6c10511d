"""Training: a dataset of snapshots becomes a challenger in the model registry."""
