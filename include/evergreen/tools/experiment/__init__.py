"""Another `features.py`, candidate or setting against the definition, on landed history and by the gate's own test."""
