"""Back up and restore everything that counts: the ledger, MLflow, the store and the feature repository."""
