"""One module for each group of commands. Each has `register(app)`; what is heavy is imported inside the commands."""
