"""Faults for a running stack, drawn from a seed, and a replay of real weeks that has to survive them."""
