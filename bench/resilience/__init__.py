"""What is left after kills, outages and upgrades."""
