"""Times, memory and size."""
