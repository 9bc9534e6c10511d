"""From the bytes of a landed file to a typed table."""
