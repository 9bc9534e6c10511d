"""The services of the embedded shape: servers that come as wheels."""
