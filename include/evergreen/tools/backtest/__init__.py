"""Back-tests of policies: what would have been decided, and at what loss, on data that has landed."""
