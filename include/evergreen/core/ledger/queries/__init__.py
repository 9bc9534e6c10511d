"""Questions to the ledger, one module for each subject."""
