"""What people see of a check: the report page and the mail."""
