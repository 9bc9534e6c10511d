"""Error rates and power of the decisions: studies that back a page in docs/decisions."""
