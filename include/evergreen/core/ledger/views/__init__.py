"""What people are shown of the ledger: lines, a history, and who served on a day."""
