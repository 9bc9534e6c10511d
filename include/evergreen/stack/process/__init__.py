"""The life of the processes of a stack: start, readiness, restart, shutdown, logs."""
