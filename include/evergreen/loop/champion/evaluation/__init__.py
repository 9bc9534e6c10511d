"""Pure functions: challenger against champion, the guards, fairness, and the gate."""
