"""The kinds of estimators: the built-in ones, those of the team, how they are checked and what may be saved."""
