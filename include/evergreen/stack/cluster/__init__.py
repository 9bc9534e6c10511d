"""The services of the cluster shape: those of docker-compose.yaml, without Docker."""
