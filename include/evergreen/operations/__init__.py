"""What runs beside the loop: housekeeping, retention, audit, backup, and a version made again."""
